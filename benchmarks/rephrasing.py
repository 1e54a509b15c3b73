"""People who say it again in other words: a simulation of sessions for `benchmarks.rewrites`.

The world: some hundred wishes, asked as often as Zipf's law says, each with six wordings of two to four words that only
partly overlap. The plainest works nearly always, two others mostly, three seldom; people do not know which. One wording
in eight is used for a second wish too, so that rewriting it must fail somebody.

The people: who is not served gives up, says the same again, says what the crowd says next (a wording that is seldom any
better: the trap of looking one step ahead), falls back on the plainest words, or tries anything else. Some failures are
a wrong answer instead of none: the platform does not know, and if the person then gives up in silence it counts the
turn as completed. Each wish has an intent of its own, without values. One session in five goes on to another wish. What
the platform sees of all this are words, readings, times and its own outcomes; how a turn ended is told by
`services.arbitration.learning.rewards`, as in production. All shares are assumptions, none is measured on people: there
are two sets of them, for and against looking one step ahead.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from services.arbitration.learning.interactions import Interaction
from services.arbitration.learning.rewards import RewardWatch, Said, Verdict, plain

WORDINGS: Final = 6
WORKS: Final = (0.97, 0.93, 0.75, 0.3, 0.12, 0.05)
"""How often each of a wish's wordings is understood, the plainest first."""

POPULAR: Final = (0.3, 0.16, 0.14, 0.14, 0.14, 0.12)
"""How often each is the first thing people say."""

MOVES_ON: Final = 0.2
MOST_ATTEMPTS: Final = 5
SHARED: Final = 1 / 8
_SYLLABLES: Final = "ba de ki lo mu na pe ri so tu va we xi yo zu fa ge hi jo ku".split()
_VERBS: Final = "play turn set show find call start stop open tell".split()


@dataclass(frozen=True, slots=True)
class Habits:
    """How people behave: shares of those who were not served, and then of those who did not give up.

    Attributes:
        wishes: how many different ones there are.
        wrong_answer: share of failures that the platform takes for an answer.
    """

    wishes: int
    gives_up: float
    repeats: float
    crowd: float
    plainly: float
    wrong_answer: float


MISLED: Final = Habits(150, gives_up=0.15, repeats=0.1, crowd=0.45, plainly=0.35, wrong_answer=0.2)
"""What most people say next seldom works either."""

WELL_ADVISED: Final = Habits(300, gives_up=0.25, repeats=0.2, crowd=0.25, plainly=0.35, wrong_answer=0.25)
"""What most people say next mostly works, many give up, and the log is thin."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Something people want; `crowd` is the wording they try next, whatever they said."""

    number: int
    wordings: tuple[str, ...]
    crowd: int


@dataclass
class World:
    """All wishes, and how people go about them."""

    habits: Habits
    wishes: list[Wish] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    @classmethod
    def build(cls, habits: Habits, seed: int) -> World:
        """The same world for the same seed."""
        rng = random.Random(seed)
        wishes = [_wish(number, rng) for number in range(habits.wishes)]
        for number, wish in enumerate(wishes):
            other = wishes[rng.randrange(habits.wishes)]
            if rng.random() < SHARED * WORDINGS and other.number != number:
                place = rng.randrange(2, WORDINGS)
                wordings = (*wish.wordings[:place], other.wordings[rng.randrange(2, WORDINGS)])
                wishes[number] = replace(wish, wordings=(*wordings, *wish.wordings[place + 1 :]))
        return cls(habits, wishes, [1.0 / (rank + 10) for rank in range(habits.wishes)])

    def works(self, wish: Wish, words: str) -> float:
        """How often the words get the wish fulfilled: those of another wish never do."""
        return WORKS[wish.wordings.index(words)] if words in wish.wordings else 0.0


@dataclass
class Outcome:
    """What came of the sessions: rows as the platform logs them, and the truth, which it does not know."""

    rows: list[Interaction] = field(default_factory=list)
    wishes: int = 0
    defects: int = 0
    """Wishes that were not fulfilled by what was said first."""
    fulfilled: int = 0
    harmed: int = 0
    """First words that would have worked as they were, and were rewritten in vain."""

    @property
    def defect_rate(self) -> float:
        return self.defects / self.wishes

    @property
    def success_rate(self) -> float:
        return self.fulfilled / self.wishes


