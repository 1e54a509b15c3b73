"""Trains `antiphon/intents-en`, measures it against its baselines on held-out data and writes the bundle.

    nice -n 5 python -m training.nlu_intents.train

Needs `requirements/train.txt` and `$ANTIPHON_DATA`. Three members with seeds of their own see the same sentences; the
bundle averages their logits. `--devel` keeps SLURP devel out of training and measures on it instead of the test part:
what settings were chosen by.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from services.nlu.engines.features import BUCKETS
from training.nlu_intents.data import Corpus, Sentence, load
from training.nlu_intents.encoding import MASSIVE_LABELS, TAGS, Encoded
from training.nlu_intents.evaluation import evaluate
from training.nlu_intents.export import write_bundle
from training.nlu_intents.linear import Linear, fit
from training.nlu_intents.network import Array, Network, softmax

BATCH = 64
EPOCHS = 11
RATE = 2e-3
DROPOUT = 0.4
WIDTH = 32
HIDDEN = 96
MEMBERS = 3
SHARE = 0.5
"""Of the linear part, beside the mean of the members; chosen on SLURP devel."""

_AVERAGED = 0.3  # of the last steps, weights of every tenth are averaged


def train(data: Encoded, clinc: Sequence[str], seed: int, epochs: int) -> Network:
    rng = np.random.default_rng(seed)
    network = Network(rng, BUCKETS, {"massive": len(MASSIVE_LABELS), "clinc": len(clinc)}, len(TAGS), WIDTH, HIDDEN)
    steps = epochs * -(-len(data.sentences) // BATCH)
    done = 0
    for epoch in range(epochs):
        losses = []
        for batch in data.batches(BATCH, rng):
            rate = RATE * (1 - 0.95 * done / steps)
            losses.append(network.step(batch, rate, DROPOUT))
            done += 1
            if done > steps * (1 - _AVERAGED) and done % 10 == 0:
                network.remember()
        print(f"seed {seed}, epoch {epoch + 1}: loss {np.mean(losses):.4f}", flush=True)
    network.settle()
    return network


def logits(
    members: Sequence[Network], linear: Linear, share: float, sentences: Sequence[Sentence], clinc: Sequence[str]
) -> dict[str, list[Array]]:
    """Mean over the members, to which the linear part adds its share; one array per sentence."""
    data = Encoded(sentences, clinc)
    found: dict[str, list[Array]] = {"massive": [], "clinc": [], "tags": []}
    for batch in data.batches(256):
        states = [member.forward(batch.ids) for member in members]
        for name, rows in found.items():
            rows += list(np.mean([state[name] for state in states], axis=0))
        added = share * linear.logits(batch.ids)
        found["massive"][-len(added) :] = list(np.array(found["massive"][-len(added) :]) + added)
    return found


def temperature(scores: Array, wanted: npt.NDArray[np.int64]) -> float:
    """The divisor of the logits with the lowest negative log likelihood, on a grid; rows without a label are left."""
    scores, wanted = scores[wanted >= 0], wanted[wanted >= 0]
    grid = np.exp(np.linspace(np.log(0.3), np.log(4), 60))
    rows = np.arange(len(wanted))
    losses = [-np.log(softmax(scores / divisor)[rows, wanted] + 1e-12).mean() for divisor in grid]
    return float(grid[int(np.argmin(losses))])


def fitted(members: Sequence[Network], linear: Linear, corpus: Corpus) -> dict[str, float]:
    found = logits(members, linear, SHARE, corpus.calibration, corpus.clinc_labels)
    data = Encoded(corpus.calibration, corpus.clinc_labels)
    return {
        "massive": temperature(np.array(found["massive"]), data.massive),
        "clinc": temperature(np.array(found["clinc"]), data.clinc),
    }


def _try_shares(members: Sequence[Network], linear: Linear, corpus: Corpus) -> None:
    """Prints what each share of the linear part would give."""
    wanted = Encoded(corpus.slurp, corpus.clinc_labels).massive
    for share in (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0):
        found = np.array(logits(members, linear, share, corpus.slurp, corpus.clinc_labels)["massive"])[:, :-1]
        print(f"share {share}: {(found.argmax(axis=1) == wanted)[wanted >= 0].mean():.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--members", type=int, default=MEMBERS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--devel", action="store_true", help="measure on SLURP devel, write no bundle")
    arguments = parser.parse_args()
    started = time.monotonic()
    corpus = load(arguments.seed, with_devel=not arguments.devel)
    clinc = corpus.clinc_labels
    print(f"{len(corpus.train)} training sentences", flush=True)
    data = Encoded(corpus.train, clinc)
    members = [train(data, clinc, arguments.seed + number, arguments.epochs) for number in range(arguments.members)]
    linear = fit(data.ids, data.massive, len(MASSIVE_LABELS))
    divisors = fitted(members, linear, corpus)
    outputs = {}
    for name, sentences in (("slurp", corpus.slurp), ("clinc", corpus.clinc)):
        found = logits(members, linear, SHARE, sentences, clinc)
        heads = [softmax(np.array(found[head]) / divisors[head]) for head in ("massive", "clinc")]
        if arguments.devel and name == "slurp":
            _try_shares(members, linear, corpus)
        outputs[name] = (heads[0], heads[1], found["tags"])
    report = {
        "seed": arguments.seed,
        "train_sentences": len(corpus.train),
        "temperatures": {name: round(value, 4) for name, value in divisors.items()},
        **evaluate(corpus, outputs),
    }
    print(json.dumps(report, indent=2))
    print(f"{time.monotonic() - started:.0f} s")
    if not arguments.devel:
        write_bundle(members, linear, SHARE, divisors, clinc, report)


if __name__ == "__main__":
    main()
