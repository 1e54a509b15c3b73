"""Published recognisers here and in sherpa-onnx: same files, same audio, and piece by piece the same tokens.

The weights are drawn at random, so what is heard is nonsense; but it depends on every frame, state and token before,
and so two readings of one file agree over seconds of speech only when features, windows, states and search do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import sherpa_onnx
import soundfile
from onnxruntime.quantization import quantize_dynamic

from services.asr.engines.features import Frames
from services.asr.engines.neural.chunks import FeatureChunks
from services.asr.engines.neural.search import Asked, Hypothesis, SpeechModel
from services.asr.engines.published.importing import import_public
from services.asr.engines.readers import read_model
from services.asr.engines.transducer.zipformer2 import Zipformer2Transducer
from services.asr.settings import AsrSettings
from services.runtime.audio import Pcm
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from tests.fixtures import public_models
from tests.fixtures.plain_beam import PlainBeam
from tests.fixtures.synthetic_speech import spoken

pytestmark = pytest.mark.integration

RATE = 16_000
_RECORDINGS = (
    "audio/asr-en/librivox/sense_and_sensibility_01_austen_64kb-0870.wav",
    "audio/asr-en/libri/libri-1088-134315-0000.wav",
    "audio/asr-en/cards/003.wav",
)
_SHERPA_FRAME = 0.04  # seconds; what its times are counted in, whatever a model's subsampling is


@dataclass(frozen=True)
class Published:
    """Files of one family, and how sherpa-onnx opens them."""

    folder: Path
    sherpa: sherpa_onnx.OnlineRecognizer


def files(folder: Path) -> dict[str, str]:
    return {name: str(next(folder.glob(pattern))) for name, pattern in _PATTERNS.items() if any(folder.glob(pattern))}


_PATTERNS = {
    "tokens": "tokens.txt",
    "encoder": "encoder*",
    "decoder": "decoder*",
    "joiner": "joiner*",
    "model": "[mc]*.onnx",
}


def transducer(folder: Path) -> Published:
    public_models.zipformer2(folder)
    return Published(folder, sherpa_onnx.OnlineRecognizer.from_transducer(**files(folder), num_threads=1))


def zipformer2_ctc(folder: Path) -> Published:
    public_models.zipformer2_ctc(folder)
    return Published(folder, sherpa_onnx.OnlineRecognizer.from_zipformer2_ctc(**files(folder), num_threads=1))


def wenet_ctc(folder: Path) -> Published:
    public_models.wenet_ctc(folder)
    return Published(folder, sherpa_onnx.OnlineRecognizer.from_wenet_ctc(**files(folder), num_threads=1))


def nemo_ctc(folder: Path) -> Published:
    public_models.nemo_ctc(folder)
    return Published(folder, sherpa_onnx.OnlineRecognizer.from_nemo_ctc(**files(folder), num_threads=1))


FAMILIES = [transducer, zipformer2_ctc, wenet_ctc, nemo_ctc]


def opened(published: Path, out: Path) -> tuple[SpeechModel, OnnxClient]:
    import_public(published, publisher="them", name="model", version="1", licence="none", locales=["en"], out=out)
    store = ModelStore([out])
    client = OnnxClient(store)
    return read_model(store.get("them/model"), client, AsrSettings(beam=1)), client


def windows(model: SpeechModel, pcm: Pcm) -> list[Frames]:
    return FeatureChunks(model.shape.features, model.shape.window, model.shape.shift).feed(pcm)


def symbols(model: SpeechModel, guess: Hypothesis) -> list[str]:
    """As sherpa-onnx tells tokens."""
    return [model.tokens.symbols[token].replace("▁", " ") for token in guess.tokens]


async def agreeing(model: SpeechModel, theirs: sherpa_onnx.OnlineRecognizer, pcm: Pcm) -> int:
    """Asserts that both hear the same after every piece; returns how many tokens there were."""
    stream = theirs.create_stream()
    stream.accept_waveform(RATE, pcm.astype(np.float32) / 32_768)
    search = model.search(Asked())
    pieces = iter(windows(model, pcm))
    while theirs.is_ready(stream):
        theirs.decode_stream(stream)
        await search.advance(next(pieces), last=False)
        result = theirs.recognizer.get_result(stream)
        (ours,) = search.best(1)
        assert symbols(model, ours) == list(result.tokens)
        assert list(ours.frames) == [round(time / _SHERPA_FRAME) for time in result.timestamps]
    await search.close()
    return len(search.best(1)[0].tokens)


@pytest.fixture(scope="module")
def speech() -> Pcm:
    return spoken("please turn on the lamp in the living room and play some music")


@pytest.mark.parametrize("family", FAMILIES)
async def test_greedy_search_hears_the_same_token_by_token(
    family: Callable[[Path], Published], speech: Pcm, tmp_path: Path
) -> None:
    published = family(tmp_path / "published")
    model, client = opened(published.folder, tmp_path / "store")
    await model.load()
    assert await agreeing(model, published.sherpa, speech) > 10
    await client.close()


@pytest.mark.data
@pytest.mark.parametrize("family", FAMILIES)
async def test_recordings_are_heard_the_same(family: Callable[[Path], Published], data: Path, tmp_path: Path) -> None:
    published = family(tmp_path / "published")
    model, client = opened(published.folder, tmp_path / "store")
    for name in _RECORDINGS:
        pcm, rate = soundfile.read(data / name, dtype="int16")
        assert rate == RATE
        assert await agreeing(model, published.sherpa, pcm) > 3
    await client.close()


async def test_probabilities_of_tokens_are_the_same(speech: Pcm, tmp_path: Path) -> None:
    published = public_models.zipformer2(tmp_path / "published", unknown=False)
    theirs = sherpa_onnx.OnlineRecognizer.from_transducer(**files(published), num_threads=1, temperature_scale=1.0)
    model, client = opened(published, tmp_path / "store")
    stream = theirs.create_stream()
    stream.accept_waveform(RATE, speech.astype(np.float32) / 32_768)
    search = model.search(Asked())
    for piece in windows(model, speech):
        if theirs.is_ready(stream):
            theirs.decode_stream(stream)
            await search.advance(piece, last=False)
    result = theirs.recognizer.get_result(stream)
    (ours,) = search.best(1)
    assert len(result.ys_probs) > 10
    assert np.array(ours.log_probs) == pytest.approx(np.array(result.ys_probs), abs=1e-4)
    await search.close()
    await client.close()


async def test_a_quantised_copy_is_heard_the_same(speech: Pcm, tmp_path: Path) -> None:
    whole, small = public_models.zipformer2(tmp_path / "whole"), tmp_path / "small"
    small.mkdir()
    for path in whole.glob("*.onnx"):
        quantize_dynamic(str(path), str(small / f"{path.stem}.int8.onnx"), op_types_to_quantize=["MatMul"])
    (whole / "tokens.txt").rename(small / "tokens.txt")
    theirs = sherpa_onnx.OnlineRecognizer.from_transducer(**files(small), num_threads=1)
    model, client = opened(small, tmp_path / "store")
    assert await agreeing(model, theirs, speech) > 10
    await client.close()


@pytest.mark.parametrize("width", [2, 6])
async def test_a_beam_over_our_networks_finds_what_sherpa_finds(width: int, speech: Pcm, tmp_path: Path) -> None:
    """Its rule in plain words (`plain_beam.py`): several contexts of tokens at once, and sums over alignments."""
    published = public_models.zipformer2(tmp_path / "published", unknown=False)
    theirs = sherpa_onnx.OnlineRecognizer.from_transducer(
        **files(published), num_threads=1, decoding_method="modified_beam_search", max_active_paths=width
    )
    model, client = opened(published, tmp_path / "store")
    networks = Zipformer2Transducer(model.definition, client, 5.0)
    beam = PlainBeam(networks, width)
    stream = theirs.create_stream()
    stream.accept_waveform(RATE, speech.astype(np.float32) / 32_768)
    pieces = iter(windows(model, speech))
    while theirs.is_ready(stream):
        theirs.decode_stream(stream)
        await beam.advance(next(pieces))
        tokens = [model.tokens.symbols[token].replace("▁", " ") for token in beam.best()]
        assert tokens == list(theirs.recognizer.get_result(stream).tokens)
    assert len(beam.best()) > 5
    await client.close()


@pytest.mark.parametrize("family", FAMILIES)
async def test_sessions_side_by_side_hear_what_each_hears_alone(
    family: Callable[[Path], Published], speech: Pcm, tmp_path: Path
) -> None:
    """Their calls are merged: a state laid along a wrong axis would mix them up."""
    model, client = opened(family(tmp_path / "published").folder, tmp_path / "store")
    shifted = [np.roll(speech, 977 * at) for at in range(6)]
    alone = [await heard(model, pcm) for pcm in shifted]
    together = await asyncio.gather(*(heard(model, pcm) for pcm in shifted))
    assert list(together) == alone
    assert len(set(alone)) > 1
    await client.close()


async def heard(model: SpeechModel, pcm: Pcm) -> tuple[int, ...]:
    search = model.search(Asked())
    pieces = windows(model, pcm)
    for at, piece in enumerate(pieces):
        await search.advance(piece, last=at == len(pieces) - 1)
    await search.close()
    return search.best(1)[0].tokens


@pytest.mark.parametrize("family", FAMILIES)
async def test_alternatives_are_distinct_and_sorted(
    family: Callable[[Path], Published], speech: Pcm, tmp_path: Path
) -> None:
    model, client = opened(family(tmp_path / "published").folder, tmp_path / "store")
    search = model.search(Asked(alternatives=4))
    for piece in windows(model, speech)[:6]:
        await search.advance(piece, last=False)
    found: Sequence[Hypothesis] = search.best(4)
    assert len({guess.tokens for guess in found}) == len(found) == 4
    assert [guess.score for guess in found] == sorted((guess.score for guess in found), reverse=True)
    await search.close()
    await client.close()


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_search_left_early_keeps_no_state(
    family: Callable[[Path], Published], speech: Pcm, tmp_path: Path
) -> None:
    model, client = opened(family(tmp_path / "published").folder, tmp_path / "store")
    search = model.search(Asked())
    await search.advance(windows(model, speech)[0], last=False)
    assert client.bytes_of_states > 0
    await search.close()
    await search.close()
    assert client.bytes_of_states == 0
    await client.close()
