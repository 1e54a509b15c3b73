"""Skills over `SkillService`: the built-in ones in the platform's skill host, registered ones at their own address."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from antiphon.skill.v1 import manifest_pb2, skill_pb2, skill_pb2_grpc
from antiphon.types.v1 import context_pb2, understanding_pb2
from services.arbitration.adapters.alarms import from_change, to_alarm
from services.arbitration.adapters.channels import Channels, read, rpc_errors
from services.arbitration.adapters.values import prompt_kind, skill_interpretation, to_turn_context
from services.arbitration.alarms import AlarmBook, owner_of
from services.arbitration.circuits import APART
from services.arbitration.contexts import TurnContext
from services.arbitration.hypotheses import Fulfilment, Hypothesis
from services.arbitration.ports import (
    Ending,
    Order,
    Receipt,
    SkillAlarm,
    SkillAnswer,
    SkillDone,
    SkillEvent,
    SkillExtra,
    SkillProgress,
    SkillPrompt,
)
from services.arbitration.registry_of_skills import RegisteredSkill, SkillRegistry
from services.arbitration.stages.execute import ALARMS
from services.runtime.errors import AntiphonError, FailedPrecondition, Unavailable

EXECUTE_TIMEOUT_S = 60.0
"""Upper bound of one execution's call; the turn itself gives up sooner."""

MAX_REASON = 64
MAX_FOCUS = 32

_ENDINGS = {
    skill_pb2.EXECUTION_OUTCOME_AWAITING_USER: Ending.AWAITING_USER,
    skill_pb2.EXECUTION_OUTCOME_DECLINED: Ending.DECLINED,
}
_FULFILMENTS = {
    understanding_pb2.FULFILMENT_YES: Fulfilment.YES,
    understanding_pb2.FULFILMENT_NO: Fulfilment.NO,
    understanding_pb2.FULFILMENT_MAYBE: Fulfilment.MAYBE,
}


class GrpcSkills:
    """`SkillPort`; one per replica of arbitration."""

    def __init__(self, channels: Channels, registry: SkillRegistry, alarms: AlarmBook) -> None:
        self._channels = channels
        self._registry = registry
        self._alarms = alarms

    async def can_fulfil(
        self, hypothesis: Hypothesis, context: TurnContext, *, another: bool = False
    ) -> tuple[Fulfilment, str]:
        """Asks the skill; MISSING when its answer makes no sense."""
        request = skill_pb2.CanFulfillRequest(
            skill_id=hypothesis.skill_id,
            interpretations=[skill_interpretation(hypothesis)],
            language_code=context.profile.locale,
            context=await self._context(hypothesis, context),
        )
        with rpc_errors():
            response = await self._stub(hypothesis, context, another=another).CanFulfill(
                request, metadata=self._metadata(hypothesis, context), timeout=EXECUTE_TIMEOUT_S
            )
        if len(response.answers) != 1:
            return Fulfilment.MISSING, "ANSWERS_MISCOUNTED"
        answer = response.answers[0]
        return _FULFILMENTS.get(answer.fulfilment, Fulfilment.MISSING), answer.reason[:MAX_REASON]

    async def execute(self, order: Order, context: TurnContext) -> AsyncIterator[SkillEvent]:
        """Executes once; never repeated here."""
        hypothesis = order.hypothesis
        request = skill_pb2.ExecuteRequest(
            skill_id=hypothesis.skill_id,
            idempotency_key=order.idempotency_key,
            interpretation=skill_interpretation(hypothesis),
            language_code=context.profile.locale,
            context=await self._context(hypothesis, context),
            confirmed=order.confirmed,
            prompt_id=order.prompt_id,
            skill_state=order.skill_state,
        )
        with rpc_errors():
            call = self._stub(hypothesis, context).Execute(
                request, metadata=self._metadata(hypothesis, context), timeout=EXECUTE_TIMEOUT_S
            )
        async for response in read(call):
            event = _event(response, context.now)
            if event is not None:
                yield event

    def circuit(self, hypothesis: Hypothesis, context: TurnContext) -> str:
        """The skill's id, with its version where that has its own address, or a pool reserved for some tenants."""
        skill_id, skill = hypothesis.skill_id, self._registry.find(hypothesis.skill_id, hypothesis.version)
        if skill is None or not skill.built_in:
            return f"{skill_id}{APART}{hypothesis.version}" if hypothesis.version else skill_id
        try:
            pool = self._channels.pool("skills", context)
        except AntiphonError:  # whoever calls the skill will find out
            return skill_id
        return f"{skill_id}{APART}{pool.name}" if pool.tenants else skill_id

    async def built_in(self) -> tuple[manifest_pb2.SkillManifest, ...]:
        """Manifests of the skills that the platform's own host serves."""
        pool = self._channels.directory.resolve("skills")
        stub = skill_pb2_grpc.SkillServiceStub(self._channels.channel(pool.target))
        with rpc_errors():
            response = await stub.GetManifest(
                skill_pb2.GetManifestRequest(), metadata=self._channels.platform_metadata(), timeout=5.0
            )
        return tuple(response.manifests)

    async def manifests_at(self, address: str) -> tuple[manifest_pb2.SkillManifest, ...]:
        """Manifests of a third party's server at `host:port`; no credentials go there."""
        stub = skill_pb2_grpc.SkillServiceStub(self._channels.channel(address))
        with rpc_errors():
            response = await stub.GetManifest(skill_pb2.GetManifestRequest(), timeout=5.0)
        return tuple(response.manifests)

    async def _context(self, hypothesis: Hypothesis, context: TurnContext) -> context_pb2.TurnContext:
        """What the skill may know of the turn."""
        message = to_turn_context(context)
        skill, profile = self._registered(hypothesis), context.profile
        if skill is not None and not skill.built_in:
            _keep_back(message, skill.manifest.id, frozenset(skill.manifest.permissions), profile.tenant)
        if skill is not None and ALARMS in skill.manifest.permissions:
            owner = owner_of(profile.user_id, profile.device_id, context.session_id)
            alarms = await self._alarms.alarms(profile.tenant, owner)
            message.alarms.extend(to_alarm(alarm, context.now) for alarm in alarms)
        return message

    def _stub(
        self, hypothesis: Hypothesis, context: TurnContext, *, another: bool = False
    ) -> skill_pb2_grpc.SkillServiceStub:
        endpoint = self._endpoint(hypothesis)
        target = endpoint or self._channels.pool("skills", context).target
        channel = self._channels.spare(target) if another else self._channels.channel(target)
        return skill_pb2_grpc.SkillServiceStub(channel)

    def _metadata(self, hypothesis: Hypothesis, context: TurnContext) -> tuple[tuple[str, str], ...]:
        """The platform's internal token never goes to a third party."""
        return () if self._endpoint(hypothesis) else self._channels.metadata(context)

    def _endpoint(self, hypothesis: Hypothesis) -> str:
        skill = self._registered(hypothesis)
        return skill.endpoint if skill is not None and not skill.built_in else ""

    def _registered(self, hypothesis: Hypothesis) -> RegisteredSkill | None:
        """The skill in this very version: another one may not know what this one has begun."""
        found = self._registry.find(hypothesis.skill_id, hypothesis.version)
        if found is None and hypothesis.version:
            raise FailedPrecondition("this version of the skill is gone", reason="SKILL_VERSION_GONE")
        return found


