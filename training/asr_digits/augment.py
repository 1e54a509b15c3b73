"""What happens to a string between the speaker's mouth and the recogniser; called by `pool` and `evaluate`.

With four voices to learn from it is the variety made here that has to stand for all others: the length of the vocal
tract (resampling moves pitch and formants together, `pool` moves the formants once more), tempo, loudness, rooms,
microphones, noise and talk in the background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr
from scipy.signal import fftconvolve

from training.asr_digits.data import LONGEST, RATE_HZ, SOURCE_HZ, Recording, Utterance, Wave, random_gap, string_of

TEST_SNR_DB = 10.0
_WINDOW = SOURCE_HZ // 40  # 25 ms of overlap-add
_BABBLERS = 4


@dataclass(frozen=True)
class Surroundings:
    """Noises and rooms, all at 16 kHz.

    Attributes:
        noises: at least 2 s each.
        talk: speech of other collections, for talk in the background.
        rooms: impulse responses, the direct sound first.
    """

    noises: tuple[Wave, ...]
    talk: tuple[Wave, ...]
    rooms: tuple[Wave, ...]


def surroundings(data: Path, *, test: bool) -> Surroundings:
    """What training hears, or the noises kept for the test: the last of each class and the kitchen's last quarter."""
    audio = data / "audio"
    kitchen = _read(audio / "noise" / "kitchen.flac")
    cut = kitchen.size * 3 // 4
    noises = [kitchen[cut:] if test else kitchen[:cut]]
    for folder in sorted((audio / "esc10").iterdir()):
        clips = sorted(folder.glob("*.ogg"))
        noises.extend(map(_read, clips[-1:] if test else clips[:-1]))
    talk = (
        [] if test else [_read(path) for path in sorted((audio / "librispeech-spk" / "train-clean-100").glob("*.flac"))]
    )
    rooms = [
        _direct_first(room) for path in sorted((audio / "asr-en" / "rir").glob("*.wav")) for room in _channels(path)
    ]
    return Surroundings(tuple(noise for noise in noises if np.any(noise)), tuple(talk), tuple(rooms))


def training_string(spoken: Sequence[Recording], around: Surroundings, rng: np.random.Generator) -> Utterance:
    """One augmented string of a speaker."""
    chosen = [spoken[one] for one in rng.integers(0, len(spoken), int(rng.integers(1, LONGEST + 1)))]
    formants, tempo = rng.uniform(0.84, 1.2), rng.uniform(0.8, 1.25)
    said = [_said(one, formants, tempo * rng.uniform(0.92, 1.08), rng) for one in chosen]
    gaps = [random_gap(rng) for _ in said[1:]]
    lead, tail = (int(rng.uniform(*seconds) * SOURCE_HZ) for seconds in ((0.02, 0.5), (0.3, 0.6)))
    string = string_of(said, gaps, lead, tail)
    return replace(string, wave=_through_the_air(string.wave, around, rng))


def _through_the_air(clean: Wave, around: Surroundings, rng: np.random.Generator) -> Wave:
    power = _power(clean)
    if rng.random() < 0.35:
        clean = in_room(clean, around.rooms[rng.integers(len(around.rooms))])
    if rng.random() < 0.75:
        clean = clean + _noise(around, clean.size, power, rng.uniform(5, 30), rng)
    floor = 10 ** (rng.uniform(-75, -35) / 20)
    clean = clean + rng.standard_normal(clean.size, np.float32) * np.float32(np.sqrt(power) * floor)
    loudest = 10 ** (rng.uniform(-30, -0.5) / 20)
    return clean * np.float32(loudest / max(float(np.abs(clean).max()), 1e-6))


def noisy(utterance: Utterance, around: Surroundings, rng: np.random.Generator) -> Utterance:
    """A test string at 10 dB."""
    noise = _stretch_of(around.noises[rng.integers(len(around.noises))], utterance.wave.size, rng)
    return replace(utterance, wave=utterance.wave + _at_snr(noise, _power(utterance.wave), TEST_SNR_DB))


def in_room(wave: Wave, room: Wave) -> Wave:
    """As long as before: what still sounds afterwards is cut off."""
    return np.asarray(fftconvolve(wave, room)[: wave.size], np.float32)


