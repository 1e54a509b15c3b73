"""Recognition on real recordings, and the detector against the published model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from services.asr.engines.pocketsphinx.bundles import PocketsphinxBundle
from services.asr.engines.pocketsphinx.worker import Decoders
from services.asr.engines.silero import SileroDetector
from services.asr.events import Final
from services.asr.requests import Endpointing, SessionConfig
from services.asr.transcriber import Transcriber
from services.runtime.model_store import read_definition
from training.asr_commands.evaluate import distance, measured, padded, read_wave, real

pytestmark = pytest.mark.data

MODELS = Path(__file__).parents[3] / "services" / "asr" / "models"


def test_the_detector_is_that_of_the_published_model(data: Path) -> None:
    pcm = read_wave(data / "audio" / "asr-en" / "librivox" / "sense_and_sensibility_01_austen_64kb-0880.wav")
    chunks = pcm[: pcm.size // 512 * 512].reshape(-1, 512)
    got = np.array(SileroDetector().probabilities(chunks))
    model = onnxruntime.InferenceSession(str(data / "models" / "vad" / "silero_vad.onnx"))
    state: Any = np.zeros((2, 1, 128), np.float32)
    context: Any = np.zeros((1, 64), np.float32)
    wanted: list[float] = []
    for chunk in chunks:
        audio = np.hstack((context, chunk[None].astype(np.float32) / 32_768))
        probability, state = model.run(None, {"input": audio, "state": state, "sr": np.array(16_000)})
        context = audio[:, -64:]
        wanted.append(float(probability[0, 0]))
    assert np.abs(got - np.array(wanted)).max() < 0.01


def test_read_speech_is_dictation_not_commands(data: Path) -> None:
    """The card's point: the commands model is not for this, the dictation model is better at it."""
    clips = real(data, "librivox")
    commands, dictation = (measured(MODELS / name, clips) for name in ("en-commands", "en-dictation"))
    assert dictation.errors / dictation.words < 0.35
    assert commands.errors > dictation.errors


def test_a_sentence_of_a_real_voice(data: Path) -> None:
    path = data / "audio" / "asr-en" / "goforward.raw"
    pcm = padded(np.frombuffer(path.read_bytes(), "<i2"), seed=0)
    decoders = Decoders(PocketsphinxBundle.open(read_definition(MODELS / "en-dictation" / "model.yaml")))
    transcriber = Transcriber(
        SessionConfig(model="", endpointing=Endpointing(continuous=True)), SileroDetector(), decoders
    )
    events = [*transcriber.feed(pcm.tobytes()), *transcriber.finish()]
    heard = " ".join(event.alternatives[0].text for event in events if isinstance(event, Final))
    assert distance("go forward ten meters".split(), heard.split()) <= 1
