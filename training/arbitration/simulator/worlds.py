"""A made-up market of skills that overlap, and households that use it: what turns are drawn from.

`turns` draws; `training.arbitration.train` and `benchmarks/rankers.py` ask for them. Everything here is invented but
the readings of words (`confusions`); the constants below say what is assumed of people and skills, and no figure got
from it says anything of people.

- A world has 60 intents in 18 domains; each domain has three or four skills, each serving most of the
  domain's intents, so that an intent has about three providers. A skill has a quality that no ranker sees.
- A world of a fresh installation has one skill per domain, and its households have chosen nothing.
- A household likes some skills better than others (hidden), has usually chosen one per domain, now and then more,
  mostly what it likes, and has a history of uses and endings.
- Worlds differ in everything, so that those of training, development and test share no skill and no household.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from services.arbitration.feedback import FeedbackBook
from services.arbitration.manifests import IntentSpec, Manifest, SlotSpec
from services.arbitration.registry_of_skills import EVERYONE, SkillRegistry
from training.arbitration.simulator.confusions import Confusions

COVERED: Final = 0.92
"""Share of its domain's intents that a skill serves."""

SKILLS: Final = (3, 4)
"""Least and most skills of a domain."""

ASKED: Final = 0.8
"""Share of intents that want to be asked by CanFulfill."""

WITH_SLOT: Final = 0.6
"""Share of intents that need a value; of half of these the skills have catalogues."""

STOCKED: Final = (0.25, 0.75)
"""Least and most share of what people ask for that a skill's catalogue holds."""

LIKES_CHOSEN: Final = 4.5
"""What having chosen a skill adds to how a household likes it, in standard deviations of liking."""

LIKES_QUALITY: Final = 1.2
LIKES_STOCK: Final = 2.5
LIKES_GOING_ON: Final = 1.8
LIKES_ABLE: Final = 5.0
"""The same of quality; of having what is asked for; of having answered just before; of being able to serve at all."""

SECOND_CHOICE: Final = 0.05
FILLS_GAPS: Final = 0.85
"""Shares: of domains that a second skill is chosen for; of intents no chosen skill serves, that one more is for."""

WHIM: Final = 0.35
"""Standard deviation of what is drawn anew for every wish."""

NOW: Final = 1_750_000_000.0
DAY: Final = 86_400.0
HISTORY: Final = (5, 500)
"""Least and most turns of a household before the first that counts, within 60 days; their logarithm is uniform."""

LOCALES: Final = ("en-US", "en-GB")


@dataclass(frozen=True, slots=True)
class Provider:
    """A skill of a world. `stock` is the share of wishes that its catalogue can name."""

    skill_id: str
    labels: frozenset[str]
    quality: float
    stock: float
    able: float


@dataclass(frozen=True)
class World:
    """Skills, and the registry of the platform that holds them.

    Attributes:
        providers: by label.
        slotted: labels that need a value -> whether skills have catalogues for it.
    """

    registry: SkillRegistry
    skills: tuple[Provider, ...]
    providers: dict[str, tuple[Provider, ...]]
    slotted: dict[str, bool]

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.providers)

    @classmethod
    def drawn(cls, rng: np.random.Generator, confusions: Confusions, *, fresh: bool = False) -> World:
        """A world of the intents that there are readings of; a fresh one has no overlap."""
        labels = [label for label, reads in confusions.by_label.items() if label != "out_of_scope" and reads]
        slotted = {label: bool(rng.random() < 0.5) for label in labels if rng.random() < WITH_SLOT}
        domains: dict[str, list[str]] = {}
        for label in labels:
            domains.setdefault(label.partition("_")[0], []).append(label)
        skills = [
            _provider(rng, f"{domain}_{number}", own, 1.0 if fresh else COVERED)
            for domain, own in domains.items()
            for number in range(1 if fresh else int(rng.integers(SKILLS[0], SKILLS[1] + 1)))
        ]
        registry = SkillRegistry()
        for skill in skills:
            registry.register(_manifest(rng, skill, slotted))
            registry.enable(EVERYONE, skill.skill_id)
        providers = {label: tuple(skill for skill in skills if label in skill.labels) for label in labels}
        return cls(registry, tuple(skills), {label: own for label, own in providers.items() if own}, slotted)