def stretched(wave: Wave, tempo: float) -> Wave:
    """Faster (over 1) or slower at the same pitch, by overlap-add of the pieces that fit best (WSOLA)."""
    hop = _WINDOW // 2
    if wave.size < 4 * _WINDOW or abs(tempo - 1) < 0.02:
        return wave
    window = np.hanning(_WINDOW).astype(np.float32)
    padded = np.pad(wave, (hop, 2 * _WINDOW))
    count = int(wave.size / tempo) // hop + 1
    out, weight = np.zeros((count + 1) * hop, np.float32), np.full((count + 1) * hop, 1e-3, np.float32)
    start = 0
    for at in range(count):
        wanted = padded[start + hop : start + hop + _WINDOW] if at else padded[:_WINDOW]
        low = max(int(at * hop * tempo) - hop // 2, 0)
        region = padded[low : low + _WINDOW + hop]
        if wanted.size < _WINDOW or region.size < _WINDOW + hop:
            break
        start = low + int(np.argmax(np.correlate(region, wanted, "valid")))
        out[at * hop : at * hop + _WINDOW] += window * padded[start : start + _WINDOW]
        weight[at * hop : at * hop + _WINDOW] += window
    return out / weight


def _said(one: Recording, formants: float, tempo: float, rng: np.random.Generator) -> Recording:
    """The digit by a shorter (over 1) or longer vocal tract, at another tempo and level."""
    moved = np.asarray(soxr.resample(one.wave, SOURCE_HZ * formants, SOURCE_HZ, quality="MQ"), np.float32)
    wave = stretched(moved, tempo / formants) * np.float32(10 ** (rng.uniform(-4, 4) / 20))
    return Recording(one.digit, wave)


def _noise(around: Surroundings, size: int, power: float, snr_db: float, rng: np.random.Generator) -> Wave:
    kind = rng.random()
    if kind < 0.2:
        noise = _coloured(size, rng)
    elif kind < 0.45:
        noise = np.zeros(size, np.float32)
        for one in rng.integers(0, len(around.talk), _BABBLERS):
            noise += _stretch_of(around.talk[one], size, rng)
        snr_db = max(snr_db, 8.0)  # talk that is as loud as the speaker is a task of its own
    else:
        noise = _stretch_of(around.noises[rng.integers(len(around.noises))], size, rng)
    return _at_snr(noise, power, snr_db)


def _coloured(size: int, rng: np.random.Generator) -> Wave:
    """Between white and brown."""
    spectrum = np.fft.rfft(rng.standard_normal(size))
    spectrum /= np.maximum(np.arange(spectrum.size), 1) ** rng.uniform(0, 1)
    return np.fft.irfft(spectrum, size).astype(np.float32)


def _stretch_of(noise: Wave, size: int, rng: np.random.Generator) -> Wave:
    """A random stretch, repeated where the noise is shorter."""
    return np.resize(np.roll(noise, -int(rng.integers(noise.size))), size)


def _at_snr(noise: Wave, power: float, snr_db: float) -> Wave:
    have = float(np.mean(np.square(noise)))
    if have <= 0:
        return noise
    return noise * np.float32(np.sqrt(power / have) * 10 ** (-snr_db / 20))


def _power(wave: Wave) -> float:
    """Mean power while somebody speaks: of the 25 ms pieces within 30 dB of the loudest."""
    pieces = wave[: wave.size // 400 * 400].reshape(-1, 400)
    powers = np.mean(np.square(pieces), axis=1)
    return float(powers[powers > powers.max() * 1e-3].mean()) if powers.max() > 0 else 1e-6


def _read(path: Path) -> Wave:
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(wave[:, 0], rate, RATE_HZ, quality="MQ"), np.float32)


def _channels(path: Path) -> list[Wave]:
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    assert rate == RATE_HZ
    return [np.ascontiguousarray(channel) for channel in wave.T]


def _direct_first(room: Wave) -> Wave:
    """Without the way from the mouth to the microphone, and with the direct sound at 1."""
    at = int(np.argmax(np.abs(room)))
    return room[at:] / np.float32(np.abs(room[at]))
