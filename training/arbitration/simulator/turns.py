"""Turns of simulated households, as lists of candidates with the features that the platform itself works out.

    for turn in turns("train", worlds=8, households=40, each=30, seed=1): ...

What people mean and how it is heard, read and answered is drawn here; candidates and features come from
`stages.shortlist` and `stages.resolve`, as in a running replica. State of operations is not drawn at all: no ranker
may learn from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from services.arbitration.contexts import (
    ConversationState,
    PastTurn,
    PendingPrompt,
    Profile,
    PromptKind,
    TurnContext,
)
from services.arbitration.hypotheses import Alternative, Candidate, Hypothesis, Interpretation, Slot, Understanding
from services.arbitration.stages.resolve import resolve
from services.arbitration.stages.shortlist import shortlist
from training.arbitration.simulator.confusions import Confusions, Read
from training.arbitration.simulator.worlds import NOW, Household, Provider, World

OUTSIDE: Final = 0.12
"""Share of turns that no skill is meant by."""

GOES_ON: Final = 0.25
ASKED_BACK: Final = 0.12
ANSWERS: Final = 0.85
"""Shares: of turns that go on with the last one's domain; that follow a question of a skill; of those, that answer."""

MISHEARD: Final = 0.15
SECOND: Final = 0.6
"""Share of turns whose best alternative has wrong words; of these, whose right words are the second or third."""

ALIKE: Final = 0.7
"""Share of wrong alternatives that mean what the other wrong ones mean."""

REWRITES: Final = 0.25
REWRITE_RIGHT: Final = 0.85
"""Share of misheard turns that a rewrite is known for; of rewrites, that are right."""

LEAST: Final = 0.02
"""Labels less likely than this are not told."""

JITTER: Final = 0.15
"""Standard deviation of the logarithm of how much better an overlapping skill's phrases fit than another's."""

PRECISE: Final = 0.35
"""Share of wishes that name something out of a catalogue, where there are catalogues."""

SENSELESS: Final = 0.3
"""Share of wrong readings that make sense to the skill that would get them."""

