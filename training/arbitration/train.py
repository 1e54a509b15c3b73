"""Trains the three rankers on simulated turns and writes their bundles.

    pip install -r requirements/train.txt
    python -m training.arbitration.train                    # seed 1; all three, with ablations
    python -m training.arbitration.train --no-ablations     # the bundles alone

Everything is chosen on the development worlds (stopping, temperature and shifts); the test worlds are looked at once,
by the figures that are printed and written to `scores.json`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np

from services.arbitration.rankers.linear import NONE_OF_THEM, NONE_PER_OUT_OF_SCOPE, WEIGHTS
from services.arbitration.rankers.matrix import COLUMNS, FEATURES
from services.arbitration.stages.calibrate import Calibration
from training.arbitration import boosted, calibrating, linear, recurrent
from training.arbitration.bundles import as_json, write_bundle, write_scores
from training.arbitration.lists import (
    SEED,
    SIZES,
    STEPS,
    Floats,
    Lists,
    calibration_error,
    domain_error,
    drawn,
    hits,
    interval,
    softmax,
)


class Scoring(Protocol):
    """A trained ranker of any kind."""

    def scores(self, lists: Lists) -> Floats: ...


Fit = Callable[[Lists, Lists], Scoring]

FITS: Final[Mapping[str, Fit]] = {
    "rank-linear": lambda train, dev: linear.fit(train),
    "rank-lambdamart": lambda train, dev: boosted.fit(train, dev, SEED),
    "rank-bilstm": lambda train, dev: recurrent.fit(train, dev, SEED),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-ablations", action="store_true")
    parser.add_argument("--share", type=float, default=1.0, help="of the households, for a quick look")
    options = parser.parse_args(arguments)
    train, dev, test = (drawn(part, share=options.share) for part in SIZES)
    print(f"{len(train)} + {len(dev)} + {len(test)} turns", flush=True)
    baselines = _baselines(test)
    print(baselines, flush=True)
    reports: dict[str, dict[str, Any]] = {}
    for name, fit in FITS.items():
        started = time.monotonic()
        model = fit(train, dev)
        scores = model.scores(dev)
        calibration = calibrating.fit(dev, scores)
        report = {"seed": SEED, "turns": {"train": len(train), "dev": len(dev), "test": len(test)}}
        reports[name] = report | {"test": _measured(test, model.scores(test), calibration), "baselines": baselines}
        print(name, f"{time.monotonic() - started:.0f} s", reports[name]["test"], flush=True)
        content = as_json(model.parameters) if isinstance(model, linear.Linear) else _onnx(model)
        write_bundle(name, content, calibration)
        write_scores(name, reports[name])
    if not options.no_ablations:
        for name, fit in FITS.items():
            reports[name]["ablations"] = _ablations(name, fit, train, dev, test)
            write_scores(name, reports[name])


def _onnx(model: Scoring) -> bytes:
    assert isinstance(model, boosted.Boosted | recurrent.Recurrent)
    return model.onnx


def _baselines(test: Lists) -> dict[str, Any]:
    """Understanding alone, and the weights set by hand."""
    understood = test.rows[..., COLUMNS.index("intent_confidence")]
    by_hand = linear.Linear(np.array([*(WEIGHTS[name] for name in FEATURES), NONE_OF_THEM, NONE_PER_OUT_OF_SCOPE]))
    return {
        "understanding_alone": _top1(hits(test, understood)),
        "set_by_hand": _measured(test, by_hand.scores(test), Calibration()),
        "meant_is_in_the_list": round(float(test.meant_here[test.in_scope].mean()), 4),
    }


def _measured(test: Lists, scores: Floats, calibration: Calibration) -> dict[str, Any]:
    """On the test worlds; `decided` counts "none of them" as an answer, over all turns."""
    before, after = softmax(test, scores), calibrating.applied(calibration, test, scores)
    return {
        **_top1(hits(test, np.where(test.there, np.log(np.maximum(after, 1e-30)), -1e9).astype(np.float32))),
        "decided": round(float((np.where(test.there, after, -1).argmax(axis=1) == test.right).mean()), 4),
        "ece_before": round(calibration_error(test, before), 4),
        "ece": round(calibration_error(test, after), 4),
        "domain_error_before": round(domain_error(test, before), 4),
        "domain_error": round(domain_error(test, after), 4),
    }


def _top1(found: Any) -> dict[str, Any]:
    low, high = interval(found)
    return {"top1": round(float(found.mean()), 4), "top1_95": [round(low, 4), round(high, 4)]}


def _ablations(name: str, fit: Fit, train: Lists, dev: Lists, test: Lists) -> list[dict[str, Any]]:
    """Groups of features added one after the other; `gain` over the step before, with its interval over turns."""
    before = hits(test, test.rows[..., COLUMNS.index("intent_confidence")])
    known: list[str] = []
    steps = []
    for step, own in STEPS.items():
        known += own
        found = hits(test, fit(train.only(known), dev.only(known)).scores(test.only(known)))
        gain = found.astype(float) - before
        low, high = interval(gain)
        told = {**_top1(found), "gain": round(float(gain.mean()), 4), "gain_95": [round(low, 4), round(high, 4)]}
        steps.append({"step": step, **told})
        print(name, step, told, flush=True)
        before = found
    return steps


if __name__ == "__main__":
    main()
