"""`antiphon models repository`, through the command line that a user types at."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon import cli
from services.model_commands import bundled_folders
from tests.fixtures.triton_models import write_toy

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_MODELS", str(tmp_path / "store"))


def test_a_repository_holds_what_ships_and_what_the_operator_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_toy(tmp_path / "store", "double")
    out = tmp_path / "repository"
    assert cli.main(["models", "repository", "--out", str(out), "--platform", "cpu"]) == 0
    told = capsys.readouterr()
    names = told.out.split()
    assert {"toy.double@1", "antiphon.intents-en@2", "antiphon.intents-thin@1"} <= set(names)
    assert {folder.name for folder in out.iterdir()} == set(names)
    assert f"{len(names)} models" in told.err


def test_what_cannot_be_written_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "mine").touch()
    assert cli.main(["models", "repository", "--out", str(tmp_path / "repository")]) == 1
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert "not an empty folder" in told.err
    assert not told.out


def test_a_broken_bundle_of_the_operator_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = write_toy(tmp_path / "store", "double")
    (bundle / "model.onnx").write_bytes(b"another")
    assert cli.main(["models", "repository", "--out", str(tmp_path / "repository")]) == 1
    assert "toy/double@1" in capsys.readouterr().err
    (bundle / "model.yaml").write_text("name: [")
    assert cli.main(["models", "repository", "--out", str(tmp_path / "repository")]) == 1
    assert "double/model.yaml is no model definition" in capsys.readouterr().err
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize("arguments", [["repository"], ["repository", "--out", "x", "--platform", "tpu"]])
def test_wrong_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        cli.main(["models", *arguments])
    assert exited.value.code == 2
    assert "antiphon models repository" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["import", "list", "pull", "repository", "verify"])
def test_the_client_alone_says_what_to_install(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "entry_points", lambda group: ())
    assert cli.main(["models", verb]) == 2
    assert "antiphon[serve]" in capsys.readouterr().err


def test_bundles_are_found_by_capability() -> None:
    everything = {folder.parent.name for folder in bundled_folders()}
    assert {"asr", "nlu"} <= everything
    assert [folder.parent.name for folder in bundled_folders({"nlu"})] == ["nlu"]
