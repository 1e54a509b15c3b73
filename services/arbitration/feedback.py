"""How turns ended before, as far as ranking looks at it: two features, `feedback` and `used_recently`.

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

_MAX_KEYS: Final = 100_000


@dataclass(slots=True)
class _Tally:
    good: float = 0.0
    bad: float = 0.0


@dataclass
class FeedbackBook:
    """Successes and last uses, the least recently touched forgotten first."""

    _tallies: OrderedDict[tuple[str, str, str], _Tally] = field(default_factory=OrderedDict)
    _used: OrderedDict[tuple[str, str, str], float] = field(default_factory=OrderedDict)

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
        self._used[key] = now
        _touch(self._used, key)

    def success(self, tenant: str, skill_id: str, intent: str) -> float:
        """Smoothed share of turns that ended well, in (0, 1); 0.5 when nothing is known."""
        tally = self._tallies.get((tenant, skill_id, intent), _Tally())
        return (tally.good + PRIOR_SUCCESSES) / (tally.good + tally.bad + PRIOR_SUCCESSES + PRIOR_FAILURES)

    def used_recently(self, tenant: str, user_id: str, skill_id: str, now: float) -> bool:
        """Whether the user used the skill within 30 days of `now`."""
        return now - self._used.get((tenant, user_id, skill_id), float("-inf")) <= RECENT_SECONDS


def _touch(book: OrderedDict[tuple[str, str, str], _Tally] | OrderedDict[tuple[str, str, str], float],
           key: tuple[str, str, str]) -> None:  # fmt: skip
    book.move_to_end(key)
    while len(book) > _MAX_KEYS:
        book.popitem(last=False)
