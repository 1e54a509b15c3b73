"""What goes to a worker and comes back is the same on the other side."""

from __future__ import annotations

import pytest

from services.asr import messages
from services.asr.events import (
    Alternative,
    BiasingReport,
    Endpoint,
    EndpointReason,
    Event,
    Final,
    Partial,
    SessionStats,
    SpeechActivity,
    UnmatchedPhrase,
    Word,
)
from services.asr.requests import Endpointing, EndpointingUpdate, Phrase, SessionConfig
from services.runtime.audio import AudioFormat, Encoding

pytestmark = pytest.mark.unit


def test_a_config_survives() -> None:
    config = SessionConfig(
        model="antiphon/en@1",
        format=AudioFormat(Encoding.ALAW, 8_000),
        max_alternatives=5,
        interim=True,
        endpointing=Endpointing(end_silence=0.7, client_only=True),
        phrases=(Phrase("tokyo", 2.5),),
        compute_budget=0.5,
    )
    packed = messages.pack_config(config)
    assert packed[:1] == messages.CONFIG
    assert messages.unpack_config(packed[1:]) == config


def test_controls_survive() -> None:
    update = EndpointingUpdate(end_silence=0.4)
    assert messages.unpack_endpointing(messages.pack_endpointing(update)[1:]) == update
    phrases = (Phrase("são paulo", 1.0), Phrase("tokyo"))
    assert messages.unpack_phrases(messages.pack_phrases(phrases)[1:]) == phrases


def test_events_survive() -> None:
    events: list[Event] = [
        SpeechActivity(True, 1.2, -20.5),
        Partial(0, 1, "what time", 1.0, 1.5, 0.5, 4),
        Endpoint(EndpointReason.NO_SPEECH, 0, None, None, 5.0),
        Final(
            1, 2, (Alternative("a b", 0.5, (Word("a", 0.0, 0.1, 0.9),), -10.0, -3.0), Alternative("c")), 0.0, 1.0, 0.4
        ),
        BiasingReport(1, (UnmatchedPhrase("xyzzy", "OUT_OF_VOCABULARY", ("xyzzy",)),)),
        SessionStats(1.0, 0.1),
    ]
    assert messages.unpack_events(messages.pack_events(events)) == events


def test_no_events_are_no_bytes() -> None:
    assert messages.pack_events([]) == b""
    assert messages.unpack_events(b"") == []
