"""The demo's own check: it must find a right answer right, and a wrong one wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from antiphon.arbitration.v1 import assistant_pb2, decision_pb2
from antiphon.commands.conversing import Reply
from services.demo import QUESTIONS, Turn, tells_time

pytestmark = pytest.mark.unit

TOKYO = ZoneInfo("Asia/Tokyo")
NOW = datetime(2026, 3, 4, 10, 5, 30, tzinfo=UTC)  # 19:05:30 in Tokyo


@pytest.mark.parametrize(
    "text",
    [
        "It is 7:05 PM in Tokyo.",
        "It is 7:05\u202fPM in Tokyo.",
        "It's 7:05 p.m. there",
        "Es ist 19:05 Uhr in Tokio.",
        "Il est 19 h 05 à Tokyo.",
        "It is 7:06 PM in Tokyo.",
        "It is 7:04 PM in Tokyo.",
    ],
)
def test_a_right_time_is_found(text: str) -> None:
    assert tells_time(text, TOKYO, NOW)


@pytest.mark.parametrize(
    "text",
    [
        "It is 7:05 AM in Tokyo.",
        "It is 7:07 PM in Tokyo.",
        "It is 10:05 in Tokyo.",
        "It is late.",
        "",
        "7 PM",
        "119:05",
    ],
)
def test_a_wrong_time_is_not(text: str) -> None:
    assert not tells_time(text, TOKYO, NOW)


def test_midnight() -> None:
    assert tells_time("It is 12:00 AM.", TOKYO, datetime(2026, 3, 4, 15, 0, tzinfo=UTC))
    assert tells_time("It is 11:59 PM.", TOKYO, datetime(2026, 3, 4, 15, 0, tzinfo=UTC))
    assert tells_time("Es ist 00:00 Uhr.", TOKYO, datetime(2026, 3, 4, 15, 0, tzinfo=UTC))
    assert not tells_time("It is 12:00 PM.", TOKYO, datetime(2026, 3, 4, 15, 0, tzinfo=UTC))


def events(intent: str, answer: str, audio: bytes) -> list[assistant_pb2.ConverseResponse]:
    decided = assistant_pb2.ConverseResponse()
    decided.decision.candidates.append(decision_pb2.Candidate())
    decided.decision.candidates[0].interpretation.intent = intent
    decided.decision.winner_index = 0
    said = assistant_pb2.ConverseResponse()
    said.answer_text.text = answer
    spoken = assistant_pb2.ConverseResponse()
    spoken.answer_audio.content = audio
    return [decided, said, spoken]


@pytest.mark.parametrize(
    ("intent", "answer", "audio", "faults"),
    [
        ("clock.time", "It is 7:05 PM.", b"\0\0", 0),
        ("calculator.compute", "It is 7:05 PM.", b"\0\0", 1),
        ("clock.time", "It is 7:45 PM.", b"\0\0", 1),
        ("clock.time", "It is 7:05 PM.", b"", 1),
        ("", "", b"", 3),
    ],
)
def test_faults_are_counted(intent: str, answer: str, audio: bytes, faults: int) -> None:
    turn = Turn(Reply(), ended=NOW)
    for event in events(intent, answer, audio):
        turn.take(event)
    assert len(turn.faults()) == faults


def test_there_is_a_question_for_each_language_of_the_clock() -> None:
    assert set(QUESTIONS) == {"en", "de", "es", "fr", "it"}
