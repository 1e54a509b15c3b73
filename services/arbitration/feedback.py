"""How turns ended before, as far as ranking looks at it: `feedback`, `popularity`, `used_recently` and `used_often`.

The Feedback method and completed turns write here; `stages.shortlist` reads. It is kept in this replica alone and
bounded: a feature that is lost with a replica costs a little accuracy for a while and nothing else.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

RECENT_SECONDS: Final = 30 * 24 * 3600.0
"""How long a use counts as recent."""

PRIOR_SUCCESSES: Final = 5.0
PRIOR_FAILURES: Final = 5.0
"""A Beta(5, 5) prior: a handful of turns moves the feature by little."""

HALF_OFTEN: Final = 2.0
"""Uses at which `used_often` is one half."""

HALF_POPULAR: Final = 20.0
"""Turns at which `popularity` is one half."""

_MAX_KEYS: Final = 100_000


@dataclass(slots=True)
class _Tally:
    good: float = 0.0
    bad: float = 0.0


@dataclass(slots=True)
class _Uses:
    """`weight` is the number of uses as of `last`, each worth half for every `RECENT_SECONDS` since."""

    last: float = float("-inf")
    weight: float = 0.0

    def at(self, now: float) -> float:
        age = max(0.0, now - self.last)
        return self.weight * float(0.5 ** (age / RECENT_SECONDS)) if self.weight else 0.0


@dataclass
class FeedbackBook:
    """Successes and last uses, the least recently touched forgotten first."""

    _tallies: OrderedDict[tuple[str, str, str], _Tally] = field(default_factory=OrderedDict)
    _used: OrderedDict[tuple[str, str, str], _Uses] = field(default_factory=OrderedDict)

    def record(self, tenant: str, skill_id: str, intent: str, *, good: bool) -> None:
        """A turn ended well, or did not."""
        key = (tenant, skill_id, intent)
        tally = self._tallies.setdefault(key, _Tally())
        if good:
            tally.good += 1
        else:
            tally.bad += 1
        _touch(self._tallies, key)

    def used(self, tenant: str, user_id: str, skill_id: str, now: float) -> None:
        """The user was served by the skill at `now` (seconds since 1970)."""
        key = (tenant, user_id, skill_id)
        uses = self._used.setdefault(key, _Uses())
        uses.weight, uses.last = uses.at(now) + 1.0, now
        _touch(self._used, key)

    def success(self, tenant: str, skill_id: str, intent: str) -> float:
        """Smoothed share of turns that ended well, in (0, 1); 0.5 when nothing is known."""
        tally = self._tallies.get((tenant, skill_id, intent), _Tally())
        return (tally.good + PRIOR_SUCCESSES) / (tally.good + tally.bad + PRIOR_SUCCESSES + PRIOR_FAILURES)

    def used_recently(self, tenant: str, user_id: str, skill_id: str, now: float) -> bool:
        """Whether the user used the skill within 30 days of `now`."""
        return now - self._used.get((tenant, user_id, skill_id), _Uses()).last <= RECENT_SECONDS

    def used_often(self, tenant: str, user_id: str, skill_id: str, now: float) -> float:
        """n / (n + 2) for the user's n uses, older ones counting less; 0 when never."""
        weight = self._used.get((tenant, user_id, skill_id), _Uses()).at(now)
        return weight / (weight + HALF_OFTEN)

    def popularity(self, tenant: str, skill_id: str, intent: str) -> float:
        """n / (n + 20) for the n turns whose end is known; 0 when there are none."""
        tally = self._tallies.get((tenant, skill_id, intent), _Tally())
        turns = tally.good + tally.bad
        return turns / (turns + HALF_POPULAR)


def _touch(book: OrderedDict[tuple[str, str, str], _Tally] | OrderedDict[tuple[str, str, str], _Uses],
           key: tuple[str, str, str]) -> None:  # fmt: skip
    book.move_to_end(key)
    while len(book) > _MAX_KEYS:
        book.popitem(last=False)
