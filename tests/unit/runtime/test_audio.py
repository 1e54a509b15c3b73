"""Formats, G.711, resampling and framing: whatever the cut of the messages, the same samples come out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from services.runtime.audio import (
    AudioFormat,
    Encoding,
    Framer,
    Pcm,
    PcmDecoder,
    PcmEncoder,
    decode_alaw,
    decode_mulaw,
    encode_alaw,
    encode_mulaw,
)
from services.runtime.errors import InvalidInput

pytestmark = pytest.mark.unit

ALL_CODES = bytes(range(256))
ALL_SAMPLES = np.arange(-32_768, 32_768).astype(np.int16)


def tone(hz: float, rate_hz: int, seconds: float = 1.0) -> Pcm:
    return (10_000 * np.sin(2 * np.pi * hz * np.arange(int(rate_hz * seconds)) / rate_hz)).astype(np.int16)


def decoded(source: AudioFormat, data: bytes, step: int, rate_hz: int = 16_000) -> Pcm:
    decoder = PcmDecoder(source, rate_hz)
    chunks = [decoder.feed(data[start : start + step]) for start in range(0, len(data), step)]
    return np.concatenate([*chunks, decoder.finish()])


def test_g711_known_values() -> None:
    """Corner codes of ITU-T G.711 tables 1 and 2, scaled to 16 bits."""
    mulaw = decode_mulaw(bytes([0x00, 0x7F, 0x80, 0xFF, 0xAA]))
    assert mulaw.tolist() == [-32_124, 0, 32_124, 0, 5_372]
    alaw = decode_alaw(bytes([0x2A, 0xAA, 0x55, 0xD5, 0x80]))
    assert alaw.tolist() == [-32_256, 32_256, -8, 8, 5_504]


@pytest.mark.parametrize(
    ("encode", "decode", "worst"), [(encode_mulaw, decode_mulaw, 644), (encode_alaw, decode_alaw, 512)]
)
def test_g711_is_within_half_a_step_and_stable(
    encode: Callable[[Pcm], bytes], decode: Callable[[bytes], Pcm], worst: int
) -> None:
    once = decode(encode(ALL_SAMPLES)).astype(int)
    error = np.abs(once - ALL_SAMPLES)
    assert error.max() <= worst
    assert np.all(error <= np.maximum(np.abs(ALL_SAMPLES.astype(int)) / 16, 16))
    assert np.all(np.diff(once) >= 0)
    codes = decode(ALL_CODES)
    assert np.array_equal(decode(encode(codes)), codes)


@pytest.mark.parametrize("step", [1, 3, 320, 100_000])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_any_cut_gives_the_same_samples(rate_hz: int, step: int) -> None:
    samples = tone(440, rate_hz, 0.2)
    source = AudioFormat(Encoding.LINEAR16, rate_hz)
    whole = decoded(source, samples.tobytes(), 1 << 20)
    cut = decoded(source, samples.tobytes(), step)
    assert np.array_equal(cut, whole)
    assert abs(whole.size - 3_200) <= 1


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_resampling_keeps_the_tone(rate_hz: int) -> None:
    heard = decoded(AudioFormat(Encoding.LINEAR16, rate_hz), tone(1_000, rate_hz).tobytes(), 1_000)
    inner = slice(2_000, 14_000)
    assert np.abs(heard[inner].astype(int) - tone(1_000, 16_000)[inner]).max() < 100


def test_resampling_removes_what_the_lower_rate_cannot_hold() -> None:
    heard = decoded(AudioFormat(Encoding.LINEAR16, 48_000), tone(12_000, 48_000).tobytes(), 4_800)
    assert np.abs(heard[1_000:-1_000]).max() < 30


def test_resampler_holds_back_at_most_35_ms() -> None:
    for rate_hz in (8_000, 22_050, 44_100, 48_000):
        decoder = PcmDecoder(AudioFormat(Encoding.LINEAR16, rate_hz), 16_000)
        given = tone(440, rate_hz)
        step = rate_hz // 10
        got = sum(decoder.feed(given[at : at + step].tobytes()).size for at in range(0, given.size, step))
        assert given.size / rate_hz - got / 16_000 < 0.035


@pytest.mark.parametrize("encoding", list(Encoding))
def test_what_is_encoded_is_decoded_again(encoding: Encoding) -> None:
    target = AudioFormat(encoding, 8_000)
    speech = tone(300, 16_000)
    encoder = PcmEncoder(target, 16_000)
    data = b"".join(encoder.feed(speech[at : at + 700]) for at in range(0, speech.size, 700)) + encoder.finish()
    assert target.seconds(len(data)) == pytest.approx(1.0, abs=0.001)
    heard = decoded(target, data, 999)[1_000:15_000].astype(int)
    assert np.abs(heard - speech[1_000:15_000]).max() < 600


def test_a_stream_that_ends_within_a_sample_is_refused() -> None:
    decoder = PcmDecoder(AudioFormat(Encoding.LINEAR16, 16_000), 16_000)
    assert decoder.feed(b"\x01\x02\x03").tolist() == [0x0201]
    with pytest.raises(InvalidInput) as refused:
        decoder.finish()
    assert refused.value.reason == "ODD_AUDIO_BYTES"


@pytest.mark.parametrize(
    ("encoding", "rate_hz", "channels", "field"),
    [
        ("OGG_OPUS", 48_000, 1, "config.audio.encoding"),
        ("", 16_000, 1, "config.audio.encoding"),
        ("LINEAR16", 0, 1, "config.audio.sample_rate_hertz"),
        ("LINEAR16", 7_999, 1, "config.audio.sample_rate_hertz"),
        ("MULAW", 96_000, 1, "config.audio.sample_rate_hertz"),
        ("ALAW", 8_000, 2, "config.audio.channel_count"),
    ],
)
def test_unsupported_formats_are_refused_with_what_is_supported(
    encoding: str, rate_hz: int, channels: int, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        AudioFormat.parse(encoding, rate_hz, channels, field="config.audio")
    assert refused.value.field == field
    for name in ("LINEAR16", "MULAW", "ALAW", "8000", "48000"):
        assert name in refused.value.message


def test_framer_keeps_the_rest() -> None:
    framer = Framer(4)
    assert framer.feed(np.arange(3, dtype=np.int16)).shape == (0, 4)
    assert framer.feed(np.arange(3, 10, dtype=np.int16)).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert framer.rest().tolist() == [8, 9]
    assert framer.rest().size == 0
