"""The page on adding a model: its bundle gives the same in both homes, on a real server, by the page's own script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.runtime.model_store import ModelStore
from services.runtime.triton.repository import write_repository
from services.runtime.triton.server import TritonServer
from tests.clients.pages import commands, write_files
from tests.conftest import ROOT

pytestmark = pytest.mark.triton

PAGE = ROOT / "docs" / "adding-a-model.md"
ADDRESS = "127.0.0.1:8001"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the page's files lie, with the bundle that they make."""
    folder = tmp_path_factory.mktemp("page")
    write_files(PAGE, folder)
    subprocess.run([sys.executable, "make_model.py"], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def triton_repository(made: Path) -> Path:
    write_repository(ModelStore([made / "running-sum"]).models(), made / "repository", "cpu")
    return made / "repository"


def test_both_homes_agree(made: Path, triton_server: TritonServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_MODELS", str(made / "running-sum"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    (example,) = commands(PAGE, "triton")
    example.command = [part.replace(ADDRESS, triton_server.address) for part in example.command]
    example.run("", made)
