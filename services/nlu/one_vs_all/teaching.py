"""Trains the models of one skill: each of its intents against the sentences of all other intents, and of nobody.

`lessons.py` calls `teach` in a thread, one skill at a time. No other skill's model is touched or needed: what is taken
of the others are their phrases, which are encoded once for all intents of a locale.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from services.nlu.one_vs_all.features import ByFeature, Rows, rows_of
from services.nlu.one_vs_all.fitting import BinaryModel, Drawn, fit
from services.nlu.one_vs_all.models import SkillModels
from services.nlu.one_vs_all.spoken_phrases import Crowd, not_meant, said
from services.nlu.skills import Skill

MAX_OTHERS: Final = 1_000
"""Sentences that an intent is told from. On CLINC150 three times as many won 0.4 points, for three times the time."""

MAX_CROWD: Final = 3_000
"""Sentences of a locale, and of a skill in it, that all its intents draw theirs from."""

MAX_WEIGHTS: Final = 4_000
"""Of one model; the heaviest are kept. All models of a skill together keep a hundred times as many."""

TOO_LIKE: Final = 0.4
"""Cosine with a sentence of an intent, from which on a sentence of nobody's is not held against it."""

BACKGROUND: Final = Path(__file__).with_name("background")
"""By language: a sentence per line that people say and no skill is asked for."""

_MOST_COMPARED = 200  # sentences of an intent


class Ended(Exception):
    """The replica goes; the lesson was left."""


@dataclass(frozen=True)
class Sayings:
    """Sentences, whose they are, and their features.

    Attributes:
        owners: int64 [sentences], places in `names`.
        places: sentence in lower case -> its rows.
    """

    owners: npt.NDArray[np.int64]
    names: tuple[str, ...]
    places: dict[str, list[int]]
    index: ByFeature

    @classmethod
    def of(cls, lines: Sequence[tuple[str, str]]) -> Sayings:
        """Of owners with their sentences."""
        names = tuple(dict.fromkeys(name for name, _ in lines))
        numbers = {name: at for at, name in enumerate(names)}
        places: dict[str, list[int]] = {}
        for at, (_, line) in enumerate(lines):
            places.setdefault(line.casefold(), []).append(at)
        rows = rows_of(line for _, line in lines)
        owners = np.array([numbers[name] for name, _ in lines], np.int64)
        return cls(owners, names, places, ByFeature.of(rows.numbers, rows.features, rows.values))

    def others(self, owner: str, but: Iterable[str]) -> npt.NDArray[np.int64]:
        """Rows that are not the owner's, without some sentences in lower case."""
        kept = np.ones(len(self.owners), np.bool_)
        if owner in self.names:
            kept = self.owners != self.names.index(owner)
        kept[[at for line in but for at in self.places.get(line, ())]] = False
        return np.flatnonzero(kept)


class Surroundings:
    """What all skills say, for those that are taught among them: encoded when a locale is first asked for."""

    def __init__(self, skills: Iterable[Skill]) -> None:
        self._skills = sorted(skills, key=lambda one: one.skill_id)
        self._crowds: dict[str, tuple[Sayings, int]] = {}

    def seen(self, skill: Skill) -> dict[str, str]:
        """The other skills with the digests of their manifests."""
        return {one.skill_id: one.digest for one in self._skills if one.skill_id != skill.skill_id}

    def crowd(self, locale: str) -> tuple[Sayings, int]:
        """Sentences with their skills, and how many those were drawn from."""
        if locale not in self._crowds:
            crowd = Crowd(self._skills, locale)
            drawn = crowd.drawn(random.Random(locale), MAX_CROWD)
            self._crowds[locale] = Sayings.of([(name.partition(".")[0], line) for name, line in drawn]), len(crowd)
        return self._crowds[locale]


def teach(skill: Skill, around: Surroundings, ended: Callable[[], bool] = lambda: False) -> SkillModels:
    """The models of a skill, in every locale that it has phrases for.

    Args:
        around: of the other skills; itself is passed over there.
        ended: asked before each model; raises `Ended` where it is so.
    """
    locales = sorted({tag for intent in skill.intents for tag, phrases in intent.phrases.items() if phrases})
    made = {locale: _taught(skill, around, locale, ended) for locale in locales}
    count = sum(map(len, made.values()))
    most = min(MAX_WEIGHTS, 100 * MAX_WEIGHTS // max(1, count))
    return SkillModels(
        skill.skill_id,
        skill.version,
        skill.digest,
        around.seen(skill),
        {locale: {name: model.lightened(most) for name, model in models.items()} for locale, models in made.items()},
    )


def _taught(skill: Skill, around: Surroundings, locale: str, ended: Callable[[], bool]) -> dict[str, BinaryModel]:
    own = {one.full_name: lines for one in skill.intents if (lines := said(skill, one, locale))}
    lines_of_own = [(name, line) for name, lines in own.items() for line in lines]
    kept = random.Random(locale).sample(lines_of_own, min(MAX_CROWD, len(lines_of_own)))
    siblings = Sayings.of(kept)
    (crowd, crowded), nobody = around.crowd(locale), background(locale.partition("-")[0])
    made = {}
    for intent in skill.intents:
        if ended():
            raise Ended
        name = intent.full_name
        if name not in own:
            continue
        rng = np.random.default_rng(zlib.crc32(f"{name} {locale}".encode()))
        shared = {line.casefold() for line in own[name]}  # whoever asks for it may mean either
        meant = rows_of(own[name])
        others = crowd.others(skill.skill_id, shared)
        drawn = [
            Drawn(crowd.index, rng.permutation(others)[:MAX_OTHERS]),
            Drawn(siblings.index, siblings.others(name, shared)),
            Drawn(nobody.index, _unlike(meant, nobody)),
        ]
        left = len(lines_of_own) - len(kept) + max(0, crowded - MAX_OTHERS)
        count = sum(len(one.rows) for one in drawn) + left
        close = not_meant(skill, intent, locale)
        made[name] = fit(meant, _sampled(rng, drawn), rows_of(close) if close else None, standing_for=count)
    return made


def _sampled(rng: np.random.Generator, drawn: Sequence[Drawn]) -> list[Drawn]:
    """`MAX_OTHERS` of all their rows at most."""
    lengths = [len(one.rows) for one in drawn]
    taken = rng.permutation(sum(lengths)) < MAX_OTHERS
    return [
        Drawn(one.index, one.rows[part])
        for one, part in zip(drawn, np.split(taken, np.cumsum(lengths)[:-1]), strict=True)
    ]


def _unlike(meant: Rows, nobody: Sayings) -> npt.NDArray[np.int64]:
    """Nobody's sentences that are not much like an intent's: those might be said for it after all."""
    end = int(meant.starts[min(len(meant), _MOST_COMPARED)])
    features, places = np.unique(meant.features[:end], return_inverse=True)
    own = np.zeros((min(len(meant), _MOST_COMPARED), len(features)), np.float32)
    own[meant.numbers[:end], places] = meant.values[:end]
    theirs = np.zeros((len(features), len(nobody.owners)), np.float32)
    rows, columns, values = nobody.index.entries(features)
    theirs[columns, rows] = values
    return np.flatnonzero((own @ theirs).max(axis=0, initial=0.0) < TOO_LIKE)


@lru_cache(maxsize=32)
def background(language: str) -> Sayings:
    """Sentences of nobody's; none for a language that has none."""
    path = BACKGROUND / f"{language}.txt"
    return Sayings.of([("", line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else [])
