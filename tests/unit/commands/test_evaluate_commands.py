"""`antiphon evaluate nlu` as a person types it, with the model that ships and rows of MASSIVE's form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from antiphon import cli
from services.evaluate_commands import evaluate
from tests.fixtures.massive_rows import ROWS, row, write_rows

pytestmark = pytest.mark.unit


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    made = [row(*one, locale=locale) for locale in ("en-US", "en-GB") for one in ROWS]
    return write_rows(tmp_path / "rows.jsonl", made)


def test_a_scorecard_by_locale(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = tmp_path / "card.json"
    assert cli.main(["evaluate", "nlu", "--data", str(rows), "--json", str(card)]) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0].startswith("antiphon/intents-en@")
    assert [line.split()[0] for line in lines[2:4]] == ["en-GB", "en-US"]
    assert "en-GB: 4 sentences read, 4 to go" in told.err
    held = json.loads(card.read_text())["locales"]["en-US"]
    assert held["n"] == len(held["outcomes"]) == 4
    assert held["intent_accuracy"] >= 0.75  # of four plain sentences


def test_the_gate_lets_the_same_model_pass_and_names_what_is_missing(
    rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "card.json"
    assert evaluate(["nlu", "--data", str(rows), "--json", str(card)]) == 0
    assert evaluate(["nlu", "--data", str(rows), "--baseline", str(card)]) == 0
    assert "no locale regresses" in capsys.readouterr().out
    write_rows(rows, [row(*one) for one in ROWS])
    assert evaluate(["nlu", "--data", str(rows), "--baseline", str(card)]) == 1
    told = capsys.readouterr()
    assert "REFUSED: en-GB: was measured in the baseline, and now was not" in told.out
    assert "regresses in en-GB" in told.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--data", "nowhere.jsonl"], "nowhere.jsonl: No such file"),
        (["--data", "{data}", "--baseline", "nowhere.json"], "nowhere.json: "),
        (["--data", "{data}", "--model", "nobody/nothing"], "nobody/nothing"),
        (["--data", "{data}", "--model", "antiphon/intents-thin"], "antiphon/intents-thin"),
        (["--data", "{data}", "--format", "slurp"], "rows.jsonl:1: "),
        (["--data", "{data}", "--partition", "dev"], "no sentence of the part 'dev'"),
        (["--data", "{data}", "--json", "/nowhere/card.json"], "/nowhere/card.json: "),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_line(
    rows: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(["nlu", *(one.format(data=rows) for one in arguments)]) == 1
    err = [line for line in capsys.readouterr().err.splitlines() if "to go" not in line]
    assert len(err) == 1
    assert told in err[0]


@pytest.mark.parametrize("arguments", [[], ["nlu"], ["nlu", "--data", "x", "--tolerance", "-1"], ["asr"]])
def test_wrong_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        evaluate(arguments)
    assert exited.value.code == 2
    assert "usage: antiphon evaluate" in capsys.readouterr().err
