"""Strings of one to eight spoken digits, made of the recordings of single digits; called by `pool` and `evaluate`.

The Free Spoken Digit Dataset (CC BY-SA 4.0) has five speakers, each of whom says every digit fifty times, at 8 kHz. A
string is of one speaker. What is trained on one speaker's strings never holds anything of another's: noise comes from
other collections, so that a speaker who is kept out is kept out entirely.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from services.asr.engines.features import Features, FeatureSettings, Frames

Wave = NDArray[np.float32]
"""Samples, full scale is ±1."""

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "yweweler")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SYMBOLS = ("<blk>", *WORDS)
"""Token ids: blank is 0, digit d is d + 1."""

SOURCE_HZ = 8_000
RATE_HZ = 16_000
FEATURES = FeatureSettings(rate_hz=RATE_HZ, mel_bins=40, high_hz=3_700.0)
"""Nothing above 4 kHz was ever recorded, so nothing is looked for there."""

LONGEST = 8
_TEST_PASSES = 3  # each recording is said three times in a test set, in another string each time
_TEST_FLOOR = 1e-3  # of the loudest digit; what stands between the digits of a clean test string


@dataclass(frozen=True)
class Recording:
    """One spoken digit at 8 kHz."""

    digit: int
    wave: Wave


@dataclass(frozen=True)
class Utterance:
    """A string.

    Attributes:
        digits: what was said.
        wave: how it sounds, at 16 kHz.
        spans: first sample of each digit, and the first one after it.
    """

    digits: tuple[int, ...]
    wave: Wave
    spans: tuple[tuple[int, int], ...]

    @property
    def tokens(self) -> tuple[int, ...]:
        return tuple(digit + 1 for digit in self.digits)


def data_folder() -> Path:
    """`ANTIPHON_DATA`."""
    return Path(os.environ["ANTIPHON_DATA"])


def recordings(speaker: str, data: Path) -> list[Recording]:
    """All 500 of a speaker, in a fixed order."""
    found = []
    for path in sorted((data / "audio" / "fsdd").glob(f"*_{speaker}_*.wav")):
        wave, rate = soundfile.read(path, dtype="float32")
        assert rate == SOURCE_HZ
        found.append(Recording(digit=int(path.name[0]), wave=wave))
    return found


def features_of(wave: Wave) -> Frames:
    """(frames, 40) of audio at 16 kHz, as they are computed in service."""
    extractor = Features(FEATURES)
    pcm = np.clip(np.rint(wave * 32_768), -32_768, 32_767).astype(np.int16)
    return np.concatenate((extractor.feed(pcm), extractor.finish()))


def up_sampled(wave: Wave) -> Wave:
    """8 kHz -> 16 kHz."""
    return np.asarray(soxr.resample(wave, SOURCE_HZ, RATE_HZ, quality="HQ"), np.float32)


def string_of(said: Sequence[Recording], gaps: Sequence[int], lead: int, tail: int) -> Utterance:
    """Recordings one after the other, at 16 kHz.

    Args:
        said: at least one.
        gaps: samples at 8 kHz between two; where negative, the end of one fades into the beginning of the next.
        lead: silence before the first, in samples at 8 kHz.
        tail: silence after the last, likewise.
    """
    starts = [lead]
    for one, gap in zip(said, gaps, strict=False):
        starts.append(starts[-1] + max(one.wave.size + gap, 1))
    ends = [start + one.wave.size for start, one in zip(starts, said, strict=True)]
    out = np.zeros(max(ends) + tail, np.float32)
    for at, (start, end) in enumerate(zip(starts, ends, strict=True)):
        fade_in = -gaps[at - 1] if at else 0
        fade_out = -gaps[at] if at < len(gaps) else 0
        out[start:end] += faded(said[at].wave, fade_in, fade_out)
    ratio = RATE_HZ // SOURCE_HZ
    spans = tuple((start * ratio, end * ratio) for start, end in zip(starts, ends, strict=True))
    return Utterance(tuple(one.digit for one in said), up_sampled(out), spans)


def faded(wave: Wave, fade_in: int, fade_out: int) -> Wave:
    """Linear ramps over so many samples at either end; none where there are not so many, or none are asked for."""
    wave = wave.copy()
    if 0 < fade_in <= wave.size:
        wave[:fade_in] *= np.linspace(0, 1, fade_in, dtype=np.float32)
    if 0 < fade_out <= wave.size:
        wave[-fade_out:] *= np.linspace(1, 0, fade_out, dtype=np.float32)
    return wave


def random_gap(rng: np.random.Generator) -> int:
    """Samples at 8 kHz: one in five a cross-fade or a tight join, else up to 0.4 s."""
    if rng.random() < 0.2:
        return -int(rng.integers(0, SOURCE_HZ // 25))
    return int(rng.uniform(0, 0.4) * SOURCE_HZ)


def in_strings(count: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Splits a permutation of `count` recordings into strings of one to eight."""
    order, strings, at = rng.permutation(count), [], 0
    while at < count:
        size = int(rng.integers(1, LONGEST + 1))
        strings.append(order[at : at + size])
        at += size
    return strings


def held_out_strings(speaker: str, data: Path) -> list[Utterance]:
    """About 335 clean strings that hold every recording of a speaker three times; always the same ones.

    Silence is white noise 60 dB under the loudest sample, levels are as recorded.
    """
    spoken = recordings(speaker, data)
    rng = np.random.default_rng(2209)
    utterances = []
    for _ in range(_TEST_PASSES):
        for chosen in in_strings(len(spoken), rng):
            gaps = [random_gap(rng) for _ in chosen[1:]]
            lead = int(rng.uniform(0.1, 0.4) * SOURCE_HZ)
            one = string_of([spoken[at] for at in chosen], gaps, lead, SOURCE_HZ // 2)
            floor = _TEST_FLOOR * float(np.abs(one.wave).max())
            utterances.append(replace(one, wave=one.wave + rng.standard_normal(one.wave.size, np.float32) * floor))
    return utterances
