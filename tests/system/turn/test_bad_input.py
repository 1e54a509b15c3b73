"""Hostile input at the front door and at recognition: a clear status, and nobody else is harmed."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.asr.v1 import recognition_pb2, recognition_pb2_grpc
from antiphon.types.v1 import audio_pb2, speech_pb2
from services.runtime.deployment import RayPlatform
from tests.fixtures.front_door import (
    ASR_END,
    END,
    RATE_HZ,
    SILENCE,
    Request,
    active_sessions,
    asr_audio,
    asr_config,
    channel,
    collect,
    config,
    converse,
    recognize,
    spoken,
    turn,
)
from tests.fixtures.processes import descendants, resident_mb
from tests.fixtures.toy_client import with_key

pytestmark = pytest.mark.system

MULAW = audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_MULAW, sample_rate_hertz=8000, channel_count=1)


def audio_format(**fields: Any) -> audio_pb2.AudioFormat:
    values = {"encoding": audio_pb2.AUDIO_ENCODING_LINEAR16, "sample_rate_hertz": RATE_HZ, "channel_count": 1}
    return audio_pb2.AudioFormat(**{**values, **fields})


def pool(platform: RayPlatform, name: str) -> str:
    found = platform.directory.named(name)
    assert found is not None
    return found.target


REFUSED: dict[str, tuple[list[Request], grpc.StatusCode, str]] = {
    "audio before config": ([Request(audio=SILENCE), END], grpc.StatusCode.INVALID_ARGUMENT, "CONFIG_MISSING"),
    "no config": ([], grpc.StatusCode.INVALID_ARGUMENT, "CONFIG_MISSING"),
    "end before config": ([END], grpc.StatusCode.INVALID_ARGUMENT, "CONFIG_MISSING"),
    "config twice": ([config(), config()], grpc.StatusCode.INVALID_ARGUMENT, "CONFIG_TWICE"),
    "rate too low": (
        [config(input_format=audio_format(sample_rate_hertz=4000))],
        grpc.StatusCode.INVALID_ARGUMENT,
        "UNSUPPORTED_SAMPLE_RATE",
    ),
    "rate too high": (
        [config(output_format=audio_format(sample_rate_hertz=1_000_000))],
        grpc.StatusCode.INVALID_ARGUMENT,
        "UNSUPPORTED_SAMPLE_RATE",
    ),
    "encoding without a codec": (
        [config(input_format=audio_format(encoding=audio_pb2.AUDIO_ENCODING_OGG_OPUS))],
        grpc.StatusCode.INVALID_ARGUMENT,
        "UNSUPPORTED_ENCODING",
    ),
    "two channels": (
        [config(input_format=audio_format(channel_count=2))],
        grpc.StatusCode.INVALID_ARGUMENT,
        "UNSUPPORTED_CHANNELS",
    ),
    "odd byte count": ([config(), Request(audio=b"\0" * 321)], grpc.StatusCode.INVALID_ARGUMENT, "AUDIO_ODD_BYTES"),
    "chunk over 15 KB": (
        [config(), Request(audio=bytes(16 * 1024))],
        grpc.StatusCode.INVALID_ARGUMENT,
        "AUDIO_CHUNK_TOO_LARGE",
    ),
    "empty stream": ([config(), END], grpc.StatusCode.INVALID_ARGUMENT, "CONVERSATION_EMPTY"),
    "empty message": ([config(), Request()], grpc.StatusCode.INVALID_ARGUMENT, "MESSAGE_EMPTY"),
    "audio without its format": (
        [Request(config=assistant_pb2.ConverseConfig(language_codes=["en"])), Request(audio=SILENCE)],
        grpc.StatusCode.INVALID_ARGUMENT,
        "INPUT_FORMAT_MISSING",
    ),
    "locale nobody serves": (
        [config(language_codes=["tlh"])],
        grpc.StatusCode.FAILED_PRECONDITION,
        "LOCALE_NOT_SERVED",
    ),
    "locale that is none": (
        [config(language_codes=["!!"])],
        grpc.StatusCode.INVALID_ARGUMENT,
        "LANGUAGE_TAG_MALFORMED",
    ),
    "unknown resume token": (
        [config(resume_token="made-up")],
        grpc.StatusCode.NOT_FOUND,
        "RESUME_TOKEN_UNKNOWN",
    ),
}


class TestRefused:
    @pytest.mark.parametrize("case", REFUSED)
    async def test_at_the_front_door(self, platform: RayPlatform, case: str) -> None:
        requests, code, reason = REFUSED[case]
        outcome = await converse(platform.target, requests, timeout=10)
        assert outcome.failure is not None, [e.WhichOneof("event") for e in outcome.events]
        assert (outcome.failure.code, outcome.failure.reason) == (code, reason)
        if "UNSUPPORTED" in reason:
            assert "LINEAR16" in outcome.failure.message

    @pytest.mark.parametrize(
        ("requests", "code"),
        [
            ([asr_audio(SILENCE)], grpc.StatusCode.INVALID_ARGUMENT),
            ([], grpc.StatusCode.INVALID_ARGUMENT),
            ([asr_config(), asr_config()], grpc.StatusCode.INVALID_ARGUMENT),
            ([asr_config(format=audio_format(sample_rate_hertz=7999))], grpc.StatusCode.INVALID_ARGUMENT),
            (
                [asr_config(format=audio_format(encoding=audio_pb2.AUDIO_ENCODING_OGG_OPUS))],
                grpc.StatusCode.INVALID_ARGUMENT,
            ),
            ([asr_config(), asr_audio(bytes(16 * 1024))], grpc.StatusCode.INVALID_ARGUMENT),
            ([asr_config(), ASR_END], grpc.StatusCode.INVALID_ARGUMENT),
            ([asr_config(language_codes=["tlh"])], grpc.StatusCode.FAILED_PRECONDITION),
        ],
    )
    async def test_at_recognition(self, platform: RayPlatform, requests: list[Any], code: grpc.StatusCode) -> None:
        outcome = await recognize(platform.target, requests, timeout=10)
        assert outcome.failure is not None
        assert outcome.failure.code == code, outcome.failure
        assert outcome.failure.reason

    async def test_a_message_of_20_mb(self, platform: RayPlatform) -> None:
        outcome = await converse(platform.target, [config(), Request(audio=bytes(20_000_000))], timeout=20)
        assert outcome.failure is not None
        assert outcome.failure.code == grpc.StatusCode.RESOURCE_EXHAUSTED


class TestNothingToHear:
    async def test_silence_only(self, platform: RayPlatform) -> None:
        outcome = await converse(platform.target, [config(), *[Request(audio=SILENCE)] * 30, END])
        assert outcome.failure is None
        assert outcome.one("turn_completed").status == assistant_pb2.TURN_STATUS_REJECTED
        assert not outcome.all("answer_text")

    async def test_text_as_audio(self, platform: RayPlatform) -> None:
        text = ("To be, or not to be, that is the question. " * 200).encode()
        text = text[: len(text) // 2 * 2]
        chunks = [Request(audio=text[i : i + 3200]) for i in range(0, len(text), 3200)]
        outcome = await converse(platform.target, [config(), *chunks, *[Request(audio=SILENCE)] * 15, END])
        assert outcome.failure is None
        assert outcome.one("turn_completed").status in (
            assistant_pb2.TURN_STATUS_REJECTED,
            assistant_pb2.TURN_STATUS_ANSWERED,
        )

    async def test_chunks_of_one_byte(self, platform: RayPlatform) -> None:
        first = config(input_format=MULAW)
        outcome = await converse(platform.target, [first, *[Request(audio=b"\xff")] * 16000, END])
        assert outcome.failure is None
        assert outcome.events[-1].received_audio_offset.seconds == 2

    @pytest.mark.timeout(240)
    async def test_ten_minutes_of_noise_cost_bounded_memory(self, platform: RayPlatform) -> None:
        noise = np.random.default_rng(5).normal(0, 3000, RATE_HZ // 10).astype("<i2").tobytes()
        before = _asr_memory()
        peak = before

        async def requests() -> AsyncIterator[Any]:
            nonlocal peak
            listening_on = speech_pb2.EndpointingConfig(continuous=True)
            yield asr_config(options=recognition_pb2.RecognitionOptions(endpointing=listening_on))
            for number in range(6000):
                yield asr_audio(noise)
                if number % 500 == 0:
                    peak = max(peak, _asr_memory())
            yield ASR_END

        outcome = await recognize(pool(platform, "asr"), requests(), timeout=220)
        # Ten minutes of audio in one session are exactly what the longest session bears.
        assert outcome.failure is None or outcome.failure.reason in ("SESSION_MAX_DURATION", "SESSION_BYTES")
        assert peak - before < 200, f"{before:.0f} MB -> {peak:.0f} MB"
        heard = outcome.events[-1].received_audio_offset.seconds
        assert heard >= 590 or outcome.failure is not None, f"only {heard} s were taken"


class TestClientsThatMisbehave:
    async def test_one_that_vanishes(self, platform: RayPlatform) -> None:
        program = (
            "import asyncio, sys\n"
            "from tests.fixtures.front_door import *\n"
            "async def requests():\n"
            "    yield config()\n"
            "    while True:\n"
            "        yield Request(audio=SILENCE)\n"
            "        print('.', flush=True)\n"
            "        await asyncio.sleep(0.1)\n"
            f"asyncio.run(converse({platform.target!r}, requests()))\n"
        )
        client = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
        assert client.stdout is not None
        for _ in range(5):
            await client.stdout.readline()
        client.send_signal(signal.SIGKILL)
        await client.wait()
        for name in ("arbitration", "asr"):
            await _until_idle(pool(platform, name))

    async def test_one_that_never_reads(self, platform: RayPlatform) -> None:
        """It asks for answer after answer; the server waits for it, and others are served."""
        stub_target = platform.target
        before = _memory("ServeReplica:arbitration")
        async with channel(stub_target) as opened:
            from antiphon.arbitration.v1 import assistant_pb2_grpc

            stub = assistant_pb2_grpc.AssistantServiceStub(opened)
            call = stub.Converse(metadata=with_key(), timeout=60)
            await call.write(config(continuous=True))
            sending = asyncio.create_task(_flood_with_questions(call))
            await asyncio.sleep(3)
            neighbour = await converse(platform.target, [config(input_format=None), *_typed("what is two plus two")])
            sending.cancel()
            call.cancel()
        assert neighbour.failure is None
        assert "4" in neighbour.one("turn_completed").answer or "four" in neighbour.one("turn_completed").answer.lower()
        assert _memory("ServeReplica:arbitration") - before < 150
        await _until_idle(pool(platform, "arbitration"))

    async def test_four_times_max_sessions_at_once(self, platform: RayPlatform) -> None:
        target = pool(platform, "asr")
        async with channel(target) as opened:
            stub = recognition_pb2_grpc.SpeechRecognitionServiceStub(opened)
            health = health_pb2_grpc.HealthStub(opened)

            async def held(release: asyncio.Event) -> AsyncIterator[Any]:
                yield asr_config()
                yield asr_audio(SILENCE)
                await release.wait()
                yield ASR_END

            release = asyncio.Event()
            begun = time.monotonic()
            calls = [asyncio.create_task(_timed(stub, held(release), begun)) for _ in range(256)]
            await asyncio.sleep(2)
            asked = time.monotonic()
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=2)  # type: ignore[attr-defined]
            assert time.monotonic() - asked < 0.1
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
            release.set()
            outcomes = await asyncio.gather(*calls)
        refused = [(outcome, took) for outcome, took in outcomes if outcome.failure is not None]
        assert len(refused) >= 256 - 64
        for outcome, _ in refused:
            assert outcome.failure is not None
            assert outcome.failure.code == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert outcome.failure.retry_s
        await _until_idle(target)


class TestLostParts:
    async def test_workers_killed_in_mid_utterance(self, platform: RayPlatform) -> None:
        question = await spoken(platform.target, "what time is it in Tokyo")
        killed = asyncio.create_task(_kill_after("pocketsphinx.worker", 0.9, all_of_them=True))
        outcome = await converse(platform.target, turn(question))
        await killed
        assert outcome.failure is None
        assert outcome.all("error")[0].code == grpc.StatusCode.UNAVAILABLE.value[0]
        assert outcome.one("turn_completed").status == assistant_pb2.TURN_STATUS_FAILED
        await asyncio.sleep(5)
        again = await converse(platform.target, turn(question))
        assert again.failure is None
        assert again.one("turn_completed").status == assistant_pb2.TURN_STATUS_ANSWERED

    @pytest.mark.timeout(180)
    async def test_a_replica_killed_in_mid_turn(self, platform: RayPlatform) -> None:
        question = await spoken(platform.target, "what time is it in Tokyo")
        killed = asyncio.create_task(_kill_after("ServeReplica:asr", 0.9))
        outcome = await converse(platform.target, turn(question))
        await killed
        assert outcome.failure is None, outcome.failure
        assert outcome.all("error"), [e.WhichOneof("event") for e in outcome.events]
        assert outcome.one("turn_completed").status == assistant_pb2.TURN_STATUS_FAILED
        begun = time.monotonic()
        while True:
            again = await converse(platform.target, turn(question))
            done = again.all("turn_completed")
            if done and done[0].status == assistant_pb2.TURN_STATUS_ANSWERED:
                break
            assert time.monotonic() - begun < 60, "recognition did not come back"
            await asyncio.sleep(0.5)


def _typed(*texts: str) -> list[Request]:
    return [*(Request(text=assistant_pb2.TextInput(text=text)) for text in texts), END]


async def _flood_with_questions(call: Any) -> None:
    question = Request(text=assistant_pb2.TextInput(text="what is the time in Berlin"))
    for _ in itertools.count():
        await call.write(question)


async def _timed(stub: Any, requests: Any, begun: float) -> tuple[Any, float]:
    outcome = await collect(stub.StreamingRecognize, requests, timeout=30)
    return outcome, time.monotonic() - begun


async def _until_idle(target: str, limit_s: float = 10.0) -> None:
    begun = time.monotonic()
    while await active_sessions(target):
        assert time.monotonic() - begun < limit_s, "sessions of a client that is gone stay open"
        await asyncio.sleep(0.1)


async def _kill_after(name: str, seconds: float, *, all_of_them: bool = False) -> None:
    await asyncio.sleep(seconds)
    victims = [process.pid for process in descendants() if name in process.title]
    assert victims, f"no process '{name}'"
    for victim in victims if all_of_them else victims[:1]:
        os.kill(victim, signal.SIGKILL)


def _memory(name: str) -> float:
    return sum(resident_mb(process.pid) for process in descendants() if name in process.title)


def _asr_memory() -> float:
    replicas = [process for process in descendants() if "ServeReplica:asr" in process.title]
    return sum(resident_mb(p.pid) for replica in replicas for p in (replica, *descendants(replica.pid)))
