"""How scores of binary models become probabilities: `SCALE` and `OUTSIDE` of `services/nlu/one_vs_all/book.py`.

    ANTIPHON_DATA=... python -m training.one_vs_all.calibration

Intents of CLINC150 `train` become skills with a few phrases; their other `train` sentences, and as many of other
intents and of `oos_train`, are read. For each number of phrases and of skills the best scale and level are searched on
a grid, and what the ones that are served cost against them, as negative log likelihood and calibration error (ECE).
Neither `val` nor `oos_val` is looked at. One level for all is a compromise: few phrases ask for a lower one.
"""

from __future__ import annotations

import json
import os
import random
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.nlu.one_vs_all.book import OUTSIDE, SCALE, OneVsAll
from services.nlu.one_vs_all.teaching import Surroundings, teach
from services.nlu.skills import Intent, Skill
from services.nlu.text import tokenise

CASES = ((6, 60), (12, 60), (30, 60), (80, 60), (12, 12), (30, 12), (12, 140))
"""Phrases of a skill, and skills."""

_READ = 8  # sentences of each skill

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


def shares(scores: Floats, scale: float, outside: float) -> Floats:
    """Probabilities of intents, and of none in the last column."""
    logits = np.hstack([scores * scale, np.full((len(scores), 1), outside)])
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def cost(scores: Floats, right: Numbers, scale: float, outside: float) -> float:
    """Mean negative log likelihood; `right` is -1 for none."""
    return float(-np.log(shares(scores, scale, outside)[np.arange(len(right)), right].clip(1e-9)).mean())


def ece(scores: Floats, right: Numbers, scale: float, outside: float) -> float:
    made = shares(scores, scale, outside)
    surest, hit = made.max(axis=1), made.argmax(axis=1) == np.where(right < 0, scores.shape[1], right)
    bins = np.minimum((surest * 10).astype(int), 9)
    return float(sum(abs(surest[bins == at].sum() - hit[bins == at].sum()) for at in range(10)) / len(right))


def case(train: dict[str, list[str]], nobody: list[str], phrases: int, skills: int) -> tuple[Floats, Numbers]:
    """Scores [sentences, skills] and whose each sentence is."""
    rng = random.Random(phrases * 1000 + skills)
    names = rng.sample(sorted(train), len(train))
    said = {name: rng.sample(train[name], phrases) for name in names[:skills]}
    made = [
        Skill(f"s{at}", "1.0.0", ("en",), (Intent(f"s{at}", "do", (), {"en": tuple(lines)}),), digest=str(at))
        for at, lines in enumerate(said.values())
    ]
    around = Surroundings(made)
    book = OneVsAll.of([teach(one, around) for one in made], "en")
    inside = [
        (text, at)
        for at, (name, lines) in enumerate(said.items())
        for text in [one for one in train[name] if one not in lines][:_READ]
    ]
    others = [(text, -1) for name in names[skills:] for text in train[name][:5]] + [(text, -1) for text in nobody]
    read = inside + rng.sample(others, min(len(others), len(inside)))
    return np.array([book.scores(tokenise(text)) for text, _ in read], np.float64), np.array([at for _, at in read])


def main() -> None:
    data = Path(os.environ.get("ANTIPHON_DATA", "../shared/data"))
    parts = json.loads((data / "text/clinc150/data_full.json").read_text(encoding="utf-8"))
    train: dict[str, list[str]] = {}
    for text, intent in parts["train"]:
        train.setdefault(intent, []).append(text)
    nobody = [text for text, _ in parts["oos_train"]]
    print("phrases  skills  best scale, level, cost   served scale, level, cost, ECE")
    for phrases, skills in CASES:
        scores, right = case(train, nobody, phrases, skills)
        grid = product(np.arange(0.4, 3.01, 0.2), np.arange(-4, 3.01, 0.5))
        best = min((cost(scores, right, scale, level), scale, level) for scale, level in grid)
        own = cost(scores, right, SCALE, OUTSIDE), ece(scores, right, SCALE, OUTSIDE)
        served = f"{SCALE:.1f} {OUTSIDE:5.1f} {own[0]:.3f} {own[1]:.3f}"
        print(f"{phrases:>7}  {skills:>6}  {best[1]:.1f} {best[2]:5.1f} {best[0]:.3f}   {served}", flush=True)


if __name__ == "__main__":
    main()
