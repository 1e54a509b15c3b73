"""What a user is likely to say: the domain's form of the contract's phrase grammar, and the language model made of it.

`conversion.py` makes it from a request, `recognizer.py` hands it to an engine. Checked here is what makes a request
wrong as a whole; a phrase that cannot be heard is reported, for one bad phrase must not silence a hundred skills.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from services.asr.events import UnmatchedPhrase
from services.runtime.errors import InvalidInput

MAX_PHRASES = 10_000
MAX_PHRASE_LENGTH = 200  # code points
MAX_CLASSES = 500
MAX_ENTRIES = 10_000
MAX_TEXTS = 100_000  # phrases and entries together: what one build may cost
MAX_NAME_LENGTH = 64
MAX_REPORTED = 100

_FIELD = "options.grammar"

Weighted = tuple[str, float]
"""A text and how likely it is against the others, > 0."""


@dataclass(frozen=True, slots=True)
class GrammarClass:
    """What can stand in a slot: entries, and the spoken forms of a type ("DURATION"; empty for none)."""

    name: str
    entries: tuple[Weighted, ...] = ()
    value_type: str = ""


@dataclass(frozen=True, slots=True)
class PhraseGrammar:
    """Phrases with slots as "{city}", and what the slots stand for.

    Attributes:
        digest: SHA-256 of what the client sent, hex; models are cached under it.
        share: of the phrases against the model's own text, above 0 to 1; None leaves it to the engine.
    """

    phrases: tuple[Weighted, ...]
    classes: tuple[GrammarClass, ...] = ()
    share: float | None = None
    digest: str = ""

    def __post_init__(self) -> None:
        if not self.phrases:
            raise _invalid("a grammar needs at least one phrase", "GRAMMAR_EMPTY", "phrases")
        _at_most(MAX_PHRASES, len(self.phrases), "phrases", "phrases")
        _at_most(MAX_CLASSES, len(self.classes), "classes", "classes")
        if self.share is not None and not 0.0 < self.share <= 1.0:
            raise _invalid(f"share must be above 0 and at most 1, not {self.share:g}", "SHARE_OUT_OF_RANGE", "share")
        names = [each.name for each in self.classes]
        if len(set(names)) < len(names):
            raise _invalid("two classes have the same name", "CLASS_REPEATED", "classes.name")
        for each in self.classes:
            if not 1 <= len(each.name) <= MAX_NAME_LENGTH or set(each.name) & set("{}"):
                wanted = f"a class has a name of 1 to {MAX_NAME_LENGTH} characters without braces"
                raise _invalid(wanted, "CLASS_NAME_INVALID", "classes.name")
            _at_most(MAX_ENTRIES, len(each.entries), "entries of a class", "classes.entries")
            _check_weights(each.entries, "classes.entries.weight")
        _check_weights(self.phrases, "phrases.weight")
        texts = len(self.phrases) + sum(len(each.entries) for each in self.classes)
        _at_most(MAX_TEXTS, texts, "phrases and entries together", "classes.entries")

    def packed(self) -> dict[str, Any]:
        """For JSON; `unpacked` reads it."""
        classes = [[each.name, each.entries, each.value_type] for each in self.classes]
        return {"phrases": self.phrases, "classes": classes, "share": self.share, "digest": self.digest}

    @classmethod
    def unpacked(cls, fields: dict[str, Any]) -> PhraseGrammar:
        classes = tuple(
            GrammarClass(name, tuple((text, weight) for text, weight in entries), value_type)
            for name, entries, value_type in fields["classes"]
        )
        phrases = tuple((text, weight) for text, weight in fields["phrases"])
        return cls(phrases, classes, fields["share"], fields["digest"])


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A language model that was built from a grammar.

    Attributes:
        key: unique to grammar, acoustic model and way of building.
        folder: holds its files; empty when no phrase is in effect: the model's own serves.
        accepted: phrases in effect.
        unmatched: phrases and entries without effect, the first `MAX_REPORTED`.
        build_seconds: what the build took; 0 when it was there.
    """

    key: str
    folder: str
    accepted: int
    unmatched: tuple[UnmatchedPhrase, ...] = ()
    build_seconds: float = 0.0


def _check_weights(texts: tuple[Weighted, ...], field: str) -> None:
    if not all(0.0 <= weight < math.inf for _, weight in texts):
        raise _invalid("a weight is a number from 0 on", "WEIGHT_OUT_OF_RANGE", field)


def _at_most(limit: int, count: int, what: str, field: str) -> None:
    if count > limit:
        raise _invalid(f"a grammar has at most {limit} {what}, not {count}", "GRAMMAR_TOO_LARGE", field)


def _invalid(message: str, reason: str, field: str) -> InvalidInput:
    return InvalidInput(message, reason=reason, field=f"{_FIELD}.{field}")
