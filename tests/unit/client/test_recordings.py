"""WAV files: what is read, what is refused, and how."""

from __future__ import annotations

import asyncio
import struct
import wave
from pathlib import Path

import pytest

from antiphon.recordings import Recording, RecordingError, paced, read_wav, write_wav

pytestmark = pytest.mark.unit


def wav(path: Path, frames: bytes, channels: int = 1, width: int = 2, rate: int = 16000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(frames)
    return path


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
def test_mono_comes_as_it_is(tmp_path: Path, rate: int) -> None:
    pcm = struct.pack("<4h", 1, -2, 32767, -32768)
    assert read_wav(wav(tmp_path / "a.wav", pcm, rate=rate)) == Recording(pcm, rate)


def test_stereo_is_mixed_without_overflow(tmp_path: Path) -> None:
    frames = struct.pack("<6h", 32767, 32767, -32768, -32768, 100, 300)
    assert read_wav(wav(tmp_path / "a.wav", frames, channels=2)).pcm == struct.pack("<3h", 32767, -32768, 200)


@pytest.mark.parametrize(
    ("width", "rate", "frames", "named"),
    [
        (1, 16000, b"\x80\x80", "8 bit"),
        (3, 16000, bytes(6), "24 bit"),
        (2, 7999, bytes(4), "7999 Hz"),
        (2, 96000, bytes(4), "96000 Hz"),
        (2, 16000, b"", "no samples"),
    ],
)
def test_other_forms_are_refused_by_name(tmp_path: Path, width: int, rate: int, frames: bytes, named: str) -> None:
    with pytest.raises(RecordingError, match=named):
        read_wav(wav(tmp_path / "a.wav", frames, width=width, rate=rate))


@pytest.mark.parametrize(
    "content", [b"", b"RIFF", b"hello, this is text and no audio at all", b"RIFF\x24\0\0\0WAVEfmt "]
)
def test_what_is_no_wav_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="no WAV file"):
        read_wav(path)


def test_floating_point_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "float.wav"
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, 16000, 64000, 4, 32)
    data = struct.pack("<4sI4s", b"data", 4, bytes(4))
    path.write_bytes(struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(data), b"WAVE") + form + data)
    with pytest.raises(RecordingError, match="16 bit PCM"):
        read_wav(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_wav(tmp_path / "none.wav")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    recording = Recording(bytes(range(200)), 22050)
    write_wav(tmp_path / "a.wav", recording)
    assert read_wav(tmp_path / "a.wav") == recording


def test_chunks_hold_whole_samples_and_make_up_the_whole() -> None:
    recording = Recording(bytes(range(250)) * 100, 11025)
    chunks = list(recording.chunks())
    assert b"".join(chunks) == recording.pcm
    assert all(len(chunk) % 2 == 0 and len(chunk) <= 15_360 for chunk in chunks)


def test_silence_is_added_after_the_words() -> None:
    longer = Recording(b"\x01\x02", 8000).with_silence(0.5)
    assert longer.pcm == b"\x01\x02" + bytes(8000)
    assert longer.duration_s == pytest.approx(0.500125)


async def test_the_pace_is_that_of_speech() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    times = [loop.time() - began async for _ in paced(Recording(bytes(9600), 16000), speed=2.0)]
    assert [round(t, 1) for t in times] == pytest.approx([0.1, 0.1, 0.2], abs=0.11)
    assert times[-1] >= 0.15
