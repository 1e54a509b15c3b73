"""Events of a conversation as lines for people. Used by `antiphon converse`, `antiphon explain` and the demo."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import UTC
from typing import TextIO

from google.protobuf.duration_pb2 import Duration

from antiphon.arbitration.v1 import assistant_pb2, decision_pb2
from antiphon.errors import from_status
from antiphon.types.v1 import latency_pb2, session_pb2, speech_pb2, understanding_pb2

BAR_COLUMNS = 24
_MARKS = (
    "first_partial",
    "end_of_speech",
    "endpoint",
    "final_transcript",
    "understanding",
    "decision",
    "first_text",
    "first_audio",
    "first_audible",
    "completed",
)


class EventPrinter:
    """Prints events as they come; partial transcripts overwrite each other where the output is a terminal.

    Args:
        out: where to.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._live = self._out.isatty()
        self._open_line = False
        self._answering = False

    def show(self, event: assistant_pb2.ConverseResponse) -> None:
        """Prints one event; those that say nothing to people are passed over."""
        kind = event.WhichOneof("event")
        if kind == "transcript":
            self._transcript(event)
        elif kind == "answer_text":
            self._answer(event.answer_text.text)
        else:
            for line in describe(event):
                self.line(line)

    def line(self, text: str) -> None:
        """Prints a whole line."""
        self._end_line()
        print(text, file=self._out, flush=True)

    def _transcript(self, event: assistant_pb2.ConverseResponse) -> None:
        result = event.transcript
        best = result.alternatives[0] if result.alternatives else speech_pb2.SpeechAlternative()
        text = best.display_text or best.spoken_text
        if result.is_final:
            sure = f"  ({best.confidence:.2f})" if best.HasField("confidence") else ""
            self._end_line(erase=True)
            self.line(f"heard      {text}{sure}")
        elif self._live:
            print(f"\r\x1b[Khearing    {text}", end="", file=self._out, flush=True)
            self._open_line = True
        else:
            self.line(f"hearing    {text}")

    def _answer(self, text: str) -> None:
        if not self._answering:
            self._end_line()
            print("answer     ", end="", file=self._out)
        print(text, end="", file=self._out, flush=True)
        self._answering = self._open_line = True

    def _end_line(self, erase: bool = False) -> None:
        if self._open_line:
            print("\r\x1b[K" if erase and self._live and not self._answering else "\n", end="", file=self._out)
        self._open_line = self._answering = False


def describe(event: assistant_pb2.ConverseResponse) -> Iterator[str]:
    """An event in lines; none for audio, acknowledgements and the like."""
    describer = _DESCRIBERS.get(event.WhichOneof("event") or "")
    return iter(()) if describer is None else describer(event)


def _asks(event: assistant_pb2.ConverseResponse) -> Iterator[str]:
    yield f"asks       {event.prompt.text.text}"


def _directive(event: assistant_pb2.ConverseResponse) -> Iterator[str]:
    if event.directive.HasField("ring"):
        ring = event.directive.ring
        due = ring.due_time.ToDatetime(tzinfo=UTC).astimezone()
        yield f"rings      {ring.label or ring.alarm_id}, due {due:%H:%M:%S}"
        return
    yield f"directive  {event.directive.WhichOneof('action')}"


def _citation(event: assistant_pb2.ConverseResponse) -> Iterator[str]:
    yield f"cites      {event.citation.title} {event.citation.uri}".rstrip()


def _error(event: assistant_pb2.ConverseResponse) -> Iterator[str]:
    yield f"error      {from_status(event.error)}"


def _stop(event: assistant_pb2.ConverseResponse) -> Iterator[str]:
    yield f"stopped    {word(event.stop_playback.reason)}"


def _ending(event: assistant_pb2.ConverseResponse) -> Iterator[str]:
    reason = named(session_pb2.SessionEndingReason.Name, event.session_ending.reason)
    yield f"ending     {word(reason, 'SESSION_ENDING_REASON_')}"


def _completed(event: assistant_pb2.ConverseResponse) -> Iterator[str]:
    completed = event.turn_completed
    by = f" by {completed.skill_id}" if completed.skill_id else ""
    status = word(named(assistant_pb2.TurnStatus.Name, completed.status), "TURN_STATUS_")
    yield f"turn       {status}{by}, id {event.turn_id}"


def _endpoint(endpoint: speech_pb2.EndpointEvent) -> Iterator[str]:
    reason = word(named(speech_pb2.EndpointReason.Name, endpoint.reason), "ENDPOINT_REASON_")
    wait = milliseconds(endpoint.decided_offset) - milliseconds(endpoint.speech_end_offset)
    early = " (eager)" if endpoint.is_eager else ""
    if endpoint.is_withdrawn:
        yield "endpoint   withdrawn: speech goes on"
    elif endpoint.HasField("speech_end_offset"):
        yield f"endpoint   {reason}, {wait:.0f} ms after the last word{early}"
    else:
        yield f"endpoint   {reason}{early}"


