"""Measures what `train` made, on every recording of the speaker who was held out:

    python -m training.asr_digits.evaluate conv-george [lstm-george…]   # names of files in build/asr_digits/models
    python -m training.asr_digits.evaluate --table                      # all that was measured, and both compared

Greedy search over whole strings, clean and with noise at 10 dB.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.asr_digits.augment import noisy, surroundings
from training.asr_digits.data import SPEAKERS, Utterance, data_folder, features_of, held_out_strings
from training.asr_digits.decoding import greedy
from training.asr_digits.networks import Transducer
from training.asr_digits.pool import BUILD, batch_of
from training.asr_digits.scoring import Score, relative_change, scored

CONDITIONS = ("clean", "noisy")
_BATCH = 64


def main() -> None:
    from training.asr_digits.train import MODELS, load  # it calls `report`

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="<network>-<speaker>")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for name in asked.models:
        report(load(MODELS / f"{name}.pt"), name.split("-")[1], MODELS / f"{name}.json")
    if asked.table:
        table(MODELS)


def report(model: Transducer, speaker: str, path: Path) -> None:
    """Prints and writes the errors of both conditions."""
    scores: dict[str, Any] = {}
    for condition in CONDITIONS:
        features, labels = measured_set(speaker, condition)
        score = scored(labels, recognised(model, features))
        scores[condition] = {"errors": score.errors, "words": score.words}
        print(f"{path.stem} {condition}: WER {score}", flush=True)
    path.write_text(json.dumps(scores) + "\n", encoding="utf-8")


def measured_set(speaker: str, condition: str) -> tuple[list[Any], list[tuple[int, ...]]]:
    """Features and token ids; kept in build, because they are always the same."""
    kept = BUILD / "sets" / f"{speaker}-{condition}.npz"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        strings = test_strings(speaker, condition)
        frames = [features_of(one.wave) for one in strings]
        tokens = [one.tokens for one in strings]
        np.savez(
            kept,
            frames=np.concatenate(frames),
            lengths=[len(one) for one in frames],
            tokens=np.concatenate(tokens),
            counts=[len(one) for one in tokens],
        )
    with np.load(kept) as saved:
        features = np.split(saved["frames"], np.cumsum(saved["lengths"])[:-1])
        labels = np.split(saved["tokens"], np.cumsum(saved["counts"])[:-1])
        return features, [tuple(int(token) for token in one) for one in labels]


def test_strings(speaker: str, condition: str) -> Sequence[Utterance]:
    """The held-out set, as it is or in noises that no training has heard."""
    strings = held_out_strings(speaker, data_folder())
    if condition == "clean":
        return strings
    around, rng = surroundings(data_folder(), test=True), np.random.default_rng(10)
    return [noisy(one, around, rng) for one in strings]


@torch.inference_mode()
def recognised(model: Transducer, features: Sequence[Any]) -> list[list[int]]:
    """Token ids by greedy search."""
    heard: list[list[int]] = [[] for _ in features]
    order = sorted(range(len(features)), key=lambda at: len(features[at]))
    for start in range(0, len(order), _BATCH):
        chosen = order[start : start + _BATCH]
        batch = batch_of([features[at] for at in chosen], [(1,)] * len(chosen))
        encoded, *_ = model.encoder(batch.features, *model.encoder.begin(len(chosen)))
        for at, labels in zip(chosen, greedy(model, encoded, batch.frames), strict=True):
            heard[at] = [token for token, _ in labels]
    return heard


def table(folder: Path) -> None:
    """A row for each network, speaker and condition, and the ConvRNN-T against the RNN-T over all speakers."""
    for condition in CONDITIONS:
        found = {
            network: [_read(folder / f"{network}-{one}.json", condition) for one in SPEAKERS]
            for network in ("conv", "lstm")
        }
        for network, scores in found.items():
            for speaker, score in zip(SPEAKERS, scores, strict=True):
                print(f"{condition} {network} {speaker}: {score}")
            print(f"{condition} {network} all: {together(scores)}; {over_speakers(scores)}")
        change, low, high = relative_change(together(found["conv"]), together(found["lstm"]))
        print(f"{condition}: conv {change:.1%} under lstm ({low:.1%} to {high:.1%})")


def together(scores: Sequence[Score]) -> Score:
    """One score over several sets."""
    return Score(
        tuple(one for score in scores for one in score.errors), tuple(one for score in scores for one in score.words)
    )


def over_speakers(scores: Sequence[Score]) -> str:
    """Mean of the speakers' rates with its 95 % interval by Student's t: what another unseen voice may expect."""
    rates = np.array([score.rate for score in scores])
    from scipy.stats import t

    half = t.ppf(0.975, len(rates) - 1) * rates.std(ddof=1) / np.sqrt(len(rates))
    return f"mean over speakers {rates.mean():.2%} ± {half:.2%}"


def _read(path: Path, condition: str) -> Score:
    saved = json.loads(path.read_text(encoding="utf-8"))[condition]
    return Score(tuple(saved["errors"]), tuple(saved["words"]))


if __name__ == "__main__":
    main()
