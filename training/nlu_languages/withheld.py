"""What a lexicon is worth, by the code that `AddLocale` runs: English sentences word by word, the same small model.

`transfer.py`, the benchmark of languages and a data test call it; it needs neither torch nor scikit-learn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from services.nlu.locales.learning import learn
from services.nlu.locales.translation import Labelled, Lexicon, by_source, coverage, translated
from training.nlu_languages import data
from training.nlu_languages.data import Sentence

WITHHELD = ("nl", "it", "da")
"""Varieties with a test part and a lexicon; their own sentences are not trained on."""

VARIANTS = 3


def lexicon(language: str) -> Lexicon:
    return Lexicon(by_source(data.lexicon(language)).items())


def covered(language: str) -> float:
    """Part of the running words of xSID's English `valid` that the lexicon translates."""
    return coverage((Labelled(one.words) for one in data.xsid("en", "valid")), lexicon(language))


def word_by_word(sentences: Iterable[Sentence], language: str, variants: int = VARIANTS) -> list[Sentence]:
    words = lexicon(language)
    made = {}
    for one in sentences:
        for variant in range(variants):
            new = translated(Labelled(one.words, one.slots or ()), words, variant)
            made[new.words] = replace(one, variety=language, words=new.words, slots=new.slots)
    return list(made.values())


def linear(sentences: Sequence[Sentence], test: Sequence[Sentence], seed: int = 1) -> float:
    """Accuracy of the model that `AddLocale` trains, 0 to 1."""
    model = learn([(one.tokens, one.intent) for one in sentences], seed)
    told = [model.probabilities(one.tokens) for one in test]
    return sum(max(p, key=p.__getitem__) == one.intent for p, one in zip(told, test, strict=True)) / len(test)


def gain(language: str) -> tuple[float, float]:
    """Accuracy on `test` of English sentences alone, and with their translation."""
    english, test = data.xsid("en", "valid"), data.xsid(language, "test")
    return linear(english, test), linear([*english, *word_by_word(english, language)], test)
