"""Sounds that level and spectrum alone tell: a bang, a beep, a steady noise, silence. No model, and no classifier.

Called by `detector.py`. Each is a rule over frames of 20 ms: what it is called says what the rule measures, not what
made the sound. A dog's bark is a bang, a cock's crow may be a beep, heavy rain is a steady noise.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from services.activation.onsets import level_dbfs
from services.runtime.audio import Framer, Pcm

BANG, BEEP, NOISE, SILENCE = "bang", "beep", "steady_noise", "silence"
LABELS = (BANG, BEEP, NOISE, SILENCE)

_FRAME_S = 0.02
_BANG_RISE_DB, _BANG_FALL_DB = 25.0, 15.0
_BANG_ATTACK, _BANG_DECAY = 2, 20  # frames within which the level rises, and falls again
_BANG_DBFS = -28.0  # how loud it is at least
_BANG_SHARE = 0.45  # of its power that one narrow band may hold: voices hold more
_BANG_HIGH = 0.15  # of its power above 2 kHz: a knock or a clap has it, a vowel has not
_BEEP_SHARE, _BEEP_FRAMES = 0.8, 8  # of the power in one narrow band; 160 ms
_BEEP_HZ = (350.0, 6000.0)
_NOISE_FRAMES, _NOISE_SPREAD_DB = 100, 2.5  # 2 s, whose frames differ by less (standard deviation)
_NOISE_TILT = 0.5  # most of the power that one narrow band of noise may hold
_SILENCE_FRAMES = 150  # 3 s
_WINDOW = 320


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound was heard: seconds of audio up to the moment of decision, and its loudest level in dBFS.

    `score` grows from 0 to 1 with how clearly the rule was met; 0.5 is where it begins to hold. Not a probability.
    """

    label: str
    score: float
    start_s: float
    end_s: float
    level_dbfs: float


@dataclass(frozen=True, slots=True)
class _Frame:
    """Level, share of the power in the strongest narrow band, where that is in Hz, and share above 2 kHz."""

    level: float
    share: float
    peak_hz: float
    high: float = 0.0


class SoundDetector:
    """State of one stream.

    Args:
        rate_hz: of the PCM.
        floor_dbfs: levels below are silence.
    """

    def __init__(self, rate_hz: int, floor_dbfs: float) -> None:
        self._framer = Framer(round(rate_hz * _FRAME_S))
        self._rate = rate_hz
        self._floor = floor_dbfs
        self._window = np.hanning(_WINDOW).astype(np.float32)
        self._frames: deque[_Frame] = deque(maxlen=_NOISE_FRAMES)
        self._count = 0
        self._quiet = self._tonal = self._since_bang = 0
        self._steady = False
        self._attack = self._peak = -100.0
        self._attacked = 0

    def feed(self, pcm: Pcm) -> Iterator[Sound]:
        """Sounds in this audio, each once, when it is decided."""
        for samples in self._framer.feed(pcm):
            self._count += 1
            frame = self._measure(samples)
            self._frames.append(frame)
            for sound in (self._bang(frame), self._beep(frame), self._noise(), self._silence(frame)):
                if sound is not None:
                    yield sound

    def _measure(self, samples: Pcm) -> _Frame:
        level = level_dbfs(samples)
        if level < self._floor:
            return _Frame(level, 0.0, 0.0)
        size = min(samples.size, _WINDOW)
        power = np.square(np.abs(np.fft.rfft(samples[:size].astype(np.float32) * self._window[:size])))
        power[0] = 0.0
        at = int(np.argmax(power))
        total = max(float(power.sum()), 1e-9)
        share = float(power[max(0, at - 2) : at + 3].sum()) / total
        high = float(power[round(2000 * size / self._rate) :].sum()) / total
        return _Frame(level, share, at * self._rate / size, high)

    def _bang(self, frame: _Frame) -> Sound | None:
        """Up by 25 dB within 40 ms over many frequencies at once, and down by 15 within 400 ms."""
        frames = self._frames
        if self._attacked:
            self._peak = max(self._peak, frame.level)
            lasted = self._count - self._attacked
            if frame.level <= self._peak - _BANG_FALL_DB:
                start, rise = self._attacked, self._peak - max(self._attack, self._floor)
                self._attacked = 0
                return self._sound(BANG, (rise - _BANG_RISE_DB) / 5, start - 1, self._peak)
            if lasted > _BANG_DECAY:
                self._attacked = 0
            return None
        if len(frames) <= _BANG_ATTACK or frame.level < _BANG_DBFS:
            return None
        before = frames[-1 - _BANG_ATTACK].level
        broad = frame.share <= _BANG_SHARE and frame.high >= _BANG_HIGH
        if broad and frame.level - max(before, self._floor) >= _BANG_RISE_DB:
            self._attack, self._peak, self._attacked = before, frame.level, self._count
        return None

    def _beep(self, frame: _Frame) -> Sound | None:
        """One narrow band holds nearly all power, and stays where it is."""
        before = self._frames[-2] if len(self._frames) > 1 else frame
        low, high = _BEEP_HZ
        tonal = frame.share >= _BEEP_SHARE and low <= frame.peak_hz <= high
        if not tonal or (self._tonal and abs(frame.peak_hz - before.peak_hz) > self._rate / _WINDOW * 1.5):
            self._tonal = int(tonal)
            return None
        self._tonal += 1
        if self._tonal != _BEEP_FRAMES:
            return None
        run = list(self._frames)[-_BEEP_FRAMES:]
        share = sum(each.share for each in run) / len(run)
        return self._sound(BEEP, (share - _BEEP_SHARE) * 20, self._count - _BEEP_FRAMES, max(f.level for f in run))

    def _noise(self) -> Sound | None:
        """Two seconds of one level, with no pitch."""
        if len(self._frames) < _NOISE_FRAMES or self._count % 10:
            return None
        levels = np.array([frame.level for frame in self._frames])
        spread, share = float(levels.std()), float(np.median([frame.share for frame in self._frames]))
        steady = levels.min() >= self._floor and spread < _NOISE_SPREAD_DB and share < _NOISE_TILT
        begun, self._steady = steady and not self._steady, steady
        if not begun:
            return None
        score = (_NOISE_SPREAD_DB - spread) * 2
        return self._sound(NOISE, score, self._count - _NOISE_FRAMES, float(levels.max()))

    def _silence(self, frame: _Frame) -> Sound | None:
        """Three seconds below the floor."""
        self._quiet = self._quiet + 1 if frame.level < self._floor else 0
        if self._quiet != _SILENCE_FRAMES:
            return None
        loudest = max(each.level for each in list(self._frames)[-_SILENCE_FRAMES:])
        return self._sound(SILENCE, (self._floor - loudest) / 5, self._count - _SILENCE_FRAMES, loudest)

    def _sound(self, label: str, logit: float, start: int, level: float) -> Sound:
        score = 1 / (1 + math.exp(-min(30.0, max(0.0, logit))))
        return Sound(label, score, start * _FRAME_S, self._count * _FRAME_S, level)