_DESCRIBERS: dict[str, Callable[[assistant_pb2.ConverseResponse], Iterator[str]]] = {
    "endpoint": lambda event: _endpoint(event.endpoint),
    "decision": lambda event: decision_lines(event.decision),
    "latency": lambda event: ledger_lines(event.latency),
    "prompt": _asks,
    "directive": _directive,
    "citation": _citation,
    "error": _error,
    "stop_playback": _stop,
    "session_ending": _ending,
    "turn_completed": _completed,
}


def decision_lines(decision: decision_pb2.Decision) -> Iterator[str]:
    """What was decided, why, and what else was on the table."""
    outcome = word(named(decision_pb2.DecisionOutcome.Name, decision.outcome), "DECISION_OUTCOME_")
    reason = word(named(decision_pb2.DecisionReason.Name, decision.reason), "DECISION_REASON_")
    needed = f" (score {decision.score:.2f}, needed {decision.threshold:.2f})" if decision.threshold else ""
    yield f"decision   {outcome}: {reason}{needed}"
    for index, candidate in enumerate(decision.candidates):
        won = decision.HasField("winner_index") and decision.winner_index == index
        yield f"  {'>' if won else ' '} {candidate_line(candidate)}"


def candidate_line(candidate: decision_pb2.Candidate) -> str:
    """One candidate: intent, score, slots, what the skill said, why it lost."""
    reading = candidate.interpretation
    slots = ", ".join(f"{slot.name}={slot.text or slot.value.WhichOneof('kind')}" for slot in reading.slots)
    remarks = []
    if candidate.fulfilment:
        said = word(named(understanding_pb2.Fulfilment.Name, candidate.fulfilment), "FULFILMENT_")
        remarks.append(f"skill says {said}")
    if candidate.rejection_reason:
        remarks.append(word(named(decision_pb2.RejectionReason.Name, candidate.rejection_reason), "REJECTION_REASON_"))
    intent = reading.intent or candidate.skill_id or "out of scope"
    parts = [f"{intent:<26} {candidate.score:.2f}", f"[{slots}]" if slots else "", "; ".join(remarks)]
    return "  ".join(part for part in parts if part)


def ledger_lines(ledger: latency_pb2.LatencyLedger) -> Iterator[str]:
    """The latency ledger as a small bar chart, in milliseconds from the end of speech (or of typing)."""
    zero = milliseconds(ledger.end_of_speech)
    entries = [(e, milliseconds(e.start) - zero, milliseconds(e.elapsed)) for e in ledger.entries]
    marks = [(name, milliseconds(getattr(ledger, name)) - zero) for name in _MARKS if ledger.HasField(name)]  # type: ignore[arg-type]
    spans = [(start, start + length) for _, start, length in entries] + [(at, at) for _, at in marks]
    if not spans:
        return
    first, last = min(min(s for s, _ in spans), 0.0), max(max(e for _, e in spans), 1.0)
    yield f"latency    ms from the end of speech; the bar is {first:.0f} to {last:.0f}"
    for entry, start, length in entries:
        stage = word(named(latency_pb2.Stage.Name, entry.stage), "STAGE_")
        models = [f"{m.model} ({m.backend})" for m in entry.models] or [entry.skill_id]
        remark = "".join(
            text for flag, text in ((entry.speculative, " speculative"), (entry.discarded, " unused")) if flag
        )
        head = f"  {stage:<16} {length:6.0f} ms  |{bar(start, start + length, first, last)}| "
        yield f"{head}{models[0]}{remark}".rstrip()
        yield from (" " * len(head) + model for model in models[1:])
    for name, at in marks:
        yield f"  {name.replace('_', ' '):<16} {at:+6.0f} ms  |{bar(at, at, first, last)}|"


def bar(start: float, end: float, first: float, last: float, columns: int = BAR_COLUMNS) -> str:
    """A row of `columns` signs with the span from start to end of the range first to last filled, at least one."""
    scale = columns / (last - first)
    left = min(int((start - first) * scale), columns - 1)
    right = max(left + 1, min(round((end - first) * scale), columns))
    return " " * left + ("█" if end > start else "▏") * (right - left) + " " * (columns - right)


def named(name: Callable[..., str], number: int) -> str:
    """A constant's name by its enum's `Name`; its number where a newer server says what this version does not know."""
    try:
        return name(number)
    except ValueError:
        return str(number)


def word(constant: str, prefix: str = "") -> str:
    """A constant of the contract as words: DECISION_REASON_LOW_CONFIDENCE -> "low confidence"."""
    return constant.removeprefix(prefix).lower().replace("_", " ")


def milliseconds(duration: Duration) -> float:
    """A duration in milliseconds."""
    return duration.ToNanoseconds() / 1e6
