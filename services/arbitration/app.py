"""Wires the front door's `ServiceSpec`; no logic."""

from __future__ import annotations

from antiphon.arbitration.v1 import arbitration_pb2, assistant_pb2, registry_pb2, traffic_pb2
from antiphon.types.v1 import audio_pb2, capability_pb2
from services.arbitration.rankers.choice import Rankers
from services.arbitration.replica import FrontDoor
from services.arbitration.servicers.arbitration import ArbitrationServicer
from services.arbitration.servicers.assistant import MAX_CHUNK, AssistantServicer
from services.arbitration.servicers.skill_registry import SkillRegistryServicer
from services.arbitration.servicers.traffic import TrafficServicer
from services.arbitration.settings import ArbitrationSettings
from services.runtime.settings import load
from services.runtime.spec import Application, Runtime, ServiceSpec

_FILES = {
    "AssistantService": assistant_pb2.DESCRIPTOR,
    "ArbitrationService": arbitration_pb2.DESCRIPTOR,
    "TrafficService": traffic_pb2.DESCRIPTOR,
    "SkillRegistryService": registry_pb2.DESCRIPTOR,
}
_NOTES = (
    "Every utterance counts as meant for the assistant until a directedness model is installed.",
    "Traffic weights are known to all replicas about a second later; circuits of skills are each replica's own.",
    "A newly registered skill is understood, and known to the other replicas, about a second later.",
)


async def build(runtime: Runtime) -> Application:
    """Makes the front door of one replica."""
    settings = load(ArbitrationSettings, runtime.options, "ANTIPHON_ARBITRATION")
    door = await FrontDoor.build(runtime, settings)

    async def describe() -> capability_pb2.DescribeResponse:
        encodings = (
            audio_pb2.AUDIO_ENCODING_LINEAR16,
            audio_pb2.AUDIO_ENCODING_MULAW,
            audio_pb2.AUDIO_ENCODING_ALAW,
        )
        formats = [audio_pb2.AudioFormat(encoding=encoding, channel_count=1) for encoding in encodings]
        response = capability_pb2.DescribeResponse(
            locales=sorted(settings.locales),
            input_formats=formats,
            output_formats=formats,
            notes=(_ranking(door.judge.rankers), *_NOTES),
        )
        response.limits.max_audio_chunk_bytes = MAX_CHUNK
        for pool in sorted(runtime.directory.pools, key=lambda pool: pool.name):
            response.pools.add(name=pool.name, capability=pool.capability, locales=pool.locales)
        return response

    servicers: dict[str, object] = {
        "antiphon.arbitration.v1.AssistantService": AssistantServicer(door),
        "antiphon.arbitration.v1.ArbitrationService": ArbitrationServicer(
            door.judge, door.fulfilments, door.explanations, door.claims, door.school
        ),
        "antiphon.arbitration.v1.TrafficService": TrafficServicer(door.traffic, door.channels.directory),
        "antiphon.arbitration.v1.SkillRegistryService": SkillRegistryServicer(
            door.registrations, door.skills, door.circuits
        ),
    }
    return Application(servicers, describe, door.check, door.close)


def _ranking(rankers: Rankers) -> str:
    """What ranks here, and what it was taught by."""
    loaded = ", ".join(sorted(ranker.provenance.model for ranker in rankers.by_kind.values()))
    return (
        f"Candidates are ranked by {rankers.get().provenance.model}; loaded are {loaded}. "
        "Weights that ship were learned from simulated households, not from people."
    )


SPEC = ServiceSpec(
    capability="arbitration",
    services=tuple(descriptor.services_by_name[name] for name, descriptor in _FILES.items()),
    build=build,
)
