"""Which voice a request gets."""

from __future__ import annotations

import pytest

from services.runtime.errors import FailedPrecondition, InvalidInput
from services.tts.voices import VoiceCatalogue
from tests.fakes.speech_engine import ToneEngine

pytestmark = pytest.mark.unit

CATALOGUE = VoiceCatalogue(ToneEngine.voices)


@pytest.mark.parametrize(
    ("voice", "language", "expected"),
    [
        ("", "en-us", "tone/en"),
        ("", "en", "tone/gb"),  # the one with the better priority for plain English
        ("", "en-GB", "tone/gb"),
        ("", "de-AT", "tone/de"),
        ("tone/gb", "", "tone/gb"),
        ("tone/gb", "en-GB", "tone/gb"),
    ],
)
def test_choice(voice: str, language: str, expected: str) -> None:
    assert CATALOGUE.choose(voice, language)[0].id == expected


def test_no_voice_for_a_language() -> None:
    with pytest.raises(FailedPrecondition) as caught:
        CATALOGUE.choose("", "th-TH")
    assert caught.value.reason == "LOCALE_UNSUPPORTED"


def test_no_such_voice() -> None:
    with pytest.raises(FailedPrecondition) as caught:
        CATALOGUE.choose("../../etc/passwd", "")
    assert caught.value.reason == "VOICE_UNAVAILABLE"
    assert "passwd" not in caught.value.message


def test_a_voice_of_another_language() -> None:
    with pytest.raises(InvalidInput) as caught:
        CATALOGUE.choose("tone/de", "en")
    assert caught.value.reason == "VOICE_LANGUAGE_MISMATCH"


def test_no_language_tag() -> None:
    with pytest.raises(InvalidInput):
        CATALOGUE.choose("", "not a tag")


def test_neither_voice_nor_language() -> None:
    with pytest.raises(InvalidInput):
        CATALOGUE.choose("", "")


def test_list_puts_the_preferred_voice_first() -> None:
    assert [voice.id for voice in CATALOGUE.list("en-GB")] == ["tone/gb", "tone/en"]
    assert CATALOGUE.list("th") == []
    assert len(CATALOGUE.list()) == 3