ANSWER_OF: Final[Mapping[bool, Mapping[str, float]]] = {
    True: {"fulfil_yes": 0.82, "fulfil_maybe": 0.10, "fulfil_no": 0.02, "fulfil_missing": 0.06},
    False: {"fulfil_yes": 0.08, "fulfil_maybe": 0.22, "fulfil_no": 0.62, "fulfil_missing": 0.08},
}
"""Whether a skill can serve -> what it says when asked, or that it says nothing in time."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A list to rank.

    Attributes:
        right: index of what was meant; None when nothing in the list was.
        in_scope: some skill was meant, whether it is in the list or not.
    """

    candidates: tuple[Candidate, ...]
    out_of_scope: float
    right: int | None
    in_scope: bool


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is meant: nothing the platform has where `skill` is None. `unable` cannot serve it, `stocked` have it."""

    label: str
    skill: Provider | None
    short: bool = False
    stocked: frozenset[str] = frozenset()
    unable: frozenset[str] = frozenset()


def turns(
    part: str, *, worlds: int, households: int, each: int, seed: int, silent: float = 0.0, fresh: bool = False
) -> Iterator[Turn]:
    """`worlds * households * each` turns, the same for the same arguments.

    Args:
        part: "train", "dev" or "test": which readings are drawn from; worlds of two parts are never the same.
        each: turns of a household.
        fresh: installations with one skill per domain, whose households have chosen nothing.
        silent: share of CanFulfill calls that hang and count as missing, beside the usual ones.
    """
    confusions = Confusions.of(part)
    for number in range(worlds):
        rng = np.random.default_rng((sum(part.encode()), seed, number, int(fresh)))
        world = World.drawn(rng, confusions, fresh=fresh)
        for at in range(households):
            household = Household.drawn(rng, world, at, fresh=fresh)
            yield from _Living(rng, world, household, confusions, silent).turns(each)


class _Living:
    """One household's turns, one after the other."""

    def __init__(
        self, rng: np.random.Generator, world: World, household: Household, confusions: Confusions, silent: float
    ) -> None:
        self._rng = rng
        self._world = world
        self._household = household
        self._confusions = confusions
        self._silent = silent
        self._last: tuple[Provider, str] | None = None

    def turns(self, count: int) -> Iterator[Turn]:
        for _ in range(count):
            asked = self._asked_back()
            wish = self._wish(asked)
            context = self._context(asked)
            yield self._turn(wish, context)
            self._last = None
            if wish.skill is not None:
                self._household.served(self._rng, wish.skill, wish.label, NOW)
                self._last = (wish.skill, wish.label)

    def _chance(self, share: float) -> bool:
        return bool(self._rng.random() < share)

    # --- what is meant ------------------------------------------------------------------------------------------------
    def _asked_back(self) -> Hypothesis | None:
        """The question that the last skill has asked, if it has."""
        if self._last is None or not self._chance(ASKED_BACK / (1 - OUTSIDE)):
            return None
        skill, label = self._last
        return Hypothesis(skill.skill_id, Interpretation(f"{skill.skill_id}.{label}", 1.0, skill_id=skill.skill_id))

    def _wish(self, asked: Hypothesis | None) -> _Wish:
        if asked is not None and self._last is not None and self._chance(ANSWERS):
            return _Wish(self._last[1], self._last[0], short=True)
        if self._chance(OUTSIDE):
            return _Wish("out_of_scope", None)
        labels = self._world.labels
        goes_on = self._last is not None and self._chance(GOES_ON)
        if goes_on and self._last is not None:
            domain = self._last[1].partition("_")[0]
            near = [label for label in labels if label.partition("_")[0] == domain]
            label = near[int(self._rng.integers(len(near)))]
        else:
            label = labels[int(self._rng.choice(len(labels), p=self._household.interests))]
        providers = self._world.providers[label]
        unable = frozenset(one.skill_id for one in providers if not self._chance(one.able))
        stocked: frozenset[str] = frozenset()
        if self._world.slotted.get(label) and self._chance(PRECISE):
            stocked = frozenset(one.skill_id for one in providers if self._chance(one.stock))
        last = self._last[0].skill_id if goes_on and self._last else ""
        meant = self._household.prefers(self._rng, providers, stocked=stocked, unable=unable, last=last)
        return _Wish(label, meant, short=goes_on and self._chance(0.4), stocked=stocked, unable=unable)

    def _context(self, asked: Hypothesis | None) -> TurnContext:
        past: tuple[PastTurn, ...] = ()
        if self._last is not None:
            skill, label = self._last
            served = Hypothesis(skill.skill_id, Interpretation(f"{skill.skill_id}.{label}", 1.0))
            past = (PastTurn("before", "", "", served, NOW),)
        pending = PendingPrompt("question", PromptKind.ELICIT_SLOT, (asked,)) if asked else None
        profile = Profile(self._household.tenant, self._household.locale, third_party_skills=True)
        return TurnContext("session", "turn", profile, NOW, state=ConversationState(past, pending))

    # --- how it is heard and read -------------------------------------------------------------------------------------
    def _turn(self, wish: _Wish, context: TurnContext) -> Turn:
        alternatives, reads, rewrite = self._heard(wish)
        understanding = self._understood(wish, alternatives, reads)
        registry, book = self._world.registry, self._household.book
        listed = shortlist(understanding, alternatives, context, registry, book, rewrite_at=rewrite)
        resolved = resolve((one for one in listed if one.eligible), context, registry)
        candidates = tuple(self._answered(candidate, wish) for candidate in resolved)
        meant = f"{wish.skill.skill_id}.{wish.label}" if wish.skill else ""
        right = next((n for n, one in enumerate(candidates) if one.hypothesis.intent == meant), None)
        return Turn(candidates, understanding.out_of_scope, right, wish.skill is not None)

    def _heard(self, wish: _Wish) -> tuple[tuple[Alternative, ...], list[Read], int | None]:
        """Alternatives with their readings, and which of them is a rewrite."""
        rng = self._rng
        count = int(rng.integers(2, 4))
        true = 0
        if self._chance(MISHEARD):
            true = int(rng.integers(1, count)) if self._chance(SECOND) else -1
        sure = sorted((float(rng.beta(4, 3)) for _ in range(count)), reverse=True)
        if true == 0:
            sure[0] = max(float(rng.beta(9, 2)), sure[0])
        # Wrong alternatives mostly have the same wrong words: "call tom", "call tom now".
        wrong = self._misheard(wish.label)
        about = [wrong if self._chance(ALIKE) else self._misheard(wish.label) for _ in range(count)]
        if true >= 0:
            about[true] = wish.label
        reads = [self._read(label, wish.short) for label in about]
        rewrite = None
        if true != 0 and self._chance(REWRITES):
            rewrite = count
            sure.append(sure[0])
            reads.append(self._read(wish.label if self._chance(REWRITE_RIGHT) else self._misheard(wish.label), False))
        return tuple(Alternative(f"words {at}", p) for at, p in enumerate(sure)), reads, rewrite

    def _misheard(self, label: str) -> str:
        """What wrong words are about: the same, some other thing, or nothing."""
        drawn = self._rng.random()
        if drawn < 0.7:
            return label
        labels = self._world.labels
        return labels[int(self._rng.integers(len(labels)))] if drawn < 0.85 else "out_of_scope"

    def _read(self, label: str, short: bool) -> Read:
        reads = self._confusions.by_label.get(label) or self._confusions.by_label["out_of_scope"]
        read = reads[int(self._rng.integers(len(reads)))]
        if not short:
            return read
        # "and tomorrow?" says less than a sentence: the probabilities flatten.
        flat = [(name, p**0.7) for name, p in read.probabilities]
        total = sum(p for _, p in flat) + read.outside**0.7
        return Read(tuple((name, p / total) for name, p in flat), read.outside**0.7 / total)

    def _understood(self, wish: _Wish, alternatives: Sequence[Alternative], reads: Sequence[Read]) -> Understanding:
        """As the understanding service does it: alternatives add up by their weight, overlapping skills share."""
        total = sum(one.confidence for one in alternatives) or 1.0
        weights = [one.confidence / total for one in alternatives]
        said: dict[str, dict[int, float]] = {}
        for at, (weight, read) in enumerate(zip(weights, reads, strict=True)):
            for label, probability in read.probabilities:
                said.setdefault(label, {})[at] = weight * probability
        outside = sum(weight * read.outside for weight, read in zip(weights, reads, strict=True))
        readings = []
        for label, parts in said.items():
            if sum(parts.values()) < LEAST:
                continue
            providers = self._world.providers.get(label, ())
            fits = np.exp(JITTER * self._rng.normal(size=len(providers)))
            for skill, fit in zip(providers, fits / fits.sum() if len(fits) else fits, strict=True):
                at = max(parts, key=lambda number: parts[number])
                readings.append(
                    self._interpretation(wish, label, skill, min(1.0, sum(parts.values()) * float(fit)), at)
                )
        readings.sort(key=lambda reading: reading.confidence, reverse=True)
        return Understanding(tuple(readings), out_of_scope=min(1.0, outside))

    def _interpretation(self, wish: _Wish, label: str, skill: Provider, p: float, at: int) -> Interpretation:
        rng, meant = self._rng, label == wish.label
        slots: tuple[Slot, ...] = ()
        resolution = 1.0
        if label in self._world.slotted and self._chance(0.93 if meant else 0.55):
            hit = self._chance(0.9) if meant and skill.skill_id in wish.stocked else self._chance(0.04)
            sure = float(rng.beta(8, 2) if meant else rng.beta(4, 3))
            same = self._last is not None and self._last[0].skill_id == skill.skill_id
            carried = wish.short and same and self._chance(0.7)
            slots = (Slot("value", f"value {at}", confidence=sure, catalogue_hit=hit, carried=carried),)
            resolution = float(rng.beta(9, 1)) if hit else float(rng.beta(5, 3))
        return Interpretation(f"{skill.skill_id}.{label}", p, slots, at, skill.skill_id, resolution)

    # --- what is found out --------------------------------------------------------------------------------------------
    def _answered(self, candidate: Candidate, wish: _Wish) -> Candidate:
        skill_id, intent = candidate.hypothesis.skill_id, candidate.hypothesis.intent
        manifest = self._world.registry.skill(skill_id).manifest.intent(intent)
        if manifest is None or not manifest.ask_first:
            return candidate
        label = intent.partition(".")[2]
        able = label == wish.label and skill_id not in wish.unable and not candidate.missing_slots
        if label != wish.label:
            able = self._chance(SENSELESS)  # a wrong reading may well make sense to a skill
        said = ANSWER_OF[able]
        answer = str(self._rng.choice(list(said), p=list(said.values())))
        if self._chance(self._silent):
            answer = "fulfil_missing"
        return replace(candidate, features=replace(candidate.features, **{answer: 1.0}))
