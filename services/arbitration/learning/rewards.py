"""Whether a turn ended well, told by what the user does next: nobody has to be asked.

`school` notes every turn here. Who says nearly the same again within 30 seconds, or speaks over the answer, did not
get what they wanted; who moves on or is quiet did (Ponnusamy et al. 2019, arXiv 1911.02557). Words are compared in
memory and forgotten with the verdict. A rephrase that arrives at another replica is not seen here and counts as quiet.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Final, Generic, TypeVar

WINDOW_S: Final = 30.0
"""How soon after a turn's end the same wish in other words speaks against it."""

TURN_S: Final = 30.0
"""Longest time that the turn which says so may take: it is known only when that turn is over."""

SIMILAR: Final = 0.45
"""Least similarity of two wordings of one wish. Set by hand."""

MISHEARD: Final = 0.6
"""Least share of common letters of two values of which one may be the other, misheard: "roam", "rome". Set by hand."""

MAX_LETTERS: Final = 300
"""Longer texts are no orders to an assistant; comparing them is not worth the time."""

Row = TypeVar("Row")


class Verdict(StrEnum):
    """How a turn ended for the user; the names are those of the contract's FeedbackKind where it has one."""

    COMPLETED = "completed"
    REPHRASED = "rephrased"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    """It was not understood, or the user says that it was wrong."""
    OPEN = "open"
    """Nothing can be said: a question was asked back, nothing was said, something was away, or the replica stopped."""

    @property
    def reward(self) -> float | None:
        """1 for a good end, 0 for a bad one, None for neither."""
        return None if self is Verdict.OPEN else float(self is Verdict.COMPLETED)


@dataclass(frozen=True, slots=True)
class Said:
    """What is compared of a turn; `slots` are the words of its values, and `changed` that it had an effect."""

    words: str
    intent: str = ""
    slots: str = ""
    changed: bool = False


def plain(text: str) -> str:
    """The words alone: NFKC, case-folded, without punctuation; empty for what is too long to be an order."""
    if len(text) > MAX_LETTERS:
        return ""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = (letter if letter.isalnum() or unicodedata.combining(letter) else " " for letter in folded)
    return " ".join("".join(kept).split())[:MAX_LETTERS]


def similarity(one: str, other: str) -> float:
    """Of two plain texts, in [0, 1]: the Dice coefficient of their letters' trigrams, or of their words if larger."""
    return max(_dice(_trigrams(one), _trigrams(other)), _dice(Counter(one.split()), Counter(other.split())))


def rephrases(earlier: Said, later: Said) -> bool:
    """Whether `later` wants once more what `earlier` wanted.

    The same intent with other values ("weather in Rome", "in Oslo") is the next wish, unless the values look alike
    and may have been misheard. An order with an effect may be repeated word for word: "louder", "louder".
    """
    if not earlier.words or not later.words:
        return False
    if earlier.words == later.words:
        return not earlier.changed
    if earlier.intent and earlier.intent == later.intent and earlier.slots != later.slots:
        return _misheard(earlier.slots, later.slots)
    return similarity(earlier.words, later.words) >= SIMILAR


@dataclass(slots=True)
class _Waiting(Generic[Row]):
    row: Row
    turn_id: str
    said: Said
    ended: float


@dataclass
class RewardWatch(Generic[Row]):
    """Turns whose verdict is not in yet: at most one per owner, the oldest settled early when there are too many.

    Args:
        settle: takes each row with its verdict, once.
        most: owners that are watched at a time.
    """

    settle: Callable[[Row, Verdict], None]
    window: float = WINDOW_S
    most: int = 10_000
    _waiting: OrderedDict[str, _Waiting[Row]] = field(default_factory=OrderedDict)

    def begun(self, owner: str, said: Said, at: float) -> None:
        """The owner said something at `at` (seconds): that judges the turn before."""
        waiting = self._waiting.pop(owner, None)
        if waiting is not None:
            again = at - waiting.ended <= self.window and rephrases(waiting.said, said)
            self.settle(waiting.row, Verdict.REPHRASED if again else Verdict.COMPLETED)

    def ended(self, owner: str, turn_id: str, said: Said, row: Row, at: float) -> None:
        """A turn was answered at `at`; what comes next will tell how well."""
        self._waiting[owner] = _Waiting(row, turn_id, said, at)
        self._waiting.move_to_end(owner)
        while len(self._waiting) > self.most:
            _, oldest = self._waiting.popitem(last=False)
            self.settle(oldest.row, Verdict.OPEN)

    def take(self, owner: str, turn_id: str) -> Row | None:
        """The row of a turn of which it became known otherwise how it ended; None when it waits no more."""
        waiting = self._waiting.get(owner)
        if waiting is None or waiting.turn_id != turn_id:
            return None
        del self._waiting[owner]
        return waiting.row

    def settle_quiet(self, now: float) -> None:
        """Those after which nothing came."""
        while self._waiting:
            owner, oldest = next(iter(self._waiting.items()))
            if now - oldest.ended <= self.window + TURN_S:
                return
            del self._waiting[owner]
            self.settle(oldest.row, Verdict.COMPLETED)

    def close(self) -> None:
        """The replica stops: what is not settled stays open."""
        while self._waiting:
            self.settle(self._waiting.popitem(last=False)[1].row, Verdict.OPEN)


def _misheard(one: str, other: str) -> bool:
    """Whether the words that differ sound alike, as far as letters tell: "roam" and "rome", not "three" and "four"."""
    words, others = one.split(), other.split()
    left = " ".join(word for word in words if word not in others)
    right = " ".join(word for word in others if word not in words)
    return bool(left and right) and SequenceMatcher(None, left, right, autojunk=False).ratio() >= MISHEARD


def _trigrams(text: str) -> Counter[str]:
    padded = f" {text} "
    return Counter(padded[at : at + 3] for at in range(len(padded) - 2))


def _dice(one: Counter[str], other: Counter[str]) -> float:
    together = one.total() + other.total()
    return 2.0 * (one & other).total() / together if together else 0.0
