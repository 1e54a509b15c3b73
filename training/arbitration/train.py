"""Trains the three rankers on simulated turns and writes their bundles.

    pip install -r requirements/train.txt
    python -m training.arbitration.train                          # seed 1; the bundles, and their figures
    python -m training.arbitration.train --ablations --share 0.2  # and what each group of features is worth

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
from training.arbitration.bundles import as_json, check_bundle, read_scores, write_bundle, write_scores
from training.arbitration.lists import (
    SEED,
    STEPS,
    Floats,
    Lists,
    arrays,
    calibration_error,
    domain_error,
    drawn,
    hits,
    interval,
    simulated,
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
    parser.add_argument("--ablations", action="store_true", help="leaves the bundles, adds to their figures")
    parser.add_argument("--share", type=float, default=1.0, help="of the households to train on")
    options = parser.parse_args(arguments)
    (ablate if options.ablations else train_all)(options.share)


def train_all(share: float) -> None:
    """Writes the three bundles."""
    train, dev = (drawn(part, share=share) for part in ("train", "dev"))
    test, fresh = (arrays(simulated("test", fresh=fresh)) for fresh in (False, True))
    print(f"{len(train)} + {len(dev)} + {len(test)} turns", flush=True)
    baselines = _baselines(test) | {"fresh": _baselines(fresh)}
    print(baselines, flush=True)
    for name, fit in FITS.items():
        started = time.monotonic()
        model = fit(train, dev)
        scores = model.scores(dev)
        calibration = calibrating.fit(dev, scores)
        report: dict[str, Any] = {"seed": SEED, "turns": {"train": len(train), "dev": len(dev), "test": len(test)}}
        report |= {
            "test": _measured(test, model.scores(test), calibration),
            "fresh": _measured(fresh, model.scores(fresh), calibration),
            "baselines": baselines,
        }
        print(name, f"{time.monotonic() - started:.0f} s", report["test"], report["fresh"], flush=True)
        content = as_json(model.parameters) if isinstance(model, linear.Linear) else _onnx(model)
        write_bundle(name, content, calibration)
        if not isinstance(model, linear.Linear):
            check_bundle(name, dev, scores)
        write_scores(name, report)


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


def ablate(share: float) -> None:
    """Groups of features added one after the other, for each ranker trained anew; adds to the figures of the bundles.

    `gain` is over the step before, with its interval over turns.
    """
    train, dev = (drawn(part, share=share) for part in ("train", "dev"))
    test = arrays(simulated("test"))
    known: list[str] = []
    understood = hits(test, test.rows[..., COLUMNS.index("intent_confidence")])
    before, steps = dict.fromkeys(FITS, understood), {name: list[dict[str, Any]]() for name in FITS}
    for step, own in STEPS.items():
        known += own
        for name, fit in FITS.items():
            seen = test.only(known)
            found = hits(seen, fit(train.only(known), dev.only(known)).scores(seen))
            gain = found.astype(float) - before[name]
            low, high = interval(gain)
            told = {**_top1(found), "gain": round(float(gain.mean()), 4), "gain_95": [round(low, 4), round(high, 4)]}
            print(name, step, told, flush=True)
            steps[name].append({"step": step, **told})
            before[name] = found
            write_scores(name, {**read_scores(name), "ablation_turns": len(train), "ablations": steps[name]})


if __name__ == "__main__":
    main()