def _keep_back(message: context_pb2.TurnContext, skill_id: str, permissions: frozenset[str], tenant: str) -> None:
    """Takes out what a third party was not permitted to know; people get names that differ from skill to skill."""
    session = message.session
    if "USER_IDENTITY" in permissions:
        session.user_id = _alias(tenant, skill_id, session.user_id)
        session.device.device_id = _alias(tenant, skill_id, session.device.device_id)
    else:
        session.ClearField("user_id")
        session.device.ClearField("device_id")
        session.ClearField("room")
    if not permissions & {"COARSE_LOCATION", "PRECISE_LOCATION"}:
        session.ClearField("region")
        session.ClearField("time_zone")
    if "PRECISE_LOCATION" not in permissions or not session.consent.precise_location:
        session.ClearField("location")
    if "CONVERSATION" not in permissions:
        own = [turn for turn in message.past_turns if turn.skill_id == skill_id]
        del message.past_turns[:]
        message.past_turns.extend(own)
    message.ClearField("speaker_profile_id")


def _alias(tenant: str, skill_id: str, name: str) -> str:
    return hashlib.sha256("\0".join((tenant, skill_id, name)).encode()).hexdigest()[:32] if name else ""


def _event(response: skill_pb2.ExecuteResponse, now: float) -> SkillEvent | None:
    match response.WhichOneof("event"):
        case "progress":
            return SkillProgress(response.progress.text.text, response.progress.SerializeToString())
        case "answer":
            answer = response.answer
            start = answer.span.start if answer.HasField("span") else None
            return SkillAnswer(answer.text, start, answer.SerializeToString())
        case "prompt":
            prompt = response.prompt
            wire = prompt.SerializeToString()
            return SkillPrompt(prompt_kind(prompt), prompt.text.text, prompt.slot, prompt.prompt_id, wire)
        case "alarm_change":
            change = from_change(response.alarm_change, now)
            if change is None:
                raise Unavailable("the skill set an alarm that is none", reason="SKILL_ALARM_INVALID")
            return SkillAlarm(change)
        case "display" | "citation" | "directive" as kind:
            return SkillExtra(kind, getattr(response, kind).SerializeToString())
        case "done":
            return _done(response.done)
    return None


def _done(done: skill_pb2.Done) -> SkillDone:
    receipt = None
    if done.HasField("receipt"):
        receipt = Receipt(
            idempotency_key=done.receipt.idempotency_key,
            effects=len(done.receipt.effects),
            replayed=done.receipt.replayed,
            wire=done.receipt.SerializeToString(),
        )
    ending = _ENDINGS.get(done.outcome, Ending.COMPLETED)
    focus = tuple(slot.SerializeToString() for slot in done.focus[:MAX_FOCUS])
    return SkillDone(ending, receipt, done.skill_state, done.reason[:MAX_REASON], done.expects_follow_up, focus)
