"""Wires the speaker service; `services/registry.py` names its `SPEC`."""

from __future__ import annotations

from antiphon.speaker.v1 import speaker_pb2
from antiphon.types.v1 import audio_pb2, capability_pb2, provenance_pb2
from services.runtime.settings import load
from services.runtime.spec import Application, Runtime, ServiceSpec
from services.runtime.stores import open_store
from services.speaker import voiceprints
from services.speaker.profiles import ProfileStore
from services.speaker.servicer import SpeakerServicer
from services.speaker.settings import SpeakerSettings
from services.speaker.verifier import Verifier

SERVICE = speaker_pb2.DESCRIPTOR.services_by_name["SpeakerService"]

_DAY_S = 24 * 3600
_ENCODINGS = (
    audio_pb2.AUDIO_ENCODING_LINEAR16,
    audio_pb2.AUDIO_ENCODING_MULAW,
    audio_pb2.AUDIO_ENCODING_ALAW,
)
_NOTES = (
    "A hint, not proof of identity: recordings and synthetic voices are not detected. Never grant access by it.",
    "Error rates were measured on 6 speakers within one session each; another day, room or device will do worse.",
    "Speech is told from pauses by level alone: steady loud noise counts as speech.",
    "Profiles hold voiceprints, never audio, and expire when they are not used.",
)


async def build(runtime: Runtime) -> Application:
    """Open the store, read the model and put the service together."""
    settings = load(SpeakerSettings, runtime.options, "ANTIPHON_SPEAKER")
    model = voiceprints.load()
    store = await open_store(runtime, "voices.sqlite")
    verifier = Verifier(model, ProfileStore(store, settings.profile_days * _DAY_S), settings)

    async def describe() -> capability_pb2.DescribeResponse:
        return capability_pb2.DescribeResponse(
            models=[_model(model)],
            locales=["mul"],
            input_formats=[audio_pb2.AudioFormat(encoding=encoding) for encoding in _ENCODINGS],
            features=["DeleteProfile", "Enroll", "StreamingVerify", "Verify"],
            notes=_NOTES,
        )

    servicer = SpeakerServicer(verifier, runtime.pool, runtime.limits)
    return Application({SERVICE.full_name: servicer}, describe, close=store.close)


def _model(model: voiceprints.VoiceModel) -> capability_pb2.ModelInfo:
    scores = model.scores or {}
    return capability_pb2.ModelInfo(
        model=model.name,
        digest=model.digest,
        licence="CC-BY-4.0",
        locales=["mul"],
        backend="embedded",
        engine="numpy",
        mode=provenance_pb2.MODEL_MODE_ZERO_SHOT,
        description="Statistics of mel-frequency cepstra, made from 60 English speakers of LibriSpeech.",
        scores=[
            capability_pb2.ModelScore(
                locale="en",
                metric="eer",
                value=scores[f"{kind}_eer"],
                dataset=f"LibriSpeech test-other excerpt, 6 speakers, one session each, {what} against three clips",
            )
            for kind, what in (("whole_clip", "a whole clip"), ("stretch_2_5s", "2.5 s"))
        ],
    )


SPEC = ServiceSpec(capability="speaker", services=(SERVICE,), build=build)
