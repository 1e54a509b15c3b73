"""WAV and FLAC files of strangers: read as they are, or refused with a reason."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile

from services.asr.recordings import Container, read_recording
from services.runtime.audio import AudioFormat, Encoding
from services.runtime.errors import InvalidInput

pytestmark = pytest.mark.unit

TONE = (8_000 * np.sin(np.arange(16_000) / 10)).astype(np.int16)


def file(
    samples: np.ndarray = TONE, rate_hz: int = 16_000, container: str = "WAV", subtype: str | None = None
) -> bytes:
    out = io.BytesIO()
    if subtype == "FLOAT" and samples.dtype == np.int16:
        samples = samples / np.float32(32_768)
    soundfile.write(out, samples, rate_hz, format=container, subtype=subtype)
    return out.getvalue()


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("WAV", "PCM_U8"), ("WAV", "FLOAT"), ("WAV", "ULAW")],
)
@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
def test_samples_are_those_of_the_file(container: str, subtype: str, rate_hz: int) -> None:
    source, content = read_recording(file(TONE, rate_hz, container, subtype), Container(container), 60)
    assert source == AudioFormat(Encoding.LINEAR16, rate_hz)
    read = np.frombuffer(content, "<i2")
    allowed = 400 if subtype in ("PCM_U8", "ULAW") else 1
    assert np.abs(read.astype(int) - TONE).max() <= allowed


def test_two_channels_become_their_mean() -> None:
    _, content = read_recording(file(np.stack((TONE, TONE // 2), axis=1)), Container.WAV, 60)
    assert np.abs(np.frombuffer(content, "<i2").astype(int) - (TONE * 0.75)).max() <= 1


def test_numbers_that_are_none_are_silence() -> None:
    odd = np.full(16_000, np.nan, np.float32)
    odd[0] = np.inf
    _, content = read_recording(file(odd, subtype="FLOAT"), Container.WAV, 60)
    assert np.frombuffer(content, "<i2").tolist()[:2] == [32_767, 0]


def promising(seconds: int) -> bytes:
    """A WAV whose header promises more than there is."""
    content = bytearray(file())
    struct.pack_into("<I", content, 4, min(seconds * 32_000 + 36, 0xFFFFFFFF))
    struct.pack_into("<I", content, 40, min(seconds * 32_000, 0xFFFFFFFF))
    return bytes(content)


WAV, FLAC = file(), file(container="FLAC")
HOSTILE: list[tuple[str, bytes, Container, str]] = [
    ("nothing", b"", Container.WAV, "AUDIO_UNREADABLE"),
    ("text", b"What time is it?", Container.FLAC, "AUDIO_UNREADABLE"),
    ("raw samples", TONE.tobytes(), Container.WAV, "AUDIO_UNREADABLE"),
    ("the other one", FLAC, Container.WAV, "AUDIO_UNREADABLE"),
    ("a header's beginning", WAV[:20], Container.WAV, "AUDIO_TRUNCATED"),
    ("half of it", WAV[:20_000], Container.WAV, "AUDIO_TRUNCATED"),
    ("half of it", FLAC[: len(FLAC) // 2], Container.FLAC, "AUDIO_UNREADABLE"),
    ("a promise of an hour", promising(3_600), Container.WAV, "AUDIO_TRUNCATED"),
    ("a magic number alone", b"fLaC", Container.FLAC, "AUDIO_UNREADABLE"),
    ("noise after the magic", b"fLaC" + bytes(range(256)) * 40, Container.FLAC, "AUDIO_UNREADABLE"),
    ("RIFF of no wave", b"RIFF\xff\xff\xff\xffAVI LIST" + bytes(500), Container.WAV, "AUDIO_UNREADABLE"),
    ("no samples", file(TONE[:0]), Container.WAV, "NO_AUDIO"),
    ("eight channels", file(np.tile(TONE[:, None], 8)), Container.WAV, "UNSUPPORTED_CHANNELS"),
    ("eight channels", file(np.tile(TONE[:, None], 8), container="FLAC"), Container.FLAC, "UNSUPPORTED_CHANNELS"),
    ("96 kHz", file(TONE, 96_000), Container.WAV, "UNSUPPORTED_SAMPLE_RATE"),
    ("4 kHz", file(TONE, 4_000), Container.WAV, "UNSUPPORTED_SAMPLE_RATE"),
    ("ADPCM", file(TONE, subtype="MS_ADPCM"), Container.WAV, "UNSUPPORTED_ENCODING"),
    ("too long", file(np.tile(TONE, 61)), Container.WAV, "AUDIO_TOO_LONG"),
    ("too long", file(np.tile(TONE // 9_000, 61), container="FLAC"), Container.FLAC, "AUDIO_TOO_LONG"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "content", "container", "why"), HOSTILE, ids=[f"{c[0]}-{c[2]}" for c in HOSTILE])
def test_refused(what: str, content: bytes, container: Container, why: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_recording(content, container, 60)
    assert (refused.value.reason, refused.value.field) == (why, "audio")


def test_a_wave_of_a_writer_that_did_not_know_the_end() -> None:
    _, read = read_recording(promising(1 << 30), Container.WAV, 60)
    assert len(read) == 32_000


@pytest.mark.parametrize("end", range(4, len(FLAC), len(FLAC) // 40))
def test_flac_cut_anywhere_is_refused(end: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_recording(FLAC[:end], Container.FLAC, 60)
    assert refused.value.reason in ("AUDIO_UNREADABLE", "AUDIO_TRUNCATED", "NO_AUDIO")


def test_flipped_bits_are_read_or_refused() -> None:
    rng = np.random.default_rng(1)
    for original, container in ((WAV, Container.WAV), (FLAC, Container.FLAC)):
        for _ in range(150):
            content = bytearray(original)
            for at in rng.integers(4, min(len(content), 200), 4):
                content[at] = rng.integers(256)
            try:
                _, read = read_recording(bytes(content), container, 60)
            except InvalidInput:
                continue
            assert len(read) <= 60 * 48_000 * 2
