"""Trains the models of one skill: each of its intents against the sentences of all other intents, and of nobody.

`lessons.py` calls `teach` in a thread, one skill at a time. No other skill's model is touched or needed: what is taken
of the others are their phrases. A model takes about a tenth of a second.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from services.nlu.one_vs_all.features import Rows, rows_of
from services.nlu.one_vs_all.fitting import BinaryModel, fit
from services.nlu.one_vs_all.models import SkillModels
from services.nlu.one_vs_all.spoken_phrases import Crowd, not_meant, said
from services.nlu.skills import Skill

MAX_OTHERS: Final = 1_000
"""Sentences that an intent is told from. On CLINC150 three times as many won 0.4 points, for three times the time."""

MAX_WEIGHTS: Final = 4_000
"""Of one model; the heaviest are kept. All models of a skill together keep a hundred times as many."""

TOO_LIKE: Final = 0.4
"""Cosine with a sentence of an intent, from which on a sentence of nobody's is not held against it."""

BACKGROUND: Final = Path(__file__).with_name("background")
"""By language: a sentence per line that people say and no skill is asked for."""

_MOST_COMPARED = 200  # sentences of an intent


class Ended(Exception):
    """The replica goes; the lesson was left."""


def teach(skill: Skill, others: Iterable[Skill], ended: Callable[[], bool] = lambda: False) -> SkillModels:
    """The models of a skill, in every locale that it has phrases for.

    Args:
        ended: asked before each model; raises `Ended` where it is so.
    """
    around = [one for one in others if one.skill_id != skill.skill_id]
    locales = sorted({tag for intent in skill.intents for tag, phrases in intent.phrases.items() if phrases})
    made = {locale: _taught(skill, around, locale, ended) for locale in locales}
    count = sum(map(len, made.values()))
    most = min(MAX_WEIGHTS, 100 * MAX_WEIGHTS // max(1, count))
    return SkillModels(
        skill.skill_id,
        skill.version,
        skill.digest,
        {one.skill_id: one.digest for one in around},
        {locale: {name: model.lightened(most) for name, model in models.items()} for locale, models in made.items()},
    )


def _taught(skill: Skill, around: Sequence[Skill], locale: str, ended: Callable[[], bool]) -> dict[str, BinaryModel]:
    own = {one.full_name: lines for one in skill.intents if (lines := said(skill, one, locale))}
    crowd, nobody = Crowd(around, locale), background(locale.partition("-")[0])
    made = {}
    for intent in skill.intents:
        if ended():
            raise Ended
        if intent.full_name not in own:
            continue
        rng = random.Random(f"{intent.full_name} {locale}")
        others = [line for _, line in crowd.drawn(rng, MAX_OTHERS)]
        others += [line for name, lines in own.items() if name != intent.full_name for line in lines]
        shared = {line.casefold() for line in own[intent.full_name]}  # whoever asks for it may mean either
        others = [line for line in others if line.casefold() not in shared]
        meant = rows_of(own[intent.full_name])
        others = _unlike(meant, nobody) + others
        taken = rng.sample(others, min(MAX_OTHERS, len(others)))
        close = not_meant(skill, intent, locale)
        count = len(others) + max(0, len(crowd) - MAX_OTHERS)
        made[intent.full_name] = fit(
            meant,
            joined([_row(line) for line in taken]),
            rows_of(close) if close else None,
            standing_for=count,
        )
    return made


def _unlike(meant: Rows, lines: Sequence[str]) -> list[str]:
    """Those of nobody's sentences that are not much like an intent's: they might be said for it after all."""
    width = min(len(meant), _MOST_COMPARED)
    features, places = np.unique(meant.features[: meant.starts[width]], return_inverse=True)
    own = np.zeros((width, len(features)), np.float32)
    own[np.repeat(np.arange(width), np.diff(meant.starts[: width + 1])), places] = meant.values[: meant.starts[width]]
    kept = []
    for line in lines:
        row = _row(line)
        shared, here, there = np.intersect1d(row.features, features, assume_unique=True, return_indices=True)
        if not len(shared) or float((own[:, there] @ row.values[here]).max()) < TOO_LIKE:
            kept.append(line)
    return kept


@lru_cache(maxsize=32)
def background(language: str) -> list[str]:
    """Sentences of nobody's; empty for a language that has none."""
    path = BACKGROUND / f"{language}.txt"
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


@lru_cache(maxsize=16_000)  # about a kilobyte each
def _row(line: str) -> Rows:
    return rows_of([line])


def joined(parts: Sequence[Rows]) -> Rows:
    """One after the other."""
    offsets = np.cumsum([0, *(len(one.features) for one in parts)])
    starts = [one.starts[:-1] + offset for one, offset in zip(parts, offsets[:-1], strict=True)]
    return Rows(
        np.concatenate([*starts, offsets[-1:]]).astype(np.int64),
        np.concatenate([np.zeros(0, np.int32), *(one.features for one in parts)]),
        np.concatenate([np.zeros(0, np.float32), *(one.values for one in parts)]),
    )
