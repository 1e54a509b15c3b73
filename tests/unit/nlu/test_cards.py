"""The figures in the cards of the bundles are those that their training measured."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

import services.nlu

pytestmark = pytest.mark.unit

MODELS = Path(services.nlu.__path__[0]) / "models"


def bundle(name: str) -> tuple[str, dict[str, Any]]:
    """Card and scores."""
    folder = MODELS / name
    scores: dict[str, Any] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    return (folder / "CARD.md").read_text(encoding="utf-8"), scores


def percent(figures: dict[str, Any], measured: dict[str, Any]) -> str:
    """Accuracy as cards have it, from whole sentences: the scores are rounded already."""
    count: int = measured["sentences"]
    return f"{100 * round(figures['accuracy'] * count) / count:.1f} %"


def test_the_card_of_many_languages_has_a_row_for_each() -> None:
    card, scores = bundle("intents-xsid")
    figures = scores["varieties"]
    for name, one in figures.items():
        assert (
            f"| {name} | {one['sentences']} | {one['accuracy']:.1%} | {one['baseline_accuracy']:.1%} | "
            f"{one['slot_f1']:.3f} | {one['baseline_slot_f1']:.3f} |"
        ).replace("%", " %") in card
    means = [mean(one[key] for one in figures.values()) for key in ("accuracy", "baseline_accuracy")]
    slots = [mean(one[key] for one in figures.values()) for key in ("slot_f1", "baseline_slot_f1")]
    assert f"| mean | | {100 * means[0]:.1f} % | {100 * means[1]:.1f} % | {slots[0]:.3f} | {slots[1]:.3f} |" in card
    assert f"Training sentences ({scores['train_sentences']:,})" in card


def test_the_card_of_english_says_what_was_measured() -> None:
    card, scores = bundle("intents-en")
    slurp, clinc = scores["slurp"], scores["clinc"]
    model, baseline, other = slurp["model"], slurp["baseline"], clinc["model"]
    for row in (
        f"| SLURP test | {slurp['sentences']:,} | model | {percent(model, slurp)} | {model['slot_f1']:.3f} | "
        f"{model['ece']:.3f} | |",
        f"| baselines | {percent(baseline, slurp)} | {baseline['slot_f1']:.3f} | | |",
        f"| {clinc['sentences']:,} | model | {percent(other, clinc)} | | {other['ece']:.3f} |",
    ):
        assert row in card
    assert f"costs {scores['cpu_ms_p50']:.1f} ms" in card