def _provider(rng: np.random.Generator, skill_id: str, labels: Sequence[str], covered: float) -> Provider:
    served = frozenset(label for label in labels if rng.random() < covered) or frozenset(labels[:1])
    return Provider(
        skill_id, served, float(rng.normal()), float(rng.uniform(*STOCKED)), able=float(rng.uniform(0.8, 1.0))
    )


def _manifest(rng: np.random.Generator, skill: Provider, slotted: dict[str, bool]) -> Manifest:
    intents = tuple(
        IntentSpec(
            f"{skill.skill_id}.{label}",
            slots=(SlotSpec("value", "text", required=True),) if label in slotted else (),
            ask_first=bool(rng.random() < ASKED),
        )
        for label in sorted(skill.labels)
    )
    spoken = LOCALES if rng.random() < 0.5 else LOCALES[:1] if rng.random() < 0.5 else LOCALES[1:]
    return Manifest(skill.skill_id, "1.0.0", spoken, intents, publisher="simulated")


@dataclass
class Household:
    """People who share credentials. `likes` and `interests` are hidden from every ranker."""

    tenant: str
    locale: str
    likes: dict[str, float]
    interests: np.ndarray[tuple[int], np.dtype[np.float64]]
    chosen: frozenset[str]
    book: FeedbackBook = field(default_factory=FeedbackBook)

    @classmethod
    def drawn(cls, rng: np.random.Generator, world: World, number: int, *, fresh: bool = False) -> Household:
        """Moves in: chooses skills, and lives through its history; a fresh one has chosen nothing."""
        likes = {skill.skill_id: float(rng.normal()) for skill in world.skills}
        locale = LOCALES[int(rng.integers(len(LOCALES)))]
        chosen = frozenset() if fresh else frozenset(_chosen(rng, world, likes))
        tenant = f"household-{number}"
        for skill_id in chosen:
            world.registry.enable(tenant, skill_id)
        interests = rng.dirichlet(np.full(len(world.labels), 0.3))
        household = cls(tenant, locale, likes, interests, chosen)
        past = int(np.exp(rng.uniform(*np.log(HISTORY))))
        for age in sorted(rng.uniform(0.0, 60.0, past), reverse=True):
            label = world.labels[int(rng.choice(len(world.labels), p=interests))]
            household.served(rng, household.prefers(rng, world.providers[label]), label, NOW - age * DAY)
        return household

    def prefers(
        self,
        rng: np.random.Generator,
        providers: Sequence[Provider],
        *,
        stocked: frozenset[str] = frozenset(),
        unable: frozenset[str] = frozenset(),
        last: str = "",
    ) -> Provider:
        """Whom it means by a wish: the one it likes best, all things considered."""

        def liking(skill: Provider) -> float:
            skill_id = skill.skill_id
            return (
                self.likes[skill_id]
                + LIKES_CHOSEN * (skill_id in self.chosen)
                + LIKES_QUALITY * skill.quality
                + LIKES_STOCK * (skill_id in stocked)
                + LIKES_GOING_ON * (skill_id == last)
                - LIKES_ABLE * (skill_id in unable)
                + WHIM * float(rng.normal())
            )

        return max(providers, key=liking)

    def served(self, rng: np.random.Generator, skill: Provider, label: str, now: float) -> None:
        """A turn of its history: it ends the better, the better the skill is and the more it is liked."""
        self.book.used(self.tenant, "", skill.skill_id, now)
        well = 1.0 / (1.0 + np.exp(-(0.8 + 1.2 * skill.quality + 0.5 * self.likes[skill.skill_id])))
        self.book.record(self.tenant, skill.skill_id, f"{skill.skill_id}.{label}", good=bool(rng.random() < well))


def _chosen(rng: np.random.Generator, world: World, likes: dict[str, float]) -> set[str]:
    """One skill per domain, now and then two, and mostly one more where these leave an intent out: what it likes."""
    domains: dict[str, list[Provider]] = {}
    for skill in world.skills:
        domains.setdefault(skill.skill_id.rpartition("_")[0], []).append(skill)
    chosen: set[str] = set()
    for skills in domains.values():
        wanted = sorted(skills, key=lambda skill: likes[skill.skill_id] + float(rng.normal()), reverse=True)
        chosen |= {skill.skill_id for skill in wanted[: 1 + int(rng.random() < SECOND_CHOICE)]}
    for own in world.providers.values():
        if not any(skill.skill_id in chosen for skill in own) and rng.random() < FILLS_GAPS:
            chosen.add(max(own, key=lambda skill: likes[skill.skill_id]).skill_id)
    return chosen
