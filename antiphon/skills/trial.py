"""Tries a skill over gRPC as the platform would, and says what it did wrong. `antiphon skill test` prints it.

Each sample is one Execute. The skill must end every stream with `done`, keep to its manifest (an intent that says it
changes nothing must change nothing; alarms need their permission; high risk is refused unconfirmed), and answer a
repeat of a key as it did at first, without acting again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import grpc

from antiphon.errors import AntiphonApiError, from_rpc_error
from antiphon.skill.v1 import manifest_pb2, skill_pb2, skill_pb2_grpc
from antiphon.skills.host import SkillHost
from antiphon.skills.samples import Sample, read
from antiphon.skills.skill import Skill
from antiphon.types.v1 import context_pb2

TIMEOUT_S: Final = 10.0
SLOWEST_S: Final = 8.0


@dataclass(frozen=True)
class Tried:
    """What came of one sample.

    Attributes:
        outcome: "answered", "asked", "declined", or "failed".
        answer: what would be said, the question included.
        problems: what the contract forbids; empty when it kept to it.
    """

    sample: Sample
    outcome: str
    answer: str
    seconds: float
    problems: tuple[str, ...] = ()


class Trial:
    """One skill at the other end of a channel."""

    def __init__(self, channel: grpc.aio.Channel, target: str, now: datetime | None = None) -> None:
        self._stub = skill_pb2_grpc.SkillServiceStub(channel)
        self._target = target
        self.now = now or datetime.now(UTC)
        self._session = uuid.uuid4().hex

    async def manifests(self) -> Sequence[manifest_pb2.SkillManifest]:
        """Those that are hosted there. Raises AntiphonApiError."""
        try:
            answer = await self._stub.GetManifest(skill_pb2.GetManifestRequest(), timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            raise from_rpc_error(error, self._target) from None
        return tuple(answer.manifests)

    async def run(
        self, samples: Iterable[Sample], permissions: Iterable[manifest_pb2.Permission.ValueType] = ()
    ) -> AsyncIterator[Tried]:
        """Each sample in turn, in one session."""
        alarms = manifest_pb2.PERMISSION_ALARMS in set(permissions)
        for sample in samples:
            yield await self._try(sample, alarms=alarms)

    async def _try(self, sample: Sample, *, alarms: bool) -> Tried:
        request = self._request(sample)
        began = time.perf_counter()
        try:
            events = await self._execute(request)
        except AntiphonApiError as error:
            return Tried(sample, "failed", "", time.perf_counter() - began, (f"{error.reason or error.code}: {error}",))
        tried = _judged(sample, events, time.perf_counter() - began, alarms=alarms)
        more = [*await self._repeated(sample, request, events), *await self._unconfirmed(sample)]
        return replace(tried, problems=(*tried.problems, *more))

    async def _repeated(
        self, sample: Sample, request: skill_pb2.ExecuteRequest, first: Sequence[skill_pb2.ExecuteResponse]
    ) -> list[str]:
        if sample.intent.side_effect == manifest_pb2.SIDE_EFFECT_NONE or not first:
            return []
        try:
            again = await self._execute(request)
        except AntiphonApiError as error:
            return [f"a repeat of its key failed ({error.reason}); it must give the same answer"]
        if _said(again) != _said(first):
            return ["a repeat of its key gave another answer: it acted twice"]
        if [e.effect_id for e in _effects(again)] != [e.effect_id for e in _effects(first)]:
            return ["a repeat of its key gave another receipt: it acted twice"]
        return []

    async def _unconfirmed(self, sample: Sample) -> list[str]:
        if sample.intent.risk != manifest_pb2.RISK_HIGH:
            return []
        request = self._request(sample)
        request.confirmed = False
        try:
            await self._execute(request)
        except AntiphonApiError as error:
            return [] if error.code is grpc.StatusCode.FAILED_PRECONDITION else [f"unconfirmed it failed as {error}"]
        return ["it acted unconfirmed, though its risk is high"]

    def _request(self, sample: Sample) -> skill_pb2.ExecuteRequest:
        return request_of(sample, self._session, self.now)

    async def _execute(self, request: skill_pb2.ExecuteRequest) -> list[skill_pb2.ExecuteResponse]:
        try:
            return [event async for event in self._stub.Execute(request, timeout=TIMEOUT_S)]
        except grpc.RpcError as error:
            raise from_rpc_error(error, self._target) from None


async def rehearse(skill: Skill, text: str, locale: str = "en") -> str:
    """What a skill answers to a text, in this process, for tests of one's own. Raises SkillError.

    The text is read by the skill's own phrases. Raises ValueError when none of them fits.
    """
    now = datetime.now(UTC)
    sample = read(skill.manifest, text, locale, now)
    if sample is None:
        raise ValueError(f"no phrase of {skill.manifest.skill_id} in {locale} reads {text!r}")
    host = SkillHost([skill])
    try:
        return _said([event async for event in host.execute(request_of(sample, "rehearsal", now))])
    finally:
        await host.close()


def request_of(sample: Sample, session: str, now: datetime) -> skill_pb2.ExecuteRequest:
    """A confirmed Execute of a sample, with a key of its own."""
    context = context_pb2.TurnContext(session_id=session, turn_id=uuid.uuid4().hex)
    context.session.user_id = f"trial-{session}"
    context.session.time_zone = "Europe/Vienna"
    context.session.language_codes.append(sample.locale)
    context.now.FromDatetime(now)
    return skill_pb2.ExecuteRequest(
        skill_id=sample.interpretation.skill_id,
        idempotency_key=uuid.uuid4().hex,
        interpretation=sample.interpretation,
        language_code=sample.locale,
        context=context,
        confirmed=True,
    )


def _judged(sample: Sample, events: Sequence[skill_pb2.ExecuteResponse], seconds: float, *, alarms: bool) -> Tried:
    problems = []
    if not events or events[-1].WhichOneof("event") != "done":
        return Tried(sample, "failed", _said(events), seconds, ("the stream ended without `done`",))
    done = events[-1].done
    outcome = {
        skill_pb2.EXECUTION_OUTCOME_AWAITING_USER: "asked",
        skill_pb2.EXECUTION_OUTCOME_DECLINED: f"declined {done.reason}",
    }.get(done.outcome, "answered")
    answer = _said(events)
    if not answer and not any(event.WhichOneof("event") in ("display", "directive") for event in events):
        problems.append("it said nothing")
    if _effects(events) and sample.intent.side_effect == manifest_pb2.SIDE_EFFECT_NONE:
        problems.append("it changed something, though its side_effect is none")
    if any(event.WhichOneof("event") == "alarm_change" for event in events) and not alarms:
        problems.append("it set an alarm without the permission `alarms`")
    if seconds > SLOWEST_S:
        problems.append(f"it took {seconds:.1f} s; at most {SLOWEST_S:g} s")
    return Tried(sample, outcome, answer, seconds, tuple(problems))


def _effects(events: Sequence[skill_pb2.ExecuteResponse]) -> list[skill_pb2.Effect]:
    return [effect for event in events for effect in event.done.receipt.effects]


def _said(events: Sequence[skill_pb2.ExecuteResponse]) -> str:
    pieces = [event.answer.text or event.prompt.text.text for event in events]
    return "".join(piece for piece in pieces if piece)
