"""Serves skills in the contract's words, whatever the transport.

`server.py` puts it behind plain gRPC for skills of third parties; the platform's own host puts it behind its runtime.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from antiphon.skill.v1 import manifest_pb2, skill_pb2
from antiphon.skills.skill import Skill, SkillError, Trouble, Turn
from antiphon.types.v1 import context_pb2, understanding_pb2

log = logging.getLogger(__name__)

REMEMBERED: Final = 1_000
"""Executions with a side effect whose events are kept for a repeat of their key, in this process alone: a skill that
runs in several replicas keeps keys where its effects are."""


class SkillHost:
    """Skills by id. Raises SkillError."""

    def __init__(self, skills: Sequence[Skill]) -> None:
        self._skills = {skill.manifest.skill_id: skill for skill in sorted(skills, key=lambda s: s.manifest.skill_id)}
        if len(self._skills) != len(skills):
            raise ValueError("each skill_id once")
        self._done: OrderedDict[tuple[str, str], list[skill_pb2.ExecuteResponse]] = OrderedDict()

    def get_manifest(self, request: skill_pb2.GetManifestRequest) -> skill_pb2.GetManifestResponse:
        """One manifest, or all."""
        if not request.skill_id:
            return skill_pb2.GetManifestResponse(manifests=[skill.manifest for skill in self._skills.values()])
        return skill_pb2.GetManifestResponse(manifests=[self._skill(request.skill_id).manifest])

    async def can_fulfill(self, request: skill_pb2.CanFulfillRequest) -> skill_pb2.CanFulfillResponse:
        """One answer for each reading, in order."""
        skill = self._skill(request.skill_id)
        answers = []
        for interpretation in request.interpretations:
            turn = self._turn(skill, interpretation, request.language_code, request.context)
            with _crashes():
                answer, reason = await skill.can_fulfill(turn)
            answers.append(skill_pb2.FulfilmentAnswer(fulfilment=answer.value, reason=reason))
        return skill_pb2.CanFulfillResponse(answers=answers)

    async def execute(self, request: skill_pb2.ExecuteRequest) -> AsyncGenerator[skill_pb2.ExecuteResponse, None]:
        """The skill's events, with the places of the answer's pieces filled in, and `done` at the end."""
        skill = self._skill(request.skill_id)
        if not 1 <= len(request.idempotency_key) <= 128:
            raise SkillError("KEY_MISSING", "idempotency_key has 1 to 128 characters", kind=Trouble.INVALID)
        turn = self._turn(
            skill,
            request.interpretation,
            request.language_code,
            request.context,
            idempotency_key=request.idempotency_key,
            confirmed=request.confirmed,
            prompt_id=request.prompt_id,
            state=request.skill_state,
        )
        intent = next(intent for intent in skill.manifest.intents if intent.name == turn.intent)
        if intent.risk == manifest_pb2.RISK_HIGH and not turn.confirmed:
            raise SkillError("NOT_CONFIRMED", "an intent of high risk is confirmed by the user first")
        key = (skill.manifest.skill_id, request.idempotency_key)
        if key in self._done:
            for event in self._done[key]:
                yield _replayed(event)
            return
        events = []
        with _crashes():
            async for event in _completed(skill, turn):
                events.append(event)
                yield event
        if intent.side_effect != manifest_pb2.SIDE_EFFECT_NONE:
            self._done[key] = events
            while len(self._done) > REMEMBERED:
                self._done.popitem(last=False)

    def _skill(self, skill_id: str) -> Skill:
        if (skill := self._skills.get(skill_id)) is None:
            raise SkillError("SKILL_NOT_FOUND", "no such skill is hosted here", kind=Trouble.NOT_FOUND)
        return skill

    def _turn(
        self,
        skill: Skill,
        interpretation: understanding_pb2.Interpretation,
        locale: str,
        context: context_pb2.TurnContext,
        *,
        idempotency_key: str = "",
        confirmed: bool = False,
        prompt_id: str = "",
        state: bytes = b"",
    ) -> Turn:
        skill_id, _, name = interpretation.intent.rpartition(".")
        if skill_id != skill.manifest.skill_id or all(intent.name != name for intent in skill.manifest.intents):
            raise SkillError("UNKNOWN_INTENT", "the skill has no such intent", kind=Trouble.INVALID)
        return Turn(name, locale, interpretation, context, idempotency_key, confirmed, prompt_id, state)


@contextmanager
def _crashes() -> Iterator[None]:
    """A defect of a skill becomes an error of the contract; its text stays in the skill's own log."""
    try:
        yield
    except SkillError:
        raise
    except Exception as error:
        log.exception("a skill crashed")
        raise SkillError("SKILL_CRASHED", "the skill failed", kind=Trouble.CRASHED) from error


async def _completed(skill: Skill, turn: Turn) -> AsyncIterator[skill_pb2.ExecuteResponse]:
    """What the skill yields, completed by what it need not care about."""
    said = 0
    ending = skill_pb2.EXECUTION_OUTCOME_COMPLETED
    async for event in skill.handle(turn):
        if event.WhichOneof("event") == "answer":
            event.answer.span.start = said
            said += len(event.answer.text)
            event.answer.span.end = said
        elif event.WhichOneof("event") == "prompt":
            ending = skill_pb2.EXECUTION_OUTCOME_AWAITING_USER
        yield event
        if event.WhichOneof("event") == "done":
            return
    yield skill_pb2.ExecuteResponse(done=skill_pb2.Done(outcome=ending))


def _replayed(event: skill_pb2.ExecuteResponse) -> skill_pb2.ExecuteResponse:
    if event.WhichOneof("event") != "done" or not event.done.HasField("receipt"):
        return event
    again = skill_pb2.ExecuteResponse()
    again.CopyFrom(event)
    again.done.receipt.replayed = True
    return again
