"""A client in another language, with nothing but stubs generated from protos/, runs a full spoken turn."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.system


def test_a_spoken_turn(target: str, question: bytes, tmp_path: Path) -> None:
    audio = tmp_path / "question.pcm"
    audio.write_bytes(question)
    client = ["antiphon-go-client", "-address", target, "-audio", str(audio), "-locale", "en-US"]
    finished = subprocess.run(client, capture_output=True, text=True, timeout=90, check=False)
    assert finished.returncode == 0, finished.stderr
    turn = json.loads(finished.stdout)
    assert "forty plus two" in turn["transcript"]
    assert turn["outcome"] == "DECISION_OUTCOME_EXECUTE"
    assert turn["skill"] in turn["candidates"]
    assert turn["status"] == "TURN_STATUS_ANSWERED"
    assert "42" in turn["answer"]
    assert turn["audio_bytes"] > 16_000, "half a second of speech at least"
    assert turn["partials"] > 0
    assert turn["ledger_entries"] > 0
