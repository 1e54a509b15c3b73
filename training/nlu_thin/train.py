"""Trains `antiphon/intents-thin`, measures it against a baseline on held-out data and writes the bundle.

    python -m training.nlu_thin.train

About a minute on two cores. Needs `requirements/train.txt` and `$ANTIPHON_DATA`; the seed makes it repeatable on one
machine and library version (sums in another order round differently).
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from services.nlu.engines.features import BUCKETS
from training.nlu_thin.data import Corpus, load
from training.nlu_thin.encoding import INTENTS, TAGS, Encoded
from training.nlu_thin.evaluation import evaluate
from training.nlu_thin.export import write_bundle
from training.nlu_thin.network import Array, Network, softmax

BATCH = 128
EPOCHS = 10
RATE = 2e-3
DROPOUT = 0.3
RARITY = 0.65


def train(corpus: Corpus, seed: int) -> Network:
    rng = np.random.default_rng(seed)
    data = Encoded(corpus.train)
    counts = np.bincount(data.intents, minlength=len(INTENTS))
    # Out of scope is most of the data; weights by rarity, damped, keep rare intents from being given up.
    weights = ((counts.mean() / counts) ** RARITY).astype(np.float32)
    network = Network(rng, BUCKETS, len(INTENTS), len(TAGS))
    steps = EPOCHS * -(-len(data.examples) // BATCH)
    done = 0
    for epoch in range(EPOCHS):
        losses = []
        for batch in data.batches(BATCH, rng):
            rate = RATE * (1 - done / steps) + 1e-5
            losses.append(network.step(batch, weights, rate, DROPOUT))
            done += 1
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}")
    return network


def intent_logits(network: Network, data: Encoded) -> Array:
    return np.concatenate([network.forward(batch.ids)[0] for batch in data.batches(BATCH)])


def temperature(logits: Array, wanted: np.ndarray) -> float:
    """The divisor of the logits with the lowest negative log likelihood, on a grid."""
    grid = np.exp(np.linspace(np.log(0.3), np.log(5), 60))
    rows = np.arange(len(wanted))
    losses = [-np.log(softmax(logits / divisor)[rows, wanted] + 1e-12).mean() for divisor in grid]
    return float(grid[int(np.argmin(losses))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dry-run", action="store_true", help="measure, but write no bundle")
    arguments = parser.parse_args()
    started = time.monotonic()
    corpus = load(arguments.seed)
    print(f"{len(corpus.train)} training sentences")
    network = train(corpus, arguments.seed)
    calibration = Encoded(corpus.calibration)
    divisor = temperature(intent_logits(network, calibration), calibration.intents)
    report = evaluate(corpus, network, divisor, arguments.seed)
    print(json.dumps(report, indent=2))
    print(f"{time.monotonic() - started:.0f} s")
    if not arguments.dry_run:
        write_bundle(network, divisor, report)


if __name__ == "__main__":
    main()
