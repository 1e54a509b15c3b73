"""The scripts in examples/python and the command line, against a running platform, as a reader would start them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from antiphon.recordings import Recording, read_wav, write_wav
from tests.clients.conftest import QUESTION_RATE_HZ
from tests.conftest import ROOT

pytestmark = pytest.mark.system

SCRIPTS = ROOT / "examples" / "python"


def run(*command: str | Path) -> str:
    finished = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def script(name: str, *arguments: str | Path) -> str:
    return run(sys.executable, SCRIPTS / name, *arguments)


@pytest.fixture
def recording(question: bytes, tmp_path: Path) -> Path:
    """The question as a WAV file."""
    path = tmp_path / "question.wav"
    write_wav(path, Recording(question, QUESTION_RATE_HZ))
    return path


def test_every_script_is_run_here() -> None:
    tested = {"typed_turn.py", "spoken_turn.py", "live_transcript.py", "timer_rings.py", "when_it_fails.py"}
    assert {path.name for path in SCRIPTS.glob("*.py")} == tested


def test_typed_turn(target: str) -> None:
    said = script("typed_turn.py", "what is twelve plus thirty", target).splitlines()
    assert said[0].startswith("calculator.")
    assert "42" in said[-1]


def test_spoken_turn(target: str, recording: Path, tmp_path: Path) -> None:
    said = script("spoken_turn.py", recording, tmp_path / "reply.wav", target)
    assert "hearing:" in said
    assert "heard: " in said
    assert "42" in said
    assert read_wav(tmp_path / "reply.wav").duration_s > 0.5


def test_live_transcript(target: str, recording: Path) -> None:
    said = script("live_transcript.py", recording, target)
    assert "partial:" in said
    assert "final: " in said
    assert "forty plus two" in said
    assert "ms  forty" in said


def test_timer_rings(target: str) -> None:
    said = script("timer_rings.py", "set a timer for two seconds", target).splitlines()
    assert said[0].startswith("answer: Timer set: 2 seconds")
    assert said[1].startswith("ringing: timer-2-")
    assert said[2] == "silent"


def test_when_it_fails(target: str) -> None:
    said = script("when_it_fails.py", target)
    assert "code: INVALID_ARGUMENT" in said
    assert "try again: False None" in said


def antiphon(target: str, *arguments: str | Path) -> str:
    return run(sys.executable, "-m", "antiphon", *arguments, "--target", target)


def test_a_dialogue_is_typed_on_the_command_line(target: str) -> None:
    said = antiphon(target, "converse", "--keep-words", "--text", "unlock the front door", "--text", "yes")
    asked, done = (line for line in said.splitlines() if line.startswith("turn "))
    assert asked.startswith("turn       prompted")
    assert done.startswith("turn       answered by home")
    explained = antiphon(target, "explain", asked.rpartition(" ")[2])
    assert explained.startswith("heard      “unlock the front door”")
    assert "never done without a yes" in explained


def test_a_turn_on_the_command_line_can_be_explained(target: str, recording: Path, tmp_path: Path) -> None:
    reply = tmp_path / "reply.wav"
    lines = antiphon(target, "converse", recording, "--json", "--out", reply).splitlines()
    events = [json.loads(line) for line in lines]
    turn = next(event["turn_id"] for event in events if "turn_completed" in event)
    assert read_wav(reply).duration_s > 0.5
    explained = antiphon(target, "explain", turn)
    assert "did        executed calculator." in explained
    assert "calculator." in explained
    assert "understanding" in explained


def test_the_other_verbs(target: str, recording: Path, tmp_path: Path) -> None:
    assert "forty plus two" in antiphon(target, "transcribe", recording)
    assert "calculator." in antiphon(target, "understand", "what is twelve plus thirty")
    said = tmp_path / "said.wav"
    antiphon(target, "say", "Guten Morgen", "--locale", "de", "-o", said)
    assert read_wav(said).duration_s > 0.4
    assert "de" in antiphon(target, "voices", "--locale", "de")
    assert antiphon(target, "health").strip() == "SERVING"
    assert "pool asr" in antiphon(target, "describe", "--pool", "asr")
    assert json.loads(antiphon(target, "describe", "--json"))["capability"] == "arbitration"
