"""An AssistantService that counts instead of understanding: it answers with how much audio it has heard.

Used by tests of the client, of the command line and of `antiphon up`: everything about a conversation is as in the
contract (acknowledged audio, events in sequence, resume), without any model.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from antiphon.arbitration.v1 import assistant_pb2, decision_pb2
from antiphon.asr.v1 import recognition_pb2
from antiphon.tts.v1 import synthesis_pb2
from antiphon.types.v1 import answer_pb2, capability_pb2, latency_pb2, session_pb2, speech_pb2, understanding_pb2
from services.runtime.calls import Call
from services.runtime.errors import InvalidInput, NotFound
from services.runtime.spec import Application, Runtime, ServiceSpec

Event = assistant_pb2.ConverseResponse
TONE = bytes(4410)  # 0.1 s of silence at 22.05 kHz: an answer that can be written to a file


@dataclass
class Heard:
    """One conversation."""

    tenant: str
    token: str
    audio_bytes: int = 0
    bytes_per_second: int = 32000
    sequence: int = 0
    turns: int = 0


class CountingAssistant:
    """The servicer. State lives in the process, as long as it does."""

    def __init__(self) -> None:
        self.conversations: dict[str, Heard] = {}

    async def Converse(
        self, requests: AsyncIterator[assistant_pb2.ConverseRequest], call: Call
    ) -> AsyncGenerator[assistant_pb2.ConverseResponse, None]:
        first = await anext(requests, None)
        if first is None or not first.HasField("config"):
            raise InvalidInput("the first message must be config", field="config", reason="CONFIG_MISSING")
        heard = self._open(first.config, call)
        resumed = bool(first.config.resume_token)
        base = heard.audio_bytes
        started = session_pb2.SessionStarted(session_id="s", resume_token=heard.token, resumed=resumed)
        started.resume_audio_offset.FromNanoseconds(_nanoseconds(base, heard))
        yield self._event(heard, base, session_started=started)
        async for request in requests:
            kind = request.WhichOneof("request")
            if kind == "audio":
                heard.audio_bytes += len(request.audio)
                yield self._event(heard, base, audio_acknowledged=session_pb2.AudioAcknowledged())
            elif kind == "text":
                for event in self._turn(heard, base, request.text.text):
                    yield event
            elif kind == "end":
                if heard.audio_bytes:
                    for event in self._turn(heard, base, ""):
                        yield event
                return

    def _open(self, config: assistant_pb2.ConverseConfig, call: Call) -> Heard:
        if config.resume_token:
            heard = self.conversations.get(config.resume_token)
            if heard is None or heard.tenant != call.principal.tenant:
                raise NotFound("no such conversation", reason="RESUME_TOKEN_UNKNOWN")
            return heard
        heard = Heard(call.principal.tenant, uuid.uuid4().hex)
        if config.HasField("input_format"):
            heard.bytes_per_second = 2 * config.input_format.sample_rate_hertz
        self.conversations[heard.token] = heard
        return heard

    def _turn(self, heard: Heard, base: int, text: str) -> list[Event]:
        heard.turns += 1
        said = text or f"{round(1000 * heard.audio_bytes / heard.bytes_per_second)} ms of audio"
        answer = f"you sent {said}"
        result = recognition_pb2.RecognitionResult(
            alternatives=[speech_pb2.SpeechAlternative(spoken_text=said, confidence=0.5)], is_final=True
        )
        candidate = decision_pb2.Candidate(
            skill_id="counter",
            score=0.75,
            interpretation=understanding_pb2.Interpretation(intent="counter.count", skill_id="counter"),
        )
        decision = decision_pb2.Decision(
            outcome=decision_pb2.DECISION_OUTCOME_EXECUTE,
            reason=decision_pb2.DECISION_REASON_CONFIDENT,
            winner_index=0,
            score=0.75,
            candidates=[candidate],
        )
        ledger = latency_pb2.LatencyLedger()
        for milliseconds, mark in enumerate(
            (ledger.end_of_speech, ledger.endpoint, ledger.decision, ledger.first_text)
        ):
            mark.FromMilliseconds(1000 + 100 * milliseconds)
        completed = assistant_pb2.TurnCompleted(
            status=assistant_pb2.TURN_STATUS_ANSWERED, answer=answer, skill_id="counter"
        )
        return [
            self._event(heard, base, turn_started=assistant_pb2.TurnStarted(turn_number=heard.turns)),
            self._event(heard, base, transcript=result),
            self._event(heard, base, decision=decision),
            self._event(heard, base, answer_text=answer_pb2.TextChunk(text=answer, language_code="en")),
            self._event(heard, base, answer_audio=synthesis_pb2.AudioChunk(content=TONE)),
            self._event(heard, base, latency=ledger),
            self._event(heard, base, turn_completed=completed),
        ]

    def _event(self, heard: Heard, base: int, **event: object) -> Event:
        heard.sequence += 1
        response = Event(sequence_number=heard.sequence, turn_id=f"turn-{heard.turns}", **event)  # type: ignore[arg-type]
        response.received_audio_offset.FromNanoseconds(_nanoseconds(heard.audio_bytes - base, heard))
        return response


def _nanoseconds(count: int, heard: Heard) -> int:
    return round(1e9 * count / heard.bytes_per_second)


async def _describe() -> capability_pb2.DescribeResponse:
    return capability_pb2.DescribeResponse(notes=["counts, understands nothing"])


async def _build(_runtime: Runtime) -> Application:
    return Application({"antiphon.arbitration.v1.AssistantService": CountingAssistant()}, _describe)


SPEC = ServiceSpec("arbitration", (assistant_pb2.DESCRIPTOR.services_by_name["AssistantService"],), _build)
