"""Events of a conversation as messages of `Converse`. Called by the servicer, once per event."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.asr.v1 import recognition_pb2
from antiphon.skill.v1 import skill_pb2
from antiphon.tts.v1 import synthesis_pb2
from antiphon.types.v1 import answer_pb2, context_pb2, playback_pb2, speech_pb2
from services.arbitration.adapters.decisions import to_decision, to_ledger
from services.arbitration.adapters.values import set_seconds, timestamp, to_interpretation
from services.arbitration.contexts import TurnType
from services.arbitration.events import (
    AnswerAudio,
    AnswerText,
    Asked,
    Decided,
    Event,
    Extra,
    Heard,
    Outcome,
    PlaybackStopped,
    Progress,
    Rang,
    SessionEnding,
    SessionStarted,
    TurnEnded,
    TurnFailed,
    TurnStarted,
    Understood,
)
from services.arbitration.ports import Endpoint, Final, Partial, SpeechActivity
from services.runtime.statuses import to_status

Response = assistant_pb2.ConverseResponse

_TURN_TYPES = {
    TurnType.INITIAL: context_pb2.TURN_TYPE_INITIAL,
    TurnType.FOLLOWUP: context_pb2.TURN_TYPE_FOLLOWUP,
    TurnType.BARGE_IN: context_pb2.TURN_TYPE_BARGE_IN,
}
_STATUSES = {
    Outcome.ANSWERED: assistant_pb2.TURN_STATUS_ANSWERED,
    Outcome.NOT_UNDERSTOOD: assistant_pb2.TURN_STATUS_ANSWERED,
    Outcome.ASKED: assistant_pb2.TURN_STATUS_PROMPTED,
    Outcome.REJECTED: assistant_pb2.TURN_STATUS_REJECTED,
    Outcome.NO_SPEECH: assistant_pb2.TURN_STATUS_REJECTED,
    Outcome.FAILED: assistant_pb2.TURN_STATUS_FAILED,
    Outcome.INTERRUPTED: assistant_pb2.TURN_STATUS_INTERRUPTED,
}


class Messages:
    """Turns events into messages for one stream.

    Args:
        detail: how much of a decision the client wants.
        language: BCP-47 tag of the session, for answers.
        interim: the client wants partial transcripts.
        max_session_s: announced when the session starts.
        idle_s: likewise.
    """

    def __init__(self, detail: int, language: str, *, interim: bool, max_session_s: float, idle_s: float) -> None:
        self._detail = detail
        self._language = language
        self._interim = interim
        self._max_session_s = max_session_s
        self._idle_s = idle_s
        self._audio_s = 0.0
        self._writers: dict[type, Callable[..., Iterator[Response]]] = {
            SessionStarted: self._session_started,
            SessionEnding: self._session_ending,
            Rang: self._rang,
            TurnStarted: self._turn_started,
            Heard: self._heard,
            Understood: self._understood,
            Decided: self._decided,
            Progress: self._progress,
            AnswerText: self._answer_text,
            AnswerAudio: self._answer_audio,
            Asked: self._asked,
            Extra: self._extra,
            PlaybackStopped: self._playback_stopped,
            TurnFailed: self._turn_failed,
            TurnEnded: self._turn_ended,
        }

    def of(self, event: Event) -> Iterator[Response]:
        """The messages of one event, without sequence number and received offset; often one, sometimes none."""
        turn_id = getattr(event, "turn_id", "")
        for message in self._writers[type(event)](event):
            message.turn_id = turn_id
            yield message

    def _session_started(self, event: SessionStarted) -> Iterator[Response]:
        message = Response()
        started = message.session_started
        started.session_id = event.session_id
        started.resume_token = event.resume_token
        started.resumed = event.resumed
        if event.resumed:
            set_seconds(started.resume_audio_offset, event.held_audio)
        started.language_code = self._language
        set_seconds(started.max_duration, self._max_session_s)
        set_seconds(started.idle_timeout, self._idle_s)
        yield message

    def _session_ending(self, event: SessionEnding) -> Iterator[Response]:
        message = Response()
        message.session_ending.resume_token = event.resume_token
        set_seconds(message.session_ending.time_left, event.time_left)
        yield message

    def _rang(self, event: Rang) -> Iterator[Response]:
        alarm = event.alarm
        directive = answer_pb2.Directive(directive_id=f"ring-{alarm.id}-{alarm.due:.0f}", device_id=alarm.device_id)
        directive.ring.alarm_id = alarm.id
        directive.ring.due_time.CopyFrom(timestamp(alarm.due))
        directive.ring.label = alarm.label
        yield Response(directive=directive)

    def _turn_started(self, event: TurnStarted) -> Iterator[Response]:
        self._audio_s = 0.0
        message = Response()
        started = message.turn_started
        started.turn_type = _TURN_TYPES[event.turn_type]
        started.turn_number = event.number
        started.idempotency_key = event.idempotency_key
        if event.audio_offset is not None:
            set_seconds(started.audio_offset, event.audio_offset)
        yield message

    def _heard(self, event: Heard) -> Iterator[Response]:
        what = event.what
        message = Response()
        if isinstance(what, SpeechActivity):
            message.speech_activity.is_speech = what.is_speech
            set_seconds(message.speech_activity.offset, what.offset)
        elif isinstance(what, Partial):
            if not self._interim:
                return
            message.transcript.alternatives.add(spoken_text=what.text, display_text=what.text)
            message.transcript.stability = what.stability
            message.transcript.revision = what.revision
        elif isinstance(what, Endpoint):
            message.endpoint.CopyFrom(_endpoint(what))
        elif isinstance(what, Final):
            message.transcript.CopyFrom(recognition_pb2.RecognitionResult.FromString(what.wire))
            message.transcript.is_final = True
        yield message

    def _understood(self, event: Understood) -> Iterator[Response]:
        if self._detail != assistant_pb2.DECISION_DETAIL_FULL:
            return
        message = Response()
        message.interpretations.is_partial = event.is_partial
        readings = event.understanding.interpretations
        message.interpretations.interpretations.extend(to_interpretation(reading) for reading in readings)
        yield message

    def _decided(self, event: Decided) -> Iterator[Response]:
        full = self._detail == assistant_pb2.DECISION_DETAIL_FULL
        decision = to_decision(event.turn_id, event.decision, features=full)
        if self._detail == assistant_pb2.DECISION_DETAIL_WINNER:
            winner = decision.winner_index if decision.HasField("winner_index") else None
            kept = [decision.candidates[winner]] if winner is not None else []
            del decision.candidates[:]
            decision.candidates.extend(kept)
            if winner is not None:
                decision.winner_index = 0
        yield Response(decision=decision)

    def _progress(self, event: Progress) -> Iterator[Response]:
        message = Response(progress=skill_pb2.Progress.FromString(event.wire))
        message.progress.text.text = event.text
        yield message

    def _answer_text(self, event: AnswerText) -> Iterator[Response]:
        chunk = answer_pb2.TextChunk.FromString(event.wire)
        chunk.text = event.text
        chunk.span.start = event.start
        chunk.span.end = event.start + len(event.text)
        chunk.language_code = chunk.language_code or self._language
        yield Response(answer_text=chunk)

    def _answer_audio(self, event: AnswerAudio) -> Iterator[Response]:
        for mark in event.speech.marks:
            yield Response(timing_mark=playback_pb2.TimingMark.FromString(mark))
        if event.speech.audio:
            chunk = synthesis_pb2.AudioChunk.FromString(event.speech.wire)
            chunk.content = event.speech.audio
            self._audio_s = max(self._audio_s, chunk.end_offset.seconds + chunk.end_offset.nanos * 1e-9)
            yield Response(answer_audio=chunk)

    def _asked(self, event: Asked) -> Iterator[Response]:
        prompt = answer_pb2.Prompt.FromString(event.wire)
        prompt.prompt_id = event.prompt.prompt_id
        prompt.kind = answer_pb2.PromptKind.Value(f"PROMPT_KIND_{event.prompt.kind.upper()}")
        prompt.slot = event.prompt.slot
        prompt.text.text = event.prompt.text
        yield Response(prompt=prompt)

    def _extra(self, event: Extra) -> Iterator[Response]:
        message = Response()
        if event.kind in ("display", "citation", "directive"):
            getattr(message, event.kind).MergeFromString(event.wire)
            yield message

    def _playback_stopped(self, event: PlaybackStopped) -> Iterator[Response]:
        stop = assistant_pb2.StopPlayback(turn_id=event.turn_id, reason=event.reason)
        yield Response(stop_playback=stop)

    def _turn_failed(self, event: TurnFailed) -> Iterator[Response]:
        yield Response(error=to_status(event.error))

    def _turn_ended(self, event: TurnEnded) -> Iterator[Response]:
        if event.ledger is not None:
            yield Response(latency=to_ledger(event.ledger))
        completed = assistant_pb2.TurnCompleted(
            status=_STATUSES[event.outcome],
            answer=event.answer,
            skill_id=event.skill_id,
            expects_follow_up=event.expects_follow_up,
            replayed=event.repeated,
        )
        if event.receipt:
            completed.receipt.MergeFromString(event.receipt)
        set_seconds(completed.audio_duration, self._audio_s)
        yield Response(turn_completed=completed)


def _endpoint(what: Endpoint) -> speech_pb2.EndpointEvent:
    message = speech_pb2.EndpointEvent(
        reason=speech_pb2.EndpointReason.Value(f"ENDPOINT_REASON_{what.reason or 'UNSPECIFIED'}"),
        is_eager=what.is_eager,
        is_withdrawn=what.is_withdrawn,
    )
    for field, value in (
        ("speech_start_offset", what.speech_start),
        ("speech_end_offset", what.speech_end),
        ("decided_offset", what.decided),
    ):
        if value is not None:
            set_seconds(getattr(message, field), value)
    return message
