"""A ranker on trial beside the one that serves: compared in the shadow, given its share in the canary.

`judging` asks `kind` which ranker serves a session; `school` shows it every turn that is over. They are compared later
by `refresh`, so that neither this turn nor the next waits; nothing the other ranker would choose is executed here.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from services.arbitration.hypotheses import Candidate
from services.arbitration.learning.off_policy import NEW_ARM, first_of
from services.arbitration.learning.rollout import Compared, Phase, Rollout, RolloutBook, Seen, Tally
from services.arbitration.rankers.choice import RankerKind, Rankers
from services.runtime.errors import AntiphonError

log = logging.getLogger(__name__)

OLD_ARM: Final = "ranker=old"
"""Turns of the usual ranker while another is on trial."""

MAX_WAITING: Final = 256
"""Turns that wait to be compared; of more, the oldest are left out."""


@dataclass
class RankerTrial:
    """What this replica knows of the rollout, and what it has seen since it reported last."""

    book: RolloutBook
    rankers: Rankers
    now: Callable[[], float] = time.time
    _rollout: Rollout | None = None
    _seen: Seen = field(default_factory=Seen)
    _waiting: deque[tuple[tuple[Candidate, ...], float]] = field(default_factory=lambda: deque(maxlen=MAX_WAITING))

    def kind(self, session_id: str) -> RankerKind | None:
        """The ranker on trial for the sessions of its share, the same on every replica; None for the usual one."""
        rollout = self._rollout
        if rollout is None or not self._tried(rollout):
            return None
        digest = hashlib.blake2b(f"{rollout.ranker}\0{session_id}".encode(), digest_size=8, person=b"rollout").digest()
        drawn = int.from_bytes(digest, "big") / 2.0**64
        return RankerKind(rollout.ranker) if drawn < rollout.share(self.book.rules) else None

    def arm(self, session_id: str) -> str:
        """Who ranked, for the log: empty while nothing is on trial."""
        rollout = self._rollout
        if rollout is None or rollout.phase not in (Phase.CANARY, Phase.FULL) or not self._tried(rollout):
            return ""
        return NEW_ARM if self.kind(session_id) is not None else OLD_ARM

    def show(self, ranked: Sequence[Candidate], out_of_scope: float) -> None:
        """A turn is over: whether the ranker in the shadow would have put the same candidate first is seen later."""
        rollout = self._rollout
        eligible = tuple(candidate for candidate in ranked if candidate.eligible)
        if rollout is not None and rollout.phase is Phase.SHADOW and eligible and self._tried(rollout):
            self._waiting.append((eligible, out_of_scope))

    async def _compare(self, rollout: Rollout, eligible: Sequence[Candidate], out_of_scope: float) -> None:
        try:
            other = await self.rankers.get(RankerKind(rollout.ranker)).rank(eligible, out_of_scope)
        except AntiphonError as error:
            log.warning("the ranker in the shadow failed: %s", error.reason)
            return
        best = max(range(len(eligible)), key=lambda index: eligible[index].probability)
        domain = eligible[best].hypothesis.intent.partition(".")[0]
        differs = Compared(1, int(first_of(eligible, other) != best))
        domains = {**self._seen.domains, domain: self._seen.domains.get(domain, Compared()).plus(differs)}
        self._seen = replace(self._seen, domains=domains)

    def reward(self, arm: str, *, good: bool) -> None:
        """How a turn ended under one of the two."""
        one = Tally(int(good), int(not good))
        if arm == NEW_ARM:
            self._seen = replace(self._seen, new=self._seen.new.plus(one))
        elif arm == OLD_ARM:
            self._seen = replace(self._seen, old=self._seen.old.plus(one))

    async def refresh(self) -> None:
        """Compare, report what was seen and learn how far the rollout has come; a store that is away is asked again."""
        before = self._rollout
        waiting, self._waiting = self._waiting, deque(maxlen=MAX_WAITING)
        if before is not None and before.ranker in self.rankers.by_kind:
            for eligible, out_of_scope in waiting:
                await self._compare(before, eligible, out_of_scope)
        seen, self._seen = self._seen, Seen()
        try:
            if before is not None and seen != Seen():
                self._rollout = await self.book.report(before.ranker, seen, self.now())
            else:
                self._rollout = await self.book.get()
        except AntiphonError as error:
            log.warning("the rollout was not read: %s", error.reason)
            self._seen = _together(seen, self._seen)
            return
        after = self._rollout
        if after is not None and before is not None and after.phase != before.phase:
            log.warning("ranker %s: %s -> %s (%s)", after.ranker, before.phase, after.phase, after.reason)

    def _tried(self, rollout: Rollout) -> bool:
        """Whether it is a ranker beside the one that serves: not one that is missing here, or serves by now."""
        return rollout.ranker in self.rankers.by_kind and rollout.ranker != self.rankers.default


def _together(one: Seen, other: Seen) -> Seen:
    domains = dict(one.domains)
    for name, compared in other.domains.items():
        domains[name] = domains.get(name, Compared()).plus(compared)
    return Seen(one.new.plus(other.new), one.old.plus(other.old), domains)
