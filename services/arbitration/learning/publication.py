"""Where rewrites are published, how they do, and how they are taken back.

`antiphon learn rewrites` publishes; the replicas read (`rewrites`) and report wins and losses (`school`). One value per
tenant and language in the SessionStore, changed by compare-and-set, so that every replica sees the same. A rewrite that
is probably worse than leaving the words alone is retired by whichever replica reports the loss that shows it, and is
not published again by what the log said before.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from typing import Final

from services.arbitration.learning.interactions import Pseudonyms
from services.arbitration.learning.mining import Found
from services.arbitration.stages.rewrite import Rewrite
from services.runtime.errors import Conflict
from services.runtime.store import ABSENT, SessionStore

OWNER: Final = "platform:learning"
"""Tenant of the store under which all of it lies: names of real tenants come in as pseudonyms, which hold no colon."""

KEPT_S: Final = 90 * 86_400.0
"""A rewrite that nobody publishes again is forgotten after this."""

RETIRE: Final = 0.95
"""Probability of being worse than the held-out sessions from which a rewrite is retired."""

LEAST: Final = 10
"""Turns with the rewrite before it is judged."""

PRIOR: Final = 20.0
"""The most that the log's evidence about the words as they are counts, in turns: held-out sessions are few."""

MAX_REWRITES: Final = 1_000
"""Of one tenant and language; the newest replace the least certain."""

MAX_READ: Final = 256
"""Values whose decoded form is kept in memory, the least recently asked forgotten first."""

ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Published:
    """A rewrite and how it does.

    Attributes:
        wins, losses: turns of sessions that get it, by how they ended; `held_wins` and `held_losses` of those held out.
        stay_good, stay_bad: how the words ended by themselves before it was published.
        retired: no longer applied, and not to be published again.
    """

    id: str
    source: str
    target: str
    intent: str
    worth: float
    wins: int = 0
    losses: int = 0
    held_wins: int = 0
    held_losses: int = 0
    stay_good: int = 0
    stay_bad: int = 0
    retired: bool = False

    @property
    def worse(self) -> float:
        """Probability that it does worse than leaving the words alone (two Beta posteriors)."""
        stayed = self.stay_good + self.stay_bad
        weight = min(1.0, PRIOR / stayed) if stayed else 0.0
        alone = (
            round(1 + self.held_wins + weight * self.stay_good),
            round(1 + self.held_losses + weight * self.stay_bad),
        )
        return beta_below((1 + self.wins, 1 + self.losses), alone)

    @property
    def failing(self) -> bool:
        """Whether it has to go."""
        return self.wins + self.losses >= LEAST and self.worse >= RETIRE


@dataclass(frozen=True, slots=True)
class Score:
    """How a turn with a known rewrite ended."""

    rewrite_id: str
    held_out: bool
    good: bool


