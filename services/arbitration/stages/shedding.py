"""What is left out when the replica cannot keep up.

`judging` and the stages ask `Shedding.sheds`; `replica` runs `follow`. Two signs of load: how late the event loop comes
to its timers, and how many turns are open. What is left out first costs the user least: CanFulfill (a skill that cannot
is asked in vain), then the sequence ranker, then rescoring, then the recogniser's further alternatives.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

INTERVAL_S: Final = 0.1
"""Between two looks at the event loop."""

LOOKS: Final = 5
"""Looks that must agree: the least lag of these counts, so that one long step is no load."""


class Shed(Enum):
    """What may be left out, in this order."""

    CAN_FULFILL = 1
    SEQUENCE_RANKER = 2
    RESCORING = 3
    N_BEST = 4


@dataclass(frozen=True, slots=True)
class SheddingPolicy:
    """From which load on each is left out, one figure for each `Shed`.

    Attributes:
        lags: lateness of the event loop in seconds.
        turns: turns open at once.
        calm: seconds that the load must stay below a level before that is taken back.
    """

    lags: tuple[float, float, float, float] = (0.05, 0.1, 0.2, 0.4)
    turns: tuple[int, int, int, int] = (64, 96, 128, 192)
    calm: float = 2.0

    def __post_init__(self) -> None:
        for levels in (self.lags, self.turns):
            if list(levels) != sorted(levels) or levels[0] <= 0:
                raise ValueError(f"levels of load must be above 0 and rise, not {levels}")

    def level(self, lag: float, turns: int) -> int:
        """How many are left out."""
        return max(
            sum(lag >= bound for bound in self.lags),
            sum(turns >= bound for bound in self.turns),
        )


@dataclass
class Shedding:
    """The load of this replica and what follows from it."""

    policy: SheddingPolicy = field(default_factory=SheddingPolicy)
    level: int = 0
    open_turns: int = 0
    _lags: deque[float] = field(default_factory=lambda: deque(maxlen=LOOKS))
    _calm_since: float | None = None

    def sheds(self, what: Shed) -> bool:
        """Whether it is left out now."""
        return what.value <= self.level

    @contextmanager
    def turn(self) -> Iterator[None]:
        """A turn is open."""
        self.open_turns += 1
        try:
            yield
        finally:
            self.open_turns -= 1

    def observe(self, lag: float, now: float) -> None:
        """A look at the event loop: it came `lag` seconds late to a timer, at `now`. More is shed at once."""
        self._lags.append(lag)
        steady = min(self._lags) if len(self._lags) == LOOKS else 0.0
        wanted = self.policy.level(steady, self.open_turns)
        if wanted >= self.level:
            self.level, self._calm_since = wanted, None
        elif self._calm_since is None:
            self._calm_since = now
        elif now - self._calm_since >= self.policy.calm:
            self.level, self._calm_since = self.level - 1, now

    async def follow(self) -> None:
        """Looks at the event loop for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            now = loop.time()
            self.observe(max(0.0, now - due), now)
