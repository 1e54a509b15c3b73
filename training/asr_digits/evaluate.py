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
from scipy.stats import t as student

from training.asr_digits.augment import noisy, surroundings
from training.asr_digits.data import RATE_HZ, SPEAKERS, Utterance, data_folder, features_of, held_out_strings
from training.asr_digits.decoding import greedy
from training.asr_digits.kept import MODELS, NETWORKS, load
from training.asr_digits.networks import Transducer
from training.asr_digits.pool import BUILD, batch_of
from training.asr_digits.scoring import Score, relative_change, scored

CONDITIONS = ("clean", "noisy")
_BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="<network>-<speaker>")
    parser.add_argument("--blank-bias", type=float, default=0.0, help="taken off the logit of blank")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for name in asked.models:
        model = load(MODELS / f"{name}.pt")
        with torch.no_grad():
            model.joiner.out.bias[0] -= asked.blank_bias
        report(model, name.split("-")[1], MODELS / f"{name}.json")
    if asked.table:
        table(MODELS)


def report(model: Transducer, speaker: str, path: Path) -> None:
    """Prints and writes the errors of both conditions."""
    scores: dict[str, Any] = {}
    for condition in CONDITIONS:
        features, labels, ends = measured_set(speaker, condition)
        heard = recognised(model, features)
        score = scored(labels, [[token for token, _ in one] for one in heard])
        late = np.array(delays(labels, ends, heard))
        median, most = (float(one) for one in np.percentile(late, [50, 95])) if late.size else (0.0, 0.0)
        scores[condition] = {"errors": score.errors, "words": score.words, "late_ms": [median, most]}
        print(f"{path.stem} {condition}: WER {score}; late by {median:.0f} ms, p95 {most:.0f} ms", flush=True)
    path.write_text(json.dumps(scores) + "\n", encoding="utf-8")


def measured_set(speaker: str, condition: str) -> tuple[list[Any], list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Features, token ids and where each digit ends, in samples; kept in build, because they are always the same."""
    kept = BUILD / "sets" / f"{speaker}-{condition}.npz"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        strings = test_strings(speaker, condition)
        frames = [features_of(one.wave) for one in strings]
        np.savez(
            kept,
            frames=np.concatenate(frames),
            lengths=[len(one) for one in frames],
            tokens=np.concatenate([one.tokens for one in strings]),
            ends=np.concatenate([[end for _, end in one.spans] for one in strings]),
            counts=[len(one.tokens) for one in strings],
        )
    with np.load(kept) as saved:
        features = np.split(saved["frames"], np.cumsum(saved["lengths"])[:-1])
        tokens, ends = (np.split(saved[key], np.cumsum(saved["counts"])[:-1]) for key in ("tokens", "ends"))
        return features, [tuple(one.tolist()) for one in tokens], [tuple(one.tolist()) for one in ends]


def test_strings(speaker: str, condition: str) -> Sequence[Utterance]:
    """The held-out set, as it is or in noises that no training has heard."""
    strings = held_out_strings(speaker, data_folder())
    if condition == "clean":
        return strings
    around, rng = surroundings(data_folder(), test=True), np.random.default_rng(10)
    return [noisy(one, around, rng) for one in strings]


@torch.inference_mode()
def recognised(model: Transducer, features: Sequence[Any]) -> list[list[tuple[int, int]]]:
    """Token ids by greedy search, each with the encoded frame in which it came out."""
    heard: list[list[tuple[int, int]]] = [[] for _ in features]
    order = sorted(range(len(features)), key=lambda at: len(features[at]))
    for start in range(0, len(order), _BATCH):
        chosen = order[start : start + _BATCH]
        batch = batch_of([features[at] for at in chosen], [(1,)] * len(chosen))
        encoded, *_ = model.encoder(batch.features, *model.encoder.begin(len(chosen)))
        for at, labels in zip(chosen, greedy(model, encoded, batch.frames), strict=True):
            heard[at] = labels
    return heard


def delays(
    said: Sequence[Sequence[int]], ends: Sequence[Sequence[int]], heard: Sequence[Sequence[tuple[int, int]]]
) -> list[float]:
    """Milliseconds from the end of each digit to the end of the frame it came out in; of strings without an error."""
    return [
        40.0 * (frame + 1) - 1_000 * end / RATE_HZ
        for tokens, last, one in zip(said, ends, heard, strict=True)
        if list(tokens) == [token for token, _ in one]
        for end, (_, frame) in zip(last, one, strict=True)
    ]


def table(folder: Path) -> None:
    """A row for each network, speaker and condition measured, and the ConvRNN-T against the RNN-T over all of them."""
    speakers = [one for one in SPEAKERS if all((folder / f"{network}-{one}.json").exists() for network in NETWORKS)]
    for condition in CONDITIONS:
        found = {
            network: [_read(folder / f"{network}-{one}.json", condition) for one in speakers] for network in NETWORKS
        }
        for network, scores in found.items():
            for speaker, score in zip(speakers, scores, strict=True):
                print(f"{condition} {network} {speaker}: {score}")
            if len(speakers) > 1:
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
    half = student.ppf(0.975, len(rates) - 1) * rates.std(ddof=1) / np.sqrt(len(rates))
    return f"mean over speakers {rates.mean():.2%} ± {half:.2%}"


def _read(path: Path, condition: str) -> Score:
    saved = json.loads(path.read_text(encoding="utf-8"))[condition]
    return Score(tuple(saved["errors"]), tuple(saved["words"]))


if __name__ == "__main__":
    main()
