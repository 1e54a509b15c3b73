"""The models of languages hear commands of synthetic voices: a floor under what the cards say, not a target."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.asr_commands.evaluate import measured
from training.asr_languages.evaluate import interval, real, sentences_of, spoken, with_phrases
from training.asr_languages.sessions import built_in_grammar, with_grammar
from training.asr_languages.train import MODELS

pytestmark = pytest.mark.data

_COMMANDS = {
    "de": ("wie spät ist es", "was ist drei mal vier", "stell einen timer auf zehn minuten", "erzähl mir einen witz"),
    "es": ("qué hora es", "cuánto es tres por cuatro", "pon un temporizador de diez minutos", "cuéntame un chiste"),
    "fr": ("quelle heure est-il", "combien font trois fois quatre", "arrête le minuteur", "raconte-moi une blague"),
    "it": (
        "che ore sono",
        "quanto fa tre per quattro",
        "imposta un timer di dieci minuti",
        "raccontami una barzelletta",
    ),
}


@pytest.mark.parametrize("language", sorted(_COMMANDS))
def test_commands_are_heard(language: str, tmp_path: Path) -> None:
    clips = spoken(language, _COMMANDS[language] * 2, tmp_path)
    alone = measured(MODELS / f"{language}-commands", clips)
    given = measured(with_grammar(MODELS / f"{language}-commands", built_in_grammar(language), tmp_path), clips)
    for score in (alone, given):
        assert score.exact >= 4, f"{score.exact} of {score.clips} exactly"
        assert score.errors <= score.words / 3


def test_sentences_brought_by_a_session_help_to_hear_real_people(data: Path, tmp_path: Path) -> None:
    clips = real("es", data)[1:2]
    without = measured(MODELS / "es-commands", clips)
    given = measured(with_phrases(MODELS / "es-commands", sentences_of(clips), tmp_path), clips)
    assert given.errors < without.errors


def test_an_interval_holds_its_share() -> None:
    low, high = interval(70, 100)
    assert low < 0.65
    assert 0.75 < high <= 1.0
