"""Whether a model may replace another: `regressions` compares two scorecards, locale by locale.

`evaluate_commands` asks it when `--baseline` is given. Both models have read the same sentences, so each difference is
that of pairs, and a locale is refused only when it is worse by more than the tolerance beyond what chance does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from services.nlu.evaluation.scoring import LocaleScore, Scorecard
from services.runtime.errors import InvalidInput

CONFIDENCE = 0.95
"""That no locale is refused by chance, over all comparisons together."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a person is told of one locale. `refuses` is false for what may be chance."""

    locale: str
    sentence: str
    refuses: bool


@dataclass(frozen=True, slots=True)
class _Metric:
    name: str
    old: float
    new: float
    pairs: Floats
    """Of each sentence what it adds to the difference, new less old; their mean is the difference."""


def regressions(old: Scorecard, new: Scorecard, tolerance: float) -> list[Finding]:
    """What got worse, and which locales the new card lacks.

    Args:
        tolerance: loss that is accepted, as a share (0.005 is half a point).

    Raises:
        InvalidInput: `BASELINE_DIFFERS` where a locale was measured on other sentences.
    """
    if old.taxonomy != new.taxonomy:
        raise _differs(f"it is of the taxonomy '{old.taxonomy}', these labels are of '{new.taxonomy}'")
    found = []
    comparisons = max(1, 3 * len(old.locales))
    for locale, before in old.locales.items():
        after = new.locales.get(locale)
        if after is None:
            found.append(Finding(locale, f"{locale}: was measured in the baseline, and now was not", refuses=True))
            continue
        if before.digest != after.digest or len(before.outcomes) != len(after.outcomes):
            raise _differs(f"{locale} was measured on other sentences")
        judged = (_judged(locale, metric, tolerance, comparisons) for metric in _metrics(before, after))
        found += [finding for finding in judged if finding is not None]
    return found


def _judged(locale: str, metric: _Metric, tolerance: float, comparisons: int) -> Finding | None:
    loss = metric.old - metric.new
    if loss <= tolerance:
        return None
    # One-sided, and shared among all comparisons (Bonferroni). A pair for either side is added, as Bonett and Price
    # 2012 do: otherwise a single sentence of ten would count as certain.
    z = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / comparisons)
    pairs = np.concatenate([metric.pairs, [1.0, -1.0]])
    least = -float(pairs.mean()) - z * float(pairs.std(ddof=1)) / len(pairs) ** 0.5
    refuses = least > tolerance
    told = f"{locale}: {metric.name} fell from {metric.old:.1%} to {metric.new:.1%} (n {len(metric.pairs)}; "
    told += f"at least {least:.1%} are lost)" if refuses else "which may be chance)"
    return Finding(locale, told, refuses)


def _metrics(before: LocaleScore, after: LocaleScore) -> Sequence[_Metric]:
    old, new = _columns(before), _columns(after)
    return (
        _Metric("intent accuracy", before.intent_accuracy, after.intent_accuracy, new[:, 0] - old[:, 0]),
        _Metric(
            "slot F1", before.slot_f1, after.slot_f1, _influence(new, after.slot_f1) - _influence(old, before.slot_f1)
        ),
        _Metric("exact match", before.exact_match, after.exact_match, new[:, 1] - old[:, 1]),
    )


def _columns(score: LocaleScore) -> Floats:
    """float64 [sentences, 5]: intent, exact, hits, guessed, wanted."""
    rows = [(one.intent, one.exact, one.hits, one.guessed, one.wanted) for one in score.outcomes]
    return np.array(rows, np.float64)


def _influence(columns: Floats, f1: float) -> Floats:
    """What each sentence does to F1 = 2 hits / (guessed + wanted), to the first order, about F1 itself."""
    hits, given = columns[:, 2], columns[:, 3] + columns[:, 4]
    scale = float(given.mean())
    influence: Floats = f1 + ((2 * hits - f1 * given) / scale if scale else np.zeros_like(hits))
    return influence


def _differs(how: str) -> InvalidInput:
    return InvalidInput(
        f"The baseline cannot be compared: {how}. Measure it again on this data.",
        reason="BASELINE_DIFFERS",
        field="baseline",
    )
