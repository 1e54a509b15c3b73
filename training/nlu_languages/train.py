"""Trains `antiphon/intents-xsid`, measures it variety by variety and writes the bundle.

    nice -n 5 python -m training.nlu_languages.train

Needs `requirements/train-torch.txt` and `$ANTIPHON_DATA`. `--devel` keeps every fifth English sentence of `valid`, with
all its translations, out of training and measures on these: what settings were chosen by.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from training.nlu_languages import data, scoring
from training.nlu_languages.data import OUT_OF_SCOPE, Sentence
from training.nlu_languages.export import write_bundle
from training.nlu_languages.linear import Linear, fit
from training.nlu_languages.network import Array, Names, Network, centre, outputs, train

STEPS = 2400
MEMBERS = 2
SHARE = 0.5
"""Of the linear part's logits, beside the mean of the members; chosen on what `--devel` keeps out."""

DIVISOR = 1.2
"""Of logits before the softmax; fitted on what `--devel` keeps out."""

LOCALES = (
    "ar",
    "bar",
    "da",
    "de",
    "en",
    "gsw",
    "id",
    "it",
    "ja",
    "kk",
    "lt",
    "nap",
    "nl",
    "no",
    "sr",
    "tr",
    "zh",
    "mul",
)
"""BCP-47 tags that the bundle declares; xSID's de-ba, de-muc and de-st are Bavarian."""

_DIALECTS = 3  # of the eleven speakers of Norwegian, so that it does not weigh more than all others
_DEVEL = 5
_EXCHANGED = 2


def corpus(seed: int, *, without: Sequence[str] = (), devel: bool = False) -> list[Sentence]:
    """What is trained on: the varieties but for some, each sentence with slots once more with other values."""
    rng = random.Random(seed)
    found: list[Sentence] = []
    for variety in data.varieties("valid"):
        if variety not in without:
            own = data.xsid(variety, "valid")
            if variety == "no":
                own = rng.sample(own, len(own) * _DIALECTS // 11)
            found += own
    if devel:
        found = [one for one in found if one.number % _DEVEL]
    outside = [one for one in data.outside(seed) if one.variety not in without]
    return [*found, *data.exchanged(found, rng, _EXCHANGED), *outside]


def kept_out() -> dict[str, list[Sentence]]:
    """The sentences for choosing settings, by variety."""
    return {
        variety: [one for one in data.xsid(variety, "valid") if one.number and one.number % _DEVEL == 0]
        for variety in data.varieties("valid")
    }


@dataclass(frozen=True)
class Model:
    """What is measured and written."""

    members: Sequence[Network]
    linear: Linear
    names: Names

    def read(self, sentences: Sequence[Sentence]) -> tuple[Array, list[Array]]:
        """Logits of intents [sentences, intents], and of tags per sentence."""
        intents, tags = outputs(self.members, sentences, self.names)
        return intents + SHARE * self.linear.logits(sentences), tags


def measured(model: Model, sets: Mapping[str, list[Sentence]]) -> dict[str, dict[str, float]]:
    """Accuracy and slot F1 by variety, beside those of baselines trained on the variety's own sentences."""
    report = {}
    for variety, sentences in sets.items():
        intents, tags = model.read(sentences)
        told = [scoring.spans(one, model.names) for one in tags]
        own = data.xsid(variety, "valid")
        report[variety] = {
            "sentences": len(sentences),
            "accuracy": scoring.accuracy(intents, sentences, model.names),
            "slot_f1": scoring.f1(told, sentences),
            "baseline_accuracy": scoring.from_scratch(own, sentences),
            "baseline_slot_f1": scoring.dictionary(own, sentences),
        }
    return report


def outside_score(model: Model, inside: Sequence[Sentence]) -> float:
    """AUC of out of scope: CLINC150 `val` against sentences of xSID."""
    unknown = data.unknown()
    names = model.names
    intents, _ = model.read([*unknown, *inside])
    scores = np.exp(intents - intents.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    truth = [True] * len(unknown) + [False] * len(inside)
    return scoring.rounded(roc_auc_score(truth, scores[:, names.intents.index(OUT_OF_SCOPE)]))


def divisor(logits: Array, sentences: Sequence[Sentence], names: Names) -> float:
    """Temperature with the least calibration error."""
    tried = np.arange(0.5, 3.05, 0.05)
    return float(min(tried, key=lambda one: scoring.calibration_error(logits, float(one), sentences, names)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--members", type=int, default=MEMBERS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--devel", action="store_true", help="measure on a fifth of `valid`, write no bundle")
    arguments = parser.parse_args()
    started = time.monotonic()
    sentences = corpus(arguments.seed, devel=arguments.devel)
    names = Names.of(sentences)
    print(f"{len(sentences)} training sentences, {len(names.intents)} intents, {len(names.tags)} tags", flush=True)
    members = [train(sentences, names, arguments.seed + at, arguments.steps) for at in range(arguments.members)]
    model = Model(members, fit(sentences, names), names)
    sets = kept_out() if arguments.devel else {one: data.xsid(one, "test") for one in data.varieties("test")}
    every = [one for found in sets.values() for one in found]
    if arguments.devel:  # baselines would see these sentences
        logits, tags = model.read(every)
        best = divisor(logits, every, names)
        print(f"accuracy {scoring.accuracy(logits, every, names)}, ", end="")
        print(f"slot F1 {scoring.f1([scoring.spans(one, names) for one in tags], every)}")
        print(f"temperature {best}, ECE {scoring.calibration_error(logits, best, every, names)}")
        print(f"out of scope AUC {outside_score(model, every)}; {time.monotonic() - started:.0f} s")
        return
    logits, _ = model.read(every)
    report = {
        "seed": arguments.seed,
        "train_sentences": len(sentences),
        "temperature": DIVISOR,
        "ece": scoring.calibration_error(logits, DIVISOR, every, names),
        "out_of_scope_auc": outside_score(model, every),
        "varieties": measured(model, sets),
    }
    print(json.dumps(report, indent=2))
    print(f"{time.monotonic() - started:.0f} s")
    middle = centre(members, sentences, names)
    write_bundle(members, model.linear, names, middle, SHARE, DIVISOR, LOCALES, report)


if __name__ == "__main__":
    main()
