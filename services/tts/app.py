"""Wires the synthesis service; `services/registry.py` names its `SPEC`."""

from __future__ import annotations

from antiphon.tts.v1 import synthesis_pb2
from antiphon.types.v1 import audio_pb2, capability_pb2, provenance_pb2
from services.runtime.settings import load
from services.runtime.spec import Application, Runtime, ServiceSpec
from services.tts.engines.espeak import EspeakEngine
from services.tts.servicer import SpeechSynthesisServicer
from services.tts.settings import TtsSettings
from services.tts.synthesizer import Synthesizer

SERVICE = synthesis_pb2.DESCRIPTOR.services_by_name["SpeechSynthesisService"]

_ENCODINGS = (
    audio_pb2.AUDIO_ENCODING_LINEAR16,
    audio_pb2.AUDIO_ENCODING_MULAW,
    audio_pb2.AUDIO_ENCODING_ALAW,
)
_FEATURES = ("Discard", "Flush", "ListVoices", "Phonemize", "prosody", "timing_marks")
_NOTES = (
    "Speech by rule (formant synthesis), made by espeak-ng in a process of its own: clear and quick, not natural.",
    "Plain text only; SSML, lexicons and reference audio are refused.",
    "Dates, times, amounts, units and ordinals are read rightly in en, de, es, fr, it; elsewhere as the engine does.",
    "Japanese is read from kana only: kanji are named, not pronounced.",
)


async def build(runtime: Runtime) -> Application:
    """Start the engine's processes and put the service together."""
    settings = load(TtsSettings, runtime.options, "ANTIPHON_TTS")
    engine = EspeakEngine(settings.workers or None, settings.max_waiting)
    await engine.start()
    synthesizer = Synthesizer(engine, settings)
    servicer = SpeechSynthesisServicer(synthesizer, runtime.pool, runtime.limits)

    async def describe() -> capability_pb2.DescribeResponse:
        return capability_pb2.DescribeResponse(
            models=[_model(servicer.model, engine, synthesizer)],
            locales=synthesizer.catalogue.languages,
            output_formats=[audio_pb2.AudioFormat(encoding=encoding) for encoding in _ENCODINGS],
            features=_FEATURES,
            notes=_NOTES,
        )

    async def check() -> None:
        engine.check()

    return Application({SERVICE.full_name: servicer}, describe, check, engine.close)


def _model(name: str, engine: EspeakEngine, synthesizer: Synthesizer) -> capability_pb2.ModelInfo:
    return capability_pb2.ModelInfo(
        model=name,
        licence=engine.licence,
        locales=synthesizer.catalogue.languages,
        backend="process",
        engine=engine.name,
        mode=provenance_pb2.MODEL_MODE_RULES,
        description="Formant synthesis and letter-to-sound rules; no training data.",
    )


SPEC = ServiceSpec(capability="tts", services=(SERVICE,), build=build)
