"""The page on adding a model: its files are run as they stand, its commands do what it shows."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
import yaml

from services.catalogue.entries import find, read_catalogue
from services.runtime import model_store
from tests.clients.pages import commands, write_files
from tests.conftest import ROOT

pytestmark = pytest.mark.integration

PAGE = ROOT / "docs" / "adding-a-model.md"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, and a home in which nothing was installed."""
    for name in [name for name in os.environ if name.startswith(("ANTIPHON_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def test_its_commands_do_what_it_shows(home: Path) -> None:
    assert write_files(PAGE, home) == ["make_model.py", "use_model.py", "parity.py"]
    ran = list(commands(PAGE, "run"))
    assert len(ran) >= 7
    for example in ran:
        example.run("", home)


def test_its_table_knows_every_key_of_a_definition() -> None:
    said = PAGE.read_text(encoding="utf-8")
    table = said[said.index("## The definition") : said.index("The card says")]
    written = re.search(r"    publisher: antiphon\n(.*?)\n\n", model_store.__doc__ or "", re.DOTALL)
    assert written is not None
    keys = {
        "publisher",
        *yaml.safe_load(re.sub(r"<of the file>|\{\.\.\.\}", "x", written[1].replace("\n    ", "\n").strip())),
    }
    assert {key for key in keys if f"`{key}`" not in table} == set()


def test_the_models_it_names_are_in_the_catalogue() -> None:
    said = PAGE.read_text(encoding="utf-8")
    entries = read_catalogue()
    for name in ("zipformer-fr-kroko", "zipformer-zh-wenetspeech"):
        entry = find(entries, name)
        assert f"{entry.publisher}/{name}" in said
    assert find(entries, "zipformer-fr-kroko").file in said