def sessions(world: World, count: int, seed: int, rewrites: Mapping[str, str] | None = None) -> Outcome:
    """So many sessions; with `rewrites`, the platform reads other words than were said."""
    simulation = _Simulation(world, random.Random(seed), rewrites or {})
    for number in range(count):
        simulation.session(f"s{number}")
    simulation.watch.settle_quiet(simulation.clock + 1e6)
    return simulation.outcome


class _Simulation:
    """The sessions of one run, one after the other."""

    def __init__(self, world: World, rng: random.Random, rewrites: Mapping[str, str]) -> None:
        self.world, self.rng, self.rewrites = world, rng, rewrites
        self.outcome = Outcome()
        self.clock = 1e9
        self.watch: RewardWatch[Interaction] = RewardWatch(self._settle)

    def session(self, name: str) -> None:
        """One person, with one wish or more."""
        self.clock += 120.0
        self.watch.settle_quiet(self.clock)
        self._wish(name)
        while self.rng.random() < MOVES_ON:
            self.clock += 20.0 * self.rng.random()
            self._wish(name)

    def _wish(self, name: str) -> None:
        world, rng, outcome = self.world, self.rng, self.outcome
        wish = rng.choices(world.wishes, world.weights)[0]
        said = rng.choices(range(WORDINGS), POPULAR)[0]
        outcome.wishes += 1
        for attempt in range(MOST_ATTEMPTS):
            words = wish.wordings[said]
            read = self.rewrites.get(words, words)
            good = rng.random() < world.works(wish, read)
            self._turn(name, words, read, wish, good=good)
            if attempt == 0:
                outcome.defects += not good
                outcome.harmed += not good and read != words and rng.random() < world.works(wish, words)
            if good:
                outcome.fulfilled += 1
                return
            if rng.random() < world.habits.gives_up:
                return
            said = _next(wish, said, world.habits, rng)

    def _turn(self, session: str, words: str, read: str, wish: Wish, *, good: bool) -> None:
        self.clock += 5.0 + 6.0 * self.rng.random()
        answered = good or self.rng.random() < self.world.habits.wrong_answer
        intent = f"wish.{wish.number if good else self.rng.randrange(len(self.world.wishes))}" if answered else ""
        turn_id = f"{session}-{self.clock:.0f}"
        row = Interaction(
            turn_id,
            session,
            "tenant",
            session,
            self.clock,
            "en",
            text=words,
            outcome="answered" if answered else "not_understood",
            intent=intent,
            form=f"{intent}()",
            rewrite_id="rw" if read != words else "",
        )
        said = Said(plain(words))
        self.watch.begun(session, said, self.clock)
        if answered:
            self.watch.ended(session, turn_id, said, row, self.clock + 2.0)
        else:
            self._settle(row, Verdict.FAILED)

    def _settle(self, row: Interaction, verdict: Verdict) -> None:
        self.outcome.rows.append(replace(row, verdict=str(verdict), reward=verdict.reward))


def _next(wish: Wish, said: int, habits: Habits, rng: random.Random) -> int:
    ways = (said, wish.crowd, 0, rng.choice([other for other in range(WORDINGS) if other != said]))
    shares = (habits.repeats, habits.crowd, habits.plainly)
    return rng.choices(ways, (*shares, 1.0 - sum(shares)))[0]


def _wish(number: int, rng: random.Random) -> Wish:
    thing, place = ("".join(rng.choices(_SYLLABLES, k=3)) for _ in range(2))
    verbs = rng.sample(_VERBS, WORDINGS)
    shapes = ("{verb} {thing}", "{verb} the {thing} {place}", "{verb} {place} {thing} now")
    wordings = tuple(shapes[n % 3].format(verb=verb, thing=thing, place=place) for n, verb in enumerate(verbs))
    order = rng.sample(range(WORDINGS), WORDINGS)
    return Wish(number, tuple(wordings[index] for index in order), rng.randrange(3, WORDINGS))
