"""Log-mel filterbank features of one utterance as it comes in; the same code trains and serves.

The neural engines call it per piece of audio, `training/asr_digits` per recording. The filterbank is Kaldi's, by
kaldi-native-fbank, which the public models were trained with too (Povey et al., "The Kaldi speech recognition
toolkit", ASRU 2011).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import kaldi_native_fbank as knf
import numpy as np
from numpy.typing import NDArray

from services.runtime.audio import Pcm

Frames = NDArray[np.float32]
"""(frames, mel bins), natural logarithms of band energies."""

FRAMES_PER_SECOND = 100


@dataclass(frozen=True)
class FeatureSettings:
    """What a bundle declares under `features`.

    Attributes:
        rate_hz: of the audio.
        mel_bins: bands.
        low_hz: lower edge of the first band.
        high_hz: upper edge of the last band; 0 or less counts from half the rate downwards.
        window: `povey`, `hann` or `hamming`.
        snip_edges: True drops frames that reach beyond the audio, False mirrors the audio there; the first frame then
            needs 10 ms less.
        scaled: True takes samples from -1 to 1, False as 16-bit numbers.
        remove_dc_offset: takes the mean off each frame's samples.
        librosa: bands on the scale of librosa, which NeMo uses, not on Kaldi's.
    """

    rate_hz: int = 16_000
    mel_bins: int = 80
    low_hz: float = 20.0
    high_hz: float = -400.0
    window: str = "povey"
    snip_edges: bool = False
    scaled: bool = True
    remove_dc_offset: bool = True
    librosa: bool = False

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> FeatureSettings:
        """Raises ValueError naming an unknown key or a value out of range."""
        unknown = raw.keys() - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"features: unknown key {min(unknown)!r}")
        for field in fields(cls):
            value = raw.get(field.name, field.default)
            kinds = (int, float) if isinstance(field.default, float) else (type(field.default),)
            if type(value) not in kinds:  # True is no number here
                raise ValueError(f"features: {field.name} is a {kinds[-1].__name__}, not {value!r}")
        settings = cls(**raw)
        if settings.window not in ("povey", "hann", "hamming"):
            raise ValueError(f"features: unknown window {settings.window!r}")
        if settings.rate_hz not in (8_000, 16_000) or not 1 <= settings.mel_bins <= 256:
            raise ValueError("features: rate_hz is 8000 or 16000, mel_bins 1 to 256")
        half = settings.rate_hz / 2
        top = settings.high_hz if settings.high_hz > 0 else half + settings.high_hz
        if not 0 <= settings.low_hz < top <= half:
            raise ValueError(f"features: the bands must lie within 0 to {half:g} Hz")
        return settings


class Features:
    """One utterance; audio may come in pieces of any length and gives the same frames."""

    def __init__(self, settings: FeatureSettings) -> None:
        options = knf.FbankOptions()
        options.frame_opts.samp_freq = settings.rate_hz
        options.frame_opts.dither = 0.0
        options.frame_opts.snip_edges = settings.snip_edges
        options.frame_opts.window_type = settings.window
        options.frame_opts.remove_dc_offset = settings.remove_dc_offset
        options.mel_opts.num_bins = settings.mel_bins
        options.mel_opts.low_freq = settings.low_hz
        options.mel_opts.high_freq = settings.high_hz
        options.mel_opts.is_librosa = settings.librosa
        self._settings = settings
        self._fbank = knf.OnlineFbank(options)
        self._taken = 0

    def feed(self, pcm: Pcm) -> Frames:
        """Frames that became complete, (n, mel_bins); n may be 0."""
        samples = pcm.astype(np.float32)
        if self._settings.scaled:
            samples /= 32_768.0
        self._fbank.accept_waveform(self._settings.rate_hz, samples)
        return self._ready()

    def finish(self) -> Frames:
        """The last frames, with what lies beyond the audio mirrored; nothing may be fed afterwards."""
        self._fbank.input_finished()
        return self._ready()

    def _ready(self) -> Frames:
        ready = self._fbank.num_frames_ready
        frames = np.empty((ready - self._taken, self._settings.mel_bins), np.float32)
        for at in range(len(frames)):
            frames[at] = self._fbank.get_frame(self._taken + at)
        self._fbank.pop(len(frames))
        self._taken = ready
        return frames