@dataclass
class RewriteBook:
    """All that is published. Implements `rewrites.Source`."""

    store: SessionStore
    names: Pseudonyms
    _read: OrderedDict[str, tuple[bytes, tuple[Published, ...]]] = field(default_factory=OrderedDict)

    async def serving(self, tenant: str, locale: str) -> Mapping[str, Rewrite]:
        """Those that serve, by the words they replace; of the language where the dialect has none of its own."""
        of = self.names.of("tenant", tenant)
        found = {}
        for tag in _tags(locale):
            for published in await self.of(of, tag):
                if not published.retired:
                    found[published.source] = Rewrite(published.id, published.target, published.intent)
        return found

    async def of(self, tenant: str, locale: str) -> tuple[Published, ...]:
        """Everything known, retired ones too. `tenant` is its pseudonym."""
        key = _key(tenant, locale)
        found = await self.store.get(OWNER, key)
        if found is None:
            return ()
        known = self._read.get(key)
        if known is None or known[0] != found.value:  # replicas look every few seconds, and seldom find anything new
            known = self._read[key] = (found.value, _decoded(found.value))
        self._read.move_to_end(key)
        if len(self._read) > MAX_READ:
            self._read.popitem(last=False)
        return known[1]

    async def publish(self, tenant: str, locale: str, found: Iterable[Found]) -> int:
        """Publish what was mined; how many are new. `tenant` is its pseudonym. Raises Unavailable, Conflict."""
        fresh = {rewrite_id(tenant, locale, each): each for each in found}

        def change(known: tuple[Published, ...]) -> tuple[Published, ...]:
            by_id = {published.id: published for published in known}
            replaced = {each.source for each in fresh.values()}
            # Another target for the same words takes the old one's place, unless that one was retired: it stays known.
            kept = {i: p for i, p in by_id.items() if p.retired or p.source not in replaced or i in fresh}
            for new_id, each in fresh.items():
                kept.setdefault(new_id, _published(new_id, each))
            return tuple(sorted(kept.values(), key=lambda p: (p.retired, -p.worth)))[:MAX_REWRITES]

        before = {published.id for published in await self.of(tenant, locale)}
        after = await self._update(tenant, locale, change)
        return len({published.id for published in after} - before)

    async def report(self, tenant: str, locale: str, scores: Mapping[Score, int]) -> tuple[str, ...]:
        """Count wins and losses, each so many times; ids of those that are retired by it. `tenant` is its pseudonym."""
        retired: list[str] = []
        told = {score.rewrite_id for score in scores}

        def change(known: tuple[Published, ...]) -> tuple[Published, ...]:
            counted = [_counted(published, scores) for published in known]
            failing = {published.id for published in counted if published.failing and not published.retired}
            retired[:] = sorted(failing)
            return tuple(replace(p, retired=True) if p.id in failing else p for p in counted)

        all_retired: list[str] = []
        for tag in _tags(locale):
            if any(published.id in told for published in await self.of(tenant, tag)):
                await self._update(tenant, tag, change)
                all_retired += retired
        return tuple(all_retired)

    async def _update(
        self, tenant: str, locale: str, change: Callable[[tuple[Published, ...]], tuple[Published, ...]]
    ) -> tuple[Published, ...]:
        key = _key(tenant, locale)
        for _ in range(ATTEMPTS):
            found = await self.store.get(OWNER, key)
            changed = change(_decoded(found.value) if found else ())
            try:
                await self.store.put(
                    OWNER, key, _encoded(changed), ttl=KEPT_S, expected=found.version if found else ABSENT
                )
                return changed
            except Conflict:
                continue
        raise Conflict("the rewrites change too fast; repeat", reason="REWRITES_CONTENDED")


def rewrite_id(tenant: str, locale: str, found: Found) -> str:
    """Always the same for the same words: what was retired is known again."""
    return "rw-" + sha256("\0".join((tenant, locale, found.source, found.target)).encode()).hexdigest()[:16]


def beta_below(one: tuple[int, int], other: tuple[int, int]) -> float:
    """P(x < y) for x of Beta(*one) and y of Beta(*other), whole parameters >= 1.

    The exact sum of Evan Miller, "Formulas for Bayesian A/B testing" (2014); by the normal approximation beyond 2,000,
    where the two agree to three digits.
    """
    (a, b), (c, d) = one, other
    if max(a, b, c, d) > 2_000:
        mean = c / (c + d) - a / (a + b)
        spread = a * b / ((a + b) ** 2 * (a + b + 1)) + c * d / ((c + d) ** 2 * (c + d + 1))
        return 0.5 * math.erfc(-mean / math.sqrt(2.0 * spread))
    total = 0.0
    for i in range(c):
        total += math.exp(_log_beta(a + i, b + d) - math.log(d + i) - _log_beta(1 + i, d) - _log_beta(a, b))
    return min(1.0, max(0.0, total))


def _tags(locale: str) -> tuple[str, ...]:
    """Where rewrites for a locale are published: for its language, and for itself, which comes first in doubt."""
    return tuple(dict.fromkeys((locale.partition("-")[0], locale)))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _counted(published: Published, scores: Mapping[Score, int]) -> Published:
    def count(*, held_out: bool, good: bool) -> int:
        return scores.get(Score(published.id, held_out, good), 0)

    return replace(
        published,
        wins=published.wins + count(held_out=False, good=True),
        losses=published.losses + count(held_out=False, good=False),
        held_wins=published.held_wins + count(held_out=True, good=True),
        held_losses=published.held_losses + count(held_out=True, good=False),
    )


def _published(new_id: str, found: Found) -> Published:
    return Published(
        new_id,
        found.source,
        found.target,
        found.intent,
        found.worth,
        stay_good=found.stay_good,
        stay_bad=found.stay_bad,
    )


def _key(tenant: str, locale: str) -> str:
    return f"learning/rewrites/{tenant}/{locale[:64]}"


def _encoded(published: Sequence[Published]) -> bytes:
    # As UTF-8: escaped, 1,000 long rewrites in another script would outgrow a value of the store.
    return json.dumps([asdict(each) for each in published], ensure_ascii=False).encode()


def _decoded(value: bytes) -> tuple[Published, ...]:
    return tuple(Published(**each) for each in json.loads(value))
