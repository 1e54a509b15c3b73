"""Pronunciations by letters: known words, words nobody has seen, and what is no word."""

from __future__ import annotations

import time

import pytest

from services.asr.engines.pocketsphinx.g2p import LANGUAGES, MAX_LETTERS, MAX_VARIANTS, Pronouncer
from services.asr.engines.pocketsphinx.spoken_forms import spoken_forms

pytestmark = pytest.mark.unit

_PHONES = frozenset(
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH".split()
)
_TYPES = ("INTEGER", "DURATION", "TIME", "DATE", "DATETIME", "QUANTITY", "MONEY", "PLACE", "RECURRENCE", "EXPRESSION")


@pytest.mark.parametrize(
    ("language", "word", "wanted"),
    [
        ("de", "zwei", "T S V AY"),
        ("de", "timer", "T AY M"),
        ("de", "schlafzimmer", "SH L AA F T S IH M"),
        ("es", "cocina", "K OW TH IY N AA"),
        ("es", "quince", "K IY N TH EH"),
        ("fr", "demain", "DH IH M AY"),
        ("fr", "quatre-vingt-dix", "K AA T AH V AY DH IY S"),
        ("fr", "l'heure", "L UH AH"),
        ("fr", "d'aujourd'hui", "D"),
        ("fr", "qu'il", "K IY L"),
        ("fr", "as-tu", "AA T Y UW"),
        ("it", "accendi", "AA CH EY N D IY"),
        ("it", "mezz'ora", "M EH D Z OW R AA"),
        ("en", "timer", "T AY M ER"),
    ],
)
def test_known_words(language: str, word: str, wanted: str) -> None:
    assert any(spoken.startswith(wanted) for spoken in Pronouncer.load(language).pronounce(word))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_the_spoken_forms_has_english_phones(language: str) -> None:
    pronouncer = Pronouncer.load(language)
    for word in {word for kind in _TYPES for form, _ in spoken_forms(language, kind) for word in form.split()}:
        spoken = pronouncer.pronounce(word)
        assert 1 <= len(spoken) <= MAX_VARIANTS, word
        assert _PHONES.issuperset(" ".join(spoken).split()), word
        assert len(set(spoken)) == len(spoken)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "word", ["", " ", "-", "'", "💥", "привет", "東京", "a b", "a\x00b", "ten10", "a" * 10_000, "-" * 40, "\ud800"]
)
def test_what_is_no_word_has_no_pronunciation(language: str, word: str) -> None:
    assert Pronouncer.load(language).pronounce(word) == ()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_longest_word_is_bounded_and_quick(language: str) -> None:
    pronouncer = Pronouncer.load(language)
    begin = time.process_time()
    spoken = [pronouncer.pronounce(word) for word in ("a-" * (MAX_LETTERS // 2), "n" * MAX_LETTERS, "café-olé" * 6)]
    assert time.process_time() - begin < 0.1
    assert all(len(each) <= MAX_VARIANTS for each in spoken)


def test_capitals_accents_and_compatible_letters_do_not_matter() -> None:
    german = Pronouncer.load("de-CH")
    assert german.pronounce("KÜCHE") == german.pronounce("ku\u0308che") == german.pronounce("küche")
    assert german.pronounce("señor") != ()


@pytest.mark.parametrize("language", ["ja", "", "../de", "x" * 1_000])
def test_other_languages_are_refused(language: str) -> None:
    with pytest.raises(KeyError):
        Pronouncer.load(language)


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each != "en"])
def test_every_sound_has_phones(language: str) -> None:
    pronouncer = Pronouncer.load(language)
    assert pronouncer.sounds is not None
    listed = {sound for text in pronouncer.words.values() for sound in text.replace("|", " ").split()}
    assert {sound for sounds in pronouncer.letters.values() for sound in sounds} | listed <= set(pronouncer.sounds)
    assert all(_PHONES.issuperset(phones.split()) for each in pronouncer.sounds.values() for phones in each)
