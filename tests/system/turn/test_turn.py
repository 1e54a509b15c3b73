"""The spoken turn through all hops on Ray Serve, as a client meets it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import grpc
import numpy as np
import pytest
import soundfile

from antiphon.arbitration.v1 import arbitration_pb2, arbitration_pb2_grpc, assistant_pb2, decision_pb2
from antiphon.client import Assistant
from antiphon.tts.v1 import synthesis_pb2
from antiphon.types.v1 import audio_pb2, capability_pb2, capability_pb2_grpc, latency_pb2, playback_pb2
from services.registry import LANGUAGES
from services.runtime.deployment import RayPlatform
from tests.fixtures.front_door import (
    ASR_END,
    END,
    RATE_HZ,
    Outcome,
    Request,
    asr_audio,
    asr_config,
    channel,
    config,
    converse,
    paced,
    recognize,
    spoken,
    turn,
)
from tests.fixtures.processes import descendants
from tests.fixtures.toy_client import Failure, with_key
from tests.fixtures.toy_pools import ACME, GLOBEX

pytestmark = pytest.mark.system


def is_time_in(answer: str, zone: str) -> bool:
    """Whether the answer tells the time there, give or take a minute."""
    now = datetime.now(ZoneInfo(zone))
    told = re.search(r"(\d{1,2}):(\d{2}) (AM|PM)", answer)
    if told is None:
        return False
    near = {(now + timedelta(minutes=m)).strftime("%I:%M %p").lstrip("0") for m in (-1, 0, 1)}
    return f"{int(told[1])}:{told[2]} {told[3]}" in near


@pytest.fixture(scope="module")
def heard(platform: RayPlatform) -> Outcome:
    """One spoken question, asked once for the tests that look at its parts."""

    async def ask() -> Outcome:
        question = await spoken(platform.target, "what time is it in Tokyo", language="en-US")
        marks = synthesis_pb2.SynthesisOptions(timing_marks=[playback_pb2.TIMING_MARK_KIND_WORD])
        first = config(decision_detail=assistant_pb2.DECISION_DETAIL_FULL, synthesis=marks)
        return await converse(platform.target, turn(question, first=first))

    return asyncio.run(ask())


class TestOneTurn:
    def test_it_is_answered_rightly(self, heard: Outcome) -> None:
        assert heard.failure is None
        completed = heard.one("turn_completed")
        assert completed.status == assistant_pb2.TURN_STATUS_ANSWERED
        assert is_time_in(completed.answer, "Asia/Tokyo"), completed.answer
        assert "".join(chunk.text for chunk in heard.all("answer_text")) == completed.answer

    def test_events_come_in_order_and_numbered(self, heard: Outcome) -> None:
        kinds = [event.WhichOneof("event") for event in heard.events]
        told = ["session_started", "turn_started", "transcript", "endpoint", "decision", "answer_text", "answer_audio"]
        told += ["latency", "turn_completed"]
        firsts = [kinds.index(kind) for kind in told]
        assert firsts == sorted(firsts), kinds
        assert [event.sequence_number for event in heard.events] == list(range(1, len(heard.events) + 1))
        offsets = [event.received_audio_offset.ToNanoseconds() for event in heard.events]
        assert offsets == sorted(offsets)
        assert offsets[-1] > 1.5e9

    def test_partials_lead_to_the_final(self, heard: Outcome) -> None:
        partials = [t for t in heard.all("transcript") if not t.is_final]
        finals = [t for t in heard.all("transcript") if t.is_final]
        assert len(finals) == 1
        best = finals[0].alternatives[0]
        assert best.spoken_text == "what time is it in tokyo"
        assert partials[-1].alternatives[0].spoken_text in best.spoken_text
        ends = [word.end_offset.ToNanoseconds() for word in best.words]
        assert len(ends) == 6
        assert ends == sorted(ends)
        assert all(0 < word.confidence <= 1 for word in best.words)

    def test_the_decision_is_explained(self, heard: Outcome) -> None:
        decision = heard.one("decision")
        assert decision.outcome == decision_pb2.DECISION_OUTCOME_EXECUTE
        assert decision.reason == decision_pb2.DECISION_REASON_CONFIDENT
        winner = decision.candidates[decision.winner_index]
        assert (winner.skill_id, winner.interpretation.intent) == ("clock", "clock.time")
        assert winner.score >= decision.threshold > 0
        names = {feature.name for feature in winner.features}
        assert names >= {"nlu.intent_confidence", "asr.asr_confidence", "fulfilment.fulfil_yes"}
        assert decision.stages

    def test_the_answer_is_audible(self, heard: Outcome) -> None:
        samples = np.frombuffer(b"".join(chunk.content for chunk in heard.all("answer_audio")), "<i2")
        assert len(samples) / 16000 > 0.8
        assert np.abs(samples.astype(int)).max() > 3000
        spoken_words = [mark for mark in heard.all("timing_mark") if mark.kind == playback_pb2.TIMING_MARK_KIND_WORD]
        assert len(spoken_words) >= 5

    def test_the_ledger_accounts_for_the_turn(self, heard: Outcome) -> None:
        ledger = heard.one("latency")
        marks = ["capture", "speech_start", "end_of_speech", "final_transcript", "decision", "first_audio", "completed"]
        times = [getattr(ledger, mark).ToNanoseconds() / 1e9 for mark in marks]
        assert times == sorted(times), dict(zip(marks, times, strict=True))
        models = {model.model.partition("@")[0] for entry in ledger.entries for model in entry.models}
        assert {"antiphon/en-commands", "antiphon/intents-thin"} <= models
        assert any("espeak" in model for model in models), models

    def test_explain_tells_it_again_to_its_tenant_only(self, platform: RayPlatform, heard: Outcome) -> None:
        turn_id = heard.one("decision").turn_id

        async def explain(key: str) -> arbitration_pb2.ExplainResponse:
            async with channel(platform.target) as opened:
                stub = arbitration_pb2_grpc.ArbitrationServiceStub(opened)
                request = arbitration_pb2.ExplainRequest(turn_id=turn_id)
                response: arbitration_pb2.ExplainResponse = await stub.Explain(request, metadata=with_key(key))
                return response

        mine = asyncio.run(explain(ACME))
        assert mine.decision.candidates[0].interpretation.intent == "clock.time"
        assert not mine.decision.candidates[0].interpretation.text, "words are kept without consent"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            asyncio.run(explain(GLOBEX))
        assert Failure(refused.value).code == grpc.StatusCode.NOT_FOUND

    async def test_one_trace_goes_through_all_hops(self, platform: RayPlatform) -> None:
        outcome = await converse(platform.target, [config(), Request(text=_text("what is three times four")), END])
        assert outcome.one("turn_completed").answer
        folder = Path(platform.settings.telemetry_dir)
        begun = time.monotonic()
        while True:
            spans = [json.loads(line) for line in (await _lines(folder, "*.spans.jsonl"))]
            traces: dict[str, set[str]] = {}
            for span in spans:
                traces.setdefault(span["context"]["trace_id"], set()).add(span["attributes"].get("antiphon.pool", ""))
            if any({"arbitration", "nlu", "skills", "tts"} <= pools for pools in traces.values()):
                break
            assert time.monotonic() - begun < 15, "no trace goes through all hops"
            await asyncio.sleep(0.3)
        measured = "".join(await _lines(folder, "arbitration-*.metrics.jsonl"))
        assert "antiphon.turn.stage" in measured
        assert all(f'"{stage}"' in measured for stage in ("decision", "first_audible", "completed"))
        everything = "".join(await _lines(folder, "*.jsonl"))
        assert "three times four" not in everything
        assert "tokyo" not in everything.lower()


class TestPools:
    async def test_two_pools_of_recognition_are_chosen_by_locale(self, platform: RayPlatform) -> None:
        described = {}
        for name in ("asr", "asr-dictation"):
            pool = platform.directory.named(name)
            assert pool is not None
            async with channel(pool.target) as opened:
                stub = capability_pb2_grpc.CapabilityServiceStub(opened)
                answer = await stub.Describe(capability_pb2.DescribeRequest(), metadata=with_key())
                described[name] = {model.model.partition("@")[0] for model in answer.models}
        commands = {f"antiphon/{language}-commands" for language in LANGUAGES}
        assert described == {"asr": commands, "asr-dictation": {"cmusphinx/en-dictation"}}
        question = await spoken(platform.target, "good morning", language="en-US")
        outcome = await converse(platform.target, turn(question, first=config(language_codes=["en-GB"])))
        final = next(t for t in outcome.all("transcript") if t.is_final)
        assert [m.model.partition("@")[0] for m in final.models] == ["cmusphinx/en-dictation"]

    @pytest.mark.data
    async def test_mandarin_goes_to_its_own_pools(self, platform: RayPlatform, data: Path) -> None:
        """A real clip, read fast: what is heard is Chinese, and the ledger names the pool that heard it."""
        clip, rate_hz = soundfile.read(data / "audio" / "azure9" / "zh-CN" / "testing" / "audio.flac", dtype="int16")
        assert rate_hz == RATE_HZ
        audio = clip[: 4 * rate_hz].tobytes()
        outcome = await converse(platform.target, turn(audio, first=config(language_codes=["zh-CN"]), speed=4.0))
        final = next(t for t in outcome.all("transcript") if t.is_final)
        assert re.search(r"[\u4e00-\u9fff]", final.alternatives[0].spoken_text), final
        assert {model.pool for model in final.models} == {"asr-zh"}
        understanding = [e for e in outcome.one("latency").entries if e.stage == latency_pb2.STAGE_UNDERSTANDING]
        assert {model.pool for entry in understanding for model in entry.models} <= {"nlu-zh"}

    async def test_telephone_audio(self, platform: RayPlatform) -> None:
        """Mu-law at 8 kHz in: the recogniser hears what is left of the words, nobody fails."""
        from services.runtime.audio import AudioFormat, Encoding, PcmEncoder

        question = await spoken(platform.target, "what is the time in London", language="en-US")
        encoder = PcmEncoder(AudioFormat(Encoding.MULAW, 8000), 16000)
        audio = encoder.feed(np.frombuffer(question, "<i2")) + encoder.finish()
        form = audio_pb2.AudioFormat(encoding=audio_pb2.AUDIO_ENCODING_MULAW, sample_rate_hertz=8000, channel_count=1)
        chunks = [audio[i : i + 800] for i in range(0, len(audio), 800)]
        quiet = [b"\xff" * 800] * 15
        outcome = await recognize(platform.target, [asr_config(format=form), *map(asr_audio, chunks + quiet), ASR_END])
        assert outcome.failure is None
        assert outcome.all("endpoint")


class TestBadSkills:
    async def test_one_that_hangs_leaves_an_apology(self, platform: RayPlatform) -> None:
        asked = [config(), Request(text=_text("what time is it in Paris")), END]
        begun = time.monotonic()
        outcome = await converse(platform.target, asked, key=GLOBEX, timeout=30)
        took = time.monotonic() - begun
        assert outcome.failure is None
        completed = outcome.one("turn_completed")
        assert completed.answer, "the user hears something"
        assert not is_time_in(completed.answer, "Europe/Paris")
        assert took < 10, f"{took:.1f} s"
        candidate = outcome.one("decision").candidates[0]
        assert candidate.skill_id == "clock"

    async def test_one_that_lies_changes_nothing(self, platform: RayPlatform) -> None:
        asked = [config(), Request(text=_text("what is three times four")), END]
        outcome = await converse(platform.target, asked, key=GLOBEX, timeout=30)
        assert outcome.failure is None
        completed = outcome.one("turn_completed")
        assert "after the end" not in completed.answer
        assert completed.receipt.idempotency_key != "another-turn"

    async def test_others_are_not_harmed(self, platform: RayPlatform) -> None:
        bad = asyncio.create_task(
            converse(platform.target, [config(), Request(text=_text("what time is it")), END], key=GLOBEX, timeout=30)
        )
        good = await converse(platform.target, [config(), Request(text=_text("what is six times seven")), END])
        assert "42" in good.one("turn_completed").answer
        assert not bad.done()
        await bad


class TestLostStreams:
    async def test_a_repeat_under_the_same_key_is_not_done_again(self, platform: RayPlatform) -> None:
        key = f"key-{time.time_ns()}"
        text = assistant_pb2.TextInput(text="what is eight plus nine", idempotency_key=key)
        first = await converse(platform.target, [config(), Request(text=text), END])
        again = await converse(platform.target, [config(), Request(text=text), END])
        assert "17" in first.one("turn_completed").answer
        assert again.one("turn_completed").replayed
        assert again.one("turn_completed").answer == first.one("turn_completed").answer

    async def test_another_tenants_resume_token_opens_nothing(self, platform: RayPlatform) -> None:
        first = await converse(platform.target, [config(), Request(text=_text("what is one plus one")), END])
        token = first.one("session_started").resume_token
        assert token
        stolen = await converse(platform.target, [config(resume_token=token)], key=GLOBEX)
        assert stolen.failure is not None
        assert (stolen.failure.code, stolen.failure.reason) == (grpc.StatusCode.NOT_FOUND, "RESUME_TOKEN_UNKNOWN")
        own = await converse(platform.target, [config(resume_token=token), Request(text=_text("hello")), END])
        assert own.failure is None
        assert own.one("session_started").resumed

    @pytest.mark.timeout(180)
    async def test_the_client_goes_on_when_the_front_door_is_killed(self, platform: RayPlatform) -> None:
        question = await spoken(platform.target, "what time is it in Tokyo", language="en-US")
        killed = asyncio.Event()

        async def audio() -> AsyncIterator[Any]:
            async for chunk in paced(question, tail_s=4.0):
                yield chunk

        async def kill() -> None:
            await asyncio.sleep(1.0)
            victims = [p.pid for p in descendants() if "ServeReplica:arbitration" in p.title]
            os.kill(victims[0], signal.SIGKILL)
            killed.set()

        killing = asyncio.create_task(kill())
        async with Assistant(platform.target, api_key=ACME) as assistant:
            events = assistant.converse(audio(), language_codes=["en"])
            answers = [event.turn_completed.answer async for event in events if event.HasField("turn_completed")]
        await killing
        assert killed.is_set()
        assert len(answers) == 1, answers
        assert is_time_in(answers[0], "Asia/Tokyo"), answers


async def _lines(folder: Path, pattern: str) -> list[str]:
    """Complete lines of the files: a service may be writing the last one."""

    def read() -> list[str]:
        return [line for path in folder.glob(pattern) for line in path.read_text().splitlines() if line.endswith("}")]

    return await asyncio.to_thread(read)


def _text(text: str) -> assistant_pb2.TextInput:
    return assistant_pb2.TextInput(text=text)
