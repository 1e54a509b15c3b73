"""Understanding over `LanguageUnderstandingService.Interpret`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from functools import partial

from antiphon.nlu.v1 import understanding_pb2 as nlu_pb2
from antiphon.nlu.v1 import understanding_pb2_grpc as nlu_pb2_grpc
from antiphon.skill.v1 import manifest_pb2
from antiphon.types.v1 import answer_pb2
from services.arbitration.adapters.channels import Channels, once_more, rpc_errors
from services.arbitration.adapters.values import from_interpretation, from_provenance, to_turn_context
from services.arbitration.contexts import TurnContext
from services.arbitration.hypotheses import DIALOGUE_SKILL, Alternative, Understanding
from services.arbitration.registry_of_skills import SkillRegistry
from services.arbitration.routing.shadowing import Compared, ShadowArm
from services.runtime.errors import AntiphonError, DeadlineExceeded, FailedPrecondition

_SOCIAL = (
    answer_pb2.DIALOGUE_ACT_TYPE_GREET,
    answer_pb2.DIALOGUE_ACT_TYPE_THANK,
    answer_pb2.DIALOGUE_ACT_TYPE_BYE,
    answer_pb2.DIALOGUE_ACT_TYPE_REPEAT,
)
"""Acts that belong to the conversation itself."""

CALL_TIMEOUT_S = 2.0
UPDATE_TIMEOUT_S = 30.0

MAX_NAMED_SKILLS = 200
"""Skills that a request names; who has more gets readings of all skills, and the shortlist leaves out the others'."""


class GrpcUnderstanding:
    """`UnderstandingPort`; one per replica of arbitration."""

    def __init__(self, channels: Channels, registry: SkillRegistry) -> None:
        self._channels = channels
        self._registry = registry

    @property
    def pools(self) -> tuple[str, ...]:
        """Names of the understanding pools."""
        return tuple(pool.name for pool in self._channels.directory.pools if pool.capability == "nlu")

    async def teach(self, pool: str, manifest: bytes, key: str) -> None:
        """Tells a pool about a skill. Raises what the pool says; Unavailable is worth another try."""
        found = self._channels.directory.named(pool)
        if found is None:
            raise FailedPrecondition(f"no pool {pool}", reason="POOL_UNKNOWN")
        stub = nlu_pb2_grpc.LanguageUnderstandingServiceStub(self._channels.channel(found.target))
        request = nlu_pb2.UpdateSkillRequest(
            manifest=manifest_pb2.SkillManifest.FromString(manifest),
            idempotency_key=key,
            divergence_policy=nlu_pb2.DIVERGENCE_POLICY_WARN,
        )
        with rpc_errors():
            await stub.UpdateSkill(request, metadata=self._channels.platform_metadata(), timeout=UPDATE_TIMEOUT_S)

    async def interpret(
        self, alternatives: tuple[Alternative, ...], context: TurnContext, *, speculative: bool
    ) -> Understanding:
        """Ranked readings of the alternatives; repeated once when a replica is lost, since it changes nothing."""
        request = nlu_pb2.InterpretRequest(
            language_code=context.profile.locale, context=to_turn_context(context), is_partial=speculative
        )
        request.options.dialogue_acts = True
        request.options.resolve_values = True
        request.options.skill_ids.extend(self._skills(context))
        for alternative in alternatives:
            request.alternatives.add(spoken_text=alternative.text, confidence=alternative.confidence)
        target = self._channels.pool("nlu", context).target
        trip = self._channels.trip("nlu", context)
        try:
            response = await once_more(lambda: self._ask(target, request, context))
        except AntiphonError as error:
            trip.failed(error)
            raise
        except asyncio.CancelledError:
            if not speculative:  # it was not waited for any longer; what is read ahead is dropped all the time
                trip.failed(DeadlineExceeded("no reading in time"))
            raise
        latency = trip.age
        trip.done(latency)
        for arm in self._channels.shadow_arms("nlu", context):
            copy = partial(self._compare, arm, request, context, _intent(response), latency)
            self._channels.shadows.begin(arm, copy)
        acts = response.dialogue_acts
        return Understanding(
            interpretations=tuple(from_interpretation(i) for i in response.interpretations if not i.out_of_scope),
            out_of_scope=response.out_of_scope_score,
            affirms=_strongest(acts, answer_pb2.DIALOGUE_ACT_TYPE_AFFIRM),
            denies=_strongest(acts, answer_pb2.DIALOGUE_ACT_TYPE_DENY),
            social=max(_strongest(acts, kind) for kind in _SOCIAL),
            wire=tuple(act.SerializeToString() for act in acts),
            models=tuple(from_provenance(m) for m in response.models),
        )

    async def _ask(
        self, target: str, request: nlu_pb2.InterpretRequest, context: TurnContext
    ) -> nlu_pb2.InterpretResponse:
        stub = nlu_pb2_grpc.LanguageUnderstandingServiceStub(self._channels.channel(target))
        with rpc_errors():
            response: nlu_pb2.InterpretResponse = await stub.Interpret(
                request, metadata=self._channels.metadata(context), timeout=CALL_TIMEOUT_S
            )
            return response

    async def _compare(
        self, arm: ShadowArm, request: nlu_pb2.InterpretRequest, context: TurnContext, served: str, latency: float
    ) -> Compared:
        """The same question to a shadow: whether it reads the same intent, and how much later it answers."""
        began = time.monotonic()
        response = await self._ask(arm.target, request, context)
        own = time.monotonic() - began
        agrees = 1.0 if _intent(response) == served else 0.0
        return Compared(own, {"intent_agreement": agrees, "latency_difference_s": own - latency})

    def _skills(self, context: TurnContext) -> list[str]:
        """Those that may serve the turn."""
        profile = context.profile
        ids = [skill.manifest.id for skill in self._registry.enabled(profile.tenant, profile.user_id)]
        if profile.only_skills:
            ids = [skill_id for skill_id in ids if skill_id in profile.only_skills or skill_id == DIALOGUE_SKILL]
        return ids if len(ids) <= MAX_NAMED_SKILLS else []


def _intent(response: nlu_pb2.InterpretResponse) -> str:
    """The best reading's intent; empty when nothing was understood."""
    return next((reading.intent for reading in response.interpretations if not reading.out_of_scope), "")


def _strongest(acts: Iterable[answer_pb2.DialogueAct], kind: int) -> float:
    return max((act.confidence for act in acts if act.type == kind), default=0.0)
