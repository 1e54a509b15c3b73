"""Features of augmented strings, made once and kept in build/asr_digits, so that training does not wait for them.

    python -m training.asr_digits.pool [--strings 5000] [--workers 2]

Called so by hand, and by `train` through `Pool`. Each speaker's strings are kept apart: a training takes those of the
speakers it may hear. While it reads, `Pool` moves formants, microphone and loudness once more and hides bands and
stretches (Park et al., "SpecAugment", 2019), so that no string comes twice the same.
"""

from __future__ import annotations

import argparse
import operator
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from services.asr.engines.features import FRAMES_PER_SECOND, Frames
from training.asr_digits.augment import surroundings, training_string
from training.asr_digits.data import (
    FEATURES,
    LONGEST,
    RATE_HZ,
    SPEAKERS,
    Utterance,
    data_folder,
    features_of,
    recordings,
)

BUILD = Path("build/asr_digits")
SUBSAMPLING = 4
_SHARD = 250
_STEP = SUBSAMPLING * RATE_HZ // FRAMES_PER_SECOND


@dataclass(frozen=True)
class Batch:
    """Padded strings.

    Attributes:
        features: float32 [B, T, 40]; T is a multiple of 4.
        frames: int64 [B], encoded frames (T / 4) that count.
        labels: int64 [B, U], token ids; padded with 1.
        label_counts: int64 [B].
        said: int64 [B, T / 4], the token that is being said in each encoded frame, 0 between digits.
    """

    features: torch.Tensor
    frames: torch.Tensor
    labels: torch.Tensor
    label_counts: torch.Tensor
    said: torch.Tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strings", type=int, default=5_000, help="for each speaker")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    (BUILD / "pool").mkdir(parents=True, exist_ok=True)
    shards = [(speaker, shard) for shard in range(arguments.strings // _SHARD) for speaker in SPEAKERS]
    with ProcessPoolExecutor(arguments.workers) as workers:
        for done, path in enumerate(workers.map(make_shard, shards), 1):
            print(f"{done}/{len(shards)} {path}", flush=True)


def make_shard(which: tuple[str, int]) -> Path:
    """Writes 250 strings of a speaker unless they are there."""
    speaker, shard = which
    path = BUILD / "pool" / f"{speaker}-{shard}.npz"
    if path.exists():
        return path
    data = data_folder()
    spoken, around = recordings(speaker, data), surroundings(data, test=False)
    rng = np.random.default_rng([17, SPEAKERS.index(speaker), shard])
    strings = [training_string(spoken, around, rng) for _ in range(_SHARD)]
    frames = [features_of(one.wave).astype(np.float16) for one in strings]
    partial = path.with_suffix(".partial.npz")
    np.savez(
        partial,
        frames=np.concatenate(frames),
        lengths=[len(one) for one in frames],
        said=np.concatenate([said_in(one, len(each)) for one, each in zip(strings, frames, strict=True)]),
        labels=[[*one.tokens, *[0] * (LONGEST - len(one.tokens))] for one in strings],
    )
    return partial.rename(path)


def said_in(string: Utterance, frames: int) -> NDArray[np.int8]:
    """The token of each encoded frame: 640 samples each."""
    said = np.zeros(-(-frames // SUBSAMPLING), np.int8)
    for token, (start, end) in zip(string.tokens, string.spans, strict=True):
        said[start // _STEP : end // _STEP + 1] = token
    return said


class Pool:
    """The strings of some speakers, in memory."""

    def __init__(self, speakers: Sequence[str], *, shards: int | None = None) -> None:
        """Raises FileNotFoundError when `pool` was not run."""
        self._frames: list[NDArray[np.float16]] = []
        self._labels: list[tuple[int, ...]] = []
        self._said: list[NDArray[np.int8]] = []
        for speaker in speakers:
            paths = sorted((BUILD / "pool").glob(f"{speaker}-*[0-9].npz"))[:shards]
            if not paths:
                raise FileNotFoundError(f"no strings of {speaker} in {BUILD}/pool: run training.asr_digits.pool")
            for path in paths:
                self._take(path)

    def _take(self, path: Path) -> None:
        with np.load(path) as shard:
            cuts = np.cumsum(shard["lengths"])[:-1]
            self._frames.extend(np.split(shard["frames"], cuts))
            self._said.extend(np.split(shard["said"], np.cumsum(-(-shard["lengths"] // SUBSAMPLING))[:-1]))
            self._labels.extend(tuple(int(one) for one in row if one) for row in shard["labels"])

    def __len__(self) -> int:
        return len(self._frames)

    def statistics(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of each band, [40] each."""
        some = np.concatenate(self._frames[:: max(len(self) // 500, 1)]).astype(np.float32)
        return some.mean(0), some.std(0)

    def batches(
        self, size: int, rng: np.random.Generator, *, longest: int = LONGEST, doubled: float = 0.0
    ) -> Iterator[Batch]:
        """One pass in random order, strings of like length together, each augmented anew.

        Args:
            size: strings in a batch, give or take one.
            rng: decides on the order and the augmentation.
            longest: strings of more digits are left out.
            doubled: in this share of the strings some digit is said twice in a row; 0 takes all strings as they are,
                which is one in three.
        """
        taken = np.flatnonzero([len(labels) <= longest for labels in self._labels])
        if doubled:
            twice = np.array([any(map(operator.eq, self._labels[one], self._labels[one][1:])) for one in taken])
            others = int(twice.sum() * (1 / doubled - 1))
            taken = np.concatenate((taken[twice], rng.choice(taken[~twice], others, replace=False)))
        order = np.array([len(self._frames[one]) for one in taken]) * rng.uniform(0.85, 1.15, len(taken))
        groups = np.array_split(taken[np.argsort(order)], max(len(taken) // size, 1))
        for at in rng.permutation(len(groups)):
            chosen = groups[at]
            frames, said = ([column[one] for one in chosen] for column in (self._frames, self._said))
            yield batch_of(frames, [self._labels[one] for one in chosen], said, rng)


def batch_of(
    frames: Sequence[NDArray[np.float16] | Frames],
    labels: Sequence[tuple[int, ...]],
    said: Sequence[NDArray[np.int8]] | None = None,
    rng: np.random.Generator | None = None,
) -> Batch:
    """Pads with each string's last frame; augments if `rng` is given."""
    longest = -(-max(map(len, frames)) // SUBSAMPLING) * SUBSAMPLING
    features = np.stack([np.pad(one, ((0, longest - len(one)), (0, 0)), "edge") for one in frames]).astype(np.float32)
    if rng is not None:
        features = augmented(features, rng)
    padded = np.ones((len(labels), max(map(len, labels))), np.int64)
    for row, label in zip(padded, labels, strict=True):
        row[: len(label)] = label
    saying = np.zeros((len(labels), longest // SUBSAMPLING), np.int64)
    for row, each in zip(saying, said or (), strict=False):
        row[: len(each)] = each
    return Batch(
        torch.from_numpy(features),
        torch.tensor([-(-len(one) // SUBSAMPLING) for one in frames]),
        torch.from_numpy(padded),
        torch.tensor([len(label) for label in labels]),
        torch.from_numpy(saying),
    )


def augmented(features: Frames, rng: np.random.Generator) -> Frames:
    """Another vocal tract, microphone and loudness for each string, and hidden bands and stretches."""
    count, frames, bands = features.shape
    warps = np.stack([warp_of(rng.uniform(0.92, 1.09)) for _ in range(count)])
    features = features @ warps
    centre = features.mean((1, 2), keepdims=True)
    knots = rng.normal(0, 0.5, (count, 6)) + np.linspace(-1, 1, 6) * rng.normal(0, 0.6, (count, 1))
    place = np.linspace(0, 5, bands)
    features += np.stack([np.interp(place, np.arange(6), row) for row in knots])[:, None].astype(np.float32)
    features += rng.uniform(-2, 2, (count, 1, 1)).astype(np.float32)
    for one in range(count):
        width, length = int(rng.integers(0, 6)), int(rng.integers(0, 8))
        band, start = int(rng.integers(0, bands - width)), int(rng.integers(0, frames - length))
        features[one, :, band : band + width] = centre[one]
        features[one, start : start + length] = centre[one]
    return np.asarray(features, np.float32)


def warp_of(factor: float) -> NDArray[np.float32]:
    """[40, 40] that moves the spectrum along the frequency axis; bands that would lie outside take the nearest one."""
    bands = FEATURES.mel_bins
    low, high = mel(FEATURES.low_hz), mel(FEATURES.high_hz)
    step = (high - low) / (bands + 1)
    centres = 700 * (np.exp((low + step * np.arange(1, bands + 1)) / 1127) - 1)
    source = np.clip((mel(centres / factor) - low) / step - 1, 0, bands - 1)
    below = np.minimum(source.astype(int), bands - 2)
    warp = np.zeros((bands, bands), np.float32)
    share = source - below
    warp[below, np.arange(bands)] = 1 - share
    warp[below + 1, np.arange(bands)] = share
    return warp


def mel(hertz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Kaldi's mel scale."""
    return np.asarray(1127 * np.log1p(np.asarray(hertz, np.float64) / 700))


if __name__ == "__main__":
    main()
