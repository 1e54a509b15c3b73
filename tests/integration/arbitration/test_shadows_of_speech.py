"""Shadows of recognition and synthesis, driven by their adapters: copies are compared, and slow ones harm nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.asr.v1 import recognition_pb2
from antiphon.tts.v1 import synthesis_pb2
from antiphon.types.v1 import capability_pb2
from services.arbitration.adapters.channels import Channels
from services.arbitration.adapters.grammar import Grammars
from services.arbitration.adapters.recognition import GrpcRecogniser
from services.arbitration.adapters.synthesis import GrpcSynthesis
from services.arbitration.contexts import Profile, TurnContext
from services.arbitration.ports import Final
from services.arbitration.registry_of_skills import SkillRegistry
from services.arbitration.routing.tallies import Tally
from services.arbitration.routing.traffic import Arm, ArmMode, Split, Traffic
from services.arbitration.stages.shedding import Shedding
from services.runtime.calls import Call
from services.runtime.errors import Unavailable
from services.runtime.platform import PlatformSettings, PoolSettings
from services.runtime.server import GrpcPlatform
from services.runtime.spec import Application, Runtime, ServiceSpec
from tests.fixtures.front_door import LINEAR16, SILENCE

pytestmark = pytest.mark.integration

ASR = recognition_pb2.DESCRIPTOR.services_by_name["SpeechRecognitionService"]
TTS = synthesis_pb2.DESCRIPTOR.services_by_name["SpeechSynthesisService"]


@dataclass
class ToySpeech:
    """Hears the words of its pool's options when the audio ends, speaks so many chunks a text; late, if they say."""

    options: Mapping[str, Any]

    async def StreamingRecognize(self, requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        await asyncio.sleep(float(self.options.get("seconds", 0.0)))
        async for request in requests:
            if request.HasField("end_of_audio"):
                break
        if self.options.get("fails"):
            raise Unavailable("broken")
        response = recognition_pb2.StreamingRecognizeResponse()
        response.result.is_final = True
        response.result.alternatives.add(spoken_text=str(self.options["hears"]), confidence=0.9)
        yield response

    async def StreamingSynthesize(self, requests: AsyncIterator[Any], call: Call) -> AsyncIterator[Any]:
        async for request in requests:
            if request.HasField("text"):
                for _ in range(int(self.options.get("chunks", 1))):
                    chunk = synthesis_pb2.AudioChunk(content=SILENCE)
                    yield synthesis_pb2.StreamingSynthesizeResponse(audio=chunk)

    async def never(self, request: Any, call: Call) -> Any:
        raise Unavailable("not here")

    Recognize = Synthesize = Phonemize = ListVoices = never


def spec(capability: str) -> ServiceSpec:
    service = ASR if capability == "asr" else TTS

    async def build(runtime: Runtime) -> Application:
        async def describe() -> capability_pb2.DescribeResponse:
            return capability_pb2.DescribeResponse()

        return Application({service.full_name: ToySpeech(runtime.options)}, describe)

    return ServiceSpec(capability=capability, services=(service,), build=build)


POOLS = (
    PoolSettings("asr", "asr", settings={"hears": "turn on the light"}),
    PoolSettings("asr-next", "asr", settings={"hears": "turn off the light"}),
    PoolSettings("asr-slow", "asr", settings={"hears": "", "seconds": 30}),
    PoolSettings("asr-fails", "asr", settings={"hears": "", "fails": True}),
    PoolSettings("tts", "tts", settings={"chunks": 2}),
    PoolSettings("tts-next", "tts", settings={"chunks": 3}),
)
CONTEXT = TurnContext("session", "turn", Profile("acme", "en"), time.time())
CONFIG = assistant_pb2.ConverseConfig(input_format=LINEAR16, output_format=LINEAR16, language_codes=["en"])


def shadowed(capability: str, *names: str) -> Traffic:
    traffic = Traffic()
    copies = (Arm(name, f"{capability}-{name}", 1.0, ArmMode.SHADOW) for name in names)
    traffic.set(Split(capability, "", (Arm("stable", capability, 1.0), *copies)))
    return traffic


@pytest.fixture
async def platform() -> AsyncIterator[GrpcPlatform]:
    settings = PlatformSettings(port=0, pool_port=0, pools=POOLS)
    async with GrpcPlatform(settings, {"asr": spec("asr"), "tts": spec("tts")}) as running:
        yield running


def counted(traffic: Traffic) -> dict[str, Tally]:
    found: dict[str, Tally] = {}
    for key, tally in traffic.taken().items():
        found.setdefault(key.arm, Tally()).merge(tally)
    return found


async def utterance(channels: Channels, chunks: int) -> tuple[str, float]:
    """What is heard, and how long it took."""
    began = time.monotonic()
    ears = GrpcRecogniser(channels, CONFIG, Grammars(SkillRegistry()), Shedding())
    recognition = await ears.open(CONTEXT)
    for _ in range(chunks):
        await recognition.send(SILENCE)
    await recognition.finish()
    finals = [event async for event in recognition.events() if isinstance(event, Final)]
    await recognition.close()
    return finals[0].alternatives[0].text, time.monotonic() - began


async def test_transcripts_are_compared(platform: GrpcPlatform) -> None:
    traffic = shadowed("asr", "next", "fails")
    channels = Channels(platform.directory, platform.replicas["asr"].runtime.identity, traffic)
    heard, _ = await utterance(channels, 20)
    assert heard == "turn on the light"
    await asyncio.sleep(0.5)
    found = counted(traffic)
    assert (found["stable"].sessions, found["stable"].turns, found["stable"].errors) == (1, 1, 0)
    assert found["stable"].latencies()
    assert found["next"].metrics()["wer_against_served"].value == 0.25
    assert "latency_difference_s" in found["next"].metrics()
    assert (found["fails"].turns, found["fails"].errors) == (1, 1)
    await channels.close()


async def test_a_shadow_that_takes_nothing_loses_its_copy_alone(platform: GrpcPlatform) -> None:
    traffic = shadowed("asr", "slow", "next")
    channels = Channels(platform.directory, platform.replicas["asr"].runtime.identity, traffic)
    heard, seconds = await utterance(channels, 3000)  # five minutes of sound, at once: far more than waits for a shadow
    assert heard == "turn on the light"
    assert seconds < 20
    await asyncio.sleep(0.5)
    found = counted(traffic)
    assert found["slow"].metrics()["copies_dropped"].value == 1.0
    assert found["stable"].errors == 0
    await channels.close()
    assert not channels.shadows._running


async def test_spoken_answers_are_compared(platform: GrpcPlatform) -> None:
    traffic = shadowed("tts", "next")
    channels = Channels(platform.directory, platform.replicas["tts"].runtime.identity, traffic)

    async def texts() -> AsyncIterator[str]:
        yield "Good morning. "
        yield "It is nine."

    voice = GrpcSynthesis(channels, CONFIG)
    heard = [speech async for speech in voice.speak(texts(), CONTEXT)]
    assert len(heard) == 4
    await asyncio.sleep(0.5)
    found = counted(traffic)
    assert found["next"].metrics()["audio_length_ratio"].value == 1.5
    assert found["next"].errors == 0
    assert found["stable"].turns == 1
    await channels.close()
