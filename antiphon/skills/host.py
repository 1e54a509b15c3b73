"""Serves skills in the contract's words, whatever the transport.

`server.py` puts it behind plain gRPC for skills of third parties; the platform's own host puts it behind its runtime.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, cast

from antiphon.skill.v1 import manifest_pb2, skill_pb2
from antiphon.skills.limits import Measured
from antiphon.skills.skill import Skill, SkillError, Trouble, Turn
from antiphon.skills.storage import Storage, StorageError, UserStorage
from antiphon.types.v1 import context_pb2, understanding_pb2

log = logging.getLogger(__name__)

REMEMBERED: Final = 1_000
"""Executions with an effect whose events are in memory for a repeat of their key; all of them are in storage."""

DEFAULT_TIMEOUT_S: Final = 8.0
"""An execution whose intent sets no timeout."""

MAX_TIMEOUT_S: Final = 60.0

LATEST_S: Final = 221_845_392_000
"""The year 9000 in seconds since 1970: skills add to "now", and a date ends with the year 9999."""


class SkillHost:
    """Skills by id. Raises SkillError.

    Args:
        folder: where skills keep what they keep, one file each; None keeps it in memory, for tests.
    """

    def __init__(self, skills: Sequence[Skill], folder: Path | None = None) -> None:
        self._skills = {skill.manifest.skill_id: skill for skill in sorted(skills, key=lambda s: s.manifest.skill_id)}
        if len(self._skills) != len(skills):
            raise ValueError("each skill_id once")
        self._storage = {name: Storage(folder and folder / f"{name}.sqlite3") for name in self._skills}
        self._done: OrderedDict[tuple[str, str, str], list[skill_pb2.ExecuteResponse]] = OrderedDict()
        self._under_way: dict[tuple[str, str, str], asyncio.Event] = {}

    async def close(self) -> None:
        """Free what skills keep."""
        for storage in self._storage.values():
            await storage.close()

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
            _intent(skill, interpretation)
            turn = _turn(interpretation, request.language_code, request.context)
            with _crashes():
                answer, reason = await skill.can_fulfill(turn)
            answers.append(skill_pb2.FulfilmentAnswer(fulfilment=answer.value, reason=reason))
        return skill_pb2.CanFulfillResponse(answers=answers)

    async def execute(
        self, request: skill_pb2.ExecuteRequest, tenant: str = ""
    ) -> AsyncGenerator[skill_pb2.ExecuteResponse, None]:
        """The skill's events, with the places of the answer's pieces filled in, and `done` at the end.

        Args:
            tenant: on whose account, from the call's credentials; empty where there are none.
        """
        skill = self._skill(request.skill_id)
        intent = _intent(skill, request.interpretation)
        if not 1 <= len(request.idempotency_key) <= 128:
            raise SkillError("KEY_MISSING", "idempotency_key has 1 to 128 characters", kind=Trouble.INVALID)
        if intent.risk == manifest_pb2.RISK_HIGH and not request.confirmed:
            raise SkillError("NOT_CONFIRMED", "an intent of high risk is confirmed by the user first")
        turn = self._executed(skill, request, tenant)
        effects = intent.side_effect != manifest_pb2.SIDE_EFFECT_NONE
        if not effects:
            async with aclosing(_bounded(skill, turn, intent)) as said:
                async for event in said:
                    yield event
            return
        async with self._alone(skill, turn), aclosing(self._once(skill, turn, intent)) as said:
            async for event in said:
                yield event

    async def _once(
        self, skill: Skill, turn: Turn, intent: manifest_pb2.IntentDefinition
    ) -> AsyncGenerator[skill_pb2.ExecuteResponse, None]:
        """An execution with an effect, or what came of an earlier one with the same key."""
        if (known := await self._known(skill, turn)) is not None:
            for event in known:
                yield _replayed(event)
            return
        events = []
        async with aclosing(_bounded(skill, turn, intent)) as said:
            async for event in said:
                events.append(event)
                if event.done.outcome == skill_pb2.EXECUTION_OUTCOME_COMPLETED:
                    await self._remember(skill, turn, events)
                yield event

    @asynccontextmanager
    async def _alone(self, skill: Skill, turn: Turn) -> AsyncIterator[None]:
        """A repeat that comes while the first is at work waits for its end."""
        key = (skill.manifest.skill_id, turn.user, turn.idempotency_key)
        while (other := self._under_way.get(key)) is not None:
            await other.wait()
        self._under_way[key] = ended = asyncio.Event()
        try:
            yield
        finally:
            del self._under_way[key]
            ended.set()

    def _skill(self, skill_id: str) -> Skill:
        if (skill := self._skills.get(skill_id)) is None:
            raise SkillError("SKILL_NOT_FOUND", "no such skill is hosted here", kind=Trouble.NOT_FOUND)
        return skill

    def _executed(self, skill: Skill, request: skill_pb2.ExecuteRequest, tenant: str) -> Turn:
        bare = _turn(request.interpretation, request.language_code, request.context, tenant=tenant)
        storage = self._storage[skill.manifest.skill_id]
        return _turn(
            request.interpretation,
            request.language_code,
            request.context,
            idempotency_key=request.idempotency_key,
            confirmed=request.confirmed,
            prompt_id=request.prompt_id,
            state=request.skill_state,
            tenant=tenant,
            storage=UserStorage(storage, bare.user, request.idempotency_key),
        )

    async def _known(self, skill: Skill, turn: Turn) -> list[skill_pb2.ExecuteResponse] | None:
        """The events of an earlier execution with this key, before a restart too."""
        name = skill.manifest.skill_id
        if (events := self._done.get((name, turn.user, turn.idempotency_key))) is not None:
            return events
        try:
            found = await self._storage[name].recall(turn.user, turn.idempotency_key)
        except StorageError:
            return None  # the skill itself hears of it if it keeps anything
        return _unpacked(found) if found is not None else None

    async def _remember(self, skill: Skill, turn: Turn, events: list[skill_pb2.ExecuteResponse]) -> None:
        name = skill.manifest.skill_id
        self._done[name, turn.user, turn.idempotency_key] = events
        while len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
        try:
            await self._storage[name].remember(turn.user, turn.idempotency_key, _packed(events))
        except StorageError as error:
            log.warning("skill %s: a repeat after a restart may act again: %s", name, error)


def _intent(skill: Skill, interpretation: understanding_pb2.Interpretation) -> manifest_pb2.IntentDefinition:
    skill_id, _, name = interpretation.intent.rpartition(".")
    intent = next((intent for intent in skill.manifest.intents if intent.name == name), None)
    if intent is None or skill_id != skill.manifest.skill_id:
        raise SkillError("UNKNOWN_INTENT", "the skill has no such intent", kind=Trouble.INVALID)
    return intent


def _turn(
    interpretation: understanding_pb2.Interpretation,
    locale: str,
    context: context_pb2.TurnContext,
    *,
    idempotency_key: str = "",
    confirmed: bool = False,
    prompt_id: str = "",
    state: bytes = b"",
    tenant: str = "",
    storage: UserStorage | None = None,
) -> Turn:
    name = interpretation.intent.rpartition(".")[2]
    if not (0 <= context.now.seconds < LATEST_S and 0 <= context.now.nanos < 1_000_000_000):
        raise SkillError("NOW_OUT_OF_RANGE", "context.now is from 1970 to 8999", kind=Trouble.INVALID)
    return Turn(name, locale, interpretation, context, idempotency_key, confirmed, prompt_id, state, tenant, storage)


@contextmanager
def _crashes(turn: Turn | None = None) -> Iterator[None]:
    """A defect of a skill becomes an error of the contract. SystemExit too: it must not take the others with it.

    The log says where; what the exception says may be a user's words, and is logged for debugging alone.
    """
    try:
        yield
    except SkillError:
        raise
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        log.error("a skill crashed: %s in %s, line %s", type(error).__name__, last.filename, last.lineno)
        log.debug("what it raised", exc_info=True)
        effect = turn is not None and turn.storage is not None and turn.storage.changed
        raise SkillError("SKILL_CRASHED", "the skill failed", kind=Trouble.CRASHED, effect=effect) from error


async def _bounded(
    skill: Skill, turn: Turn, intent: manifest_pb2.IntentDefinition
) -> AsyncGenerator[skill_pb2.ExecuteResponse, None]:
    """What the skill yields, within its time and the contract's sizes."""
    wanted = intent.timeout.seconds + intent.timeout.nanos * 1e-9
    left = min(wanted or DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S)
    clock = asyncio.get_running_loop().time
    with _crashes(turn):
        events = cast("AsyncGenerator[skill_pb2.ExecuteResponse, None]", _completed(skill, turn, intent))
        async with aclosing(events):
            while True:
                began = clock()
                try:
                    async with asyncio.timeout(left):  # the time that the caller takes to read is not the skill's
                        event = await anext(events, None)
                except TimeoutError as error:
                    effect = turn.storage is not None and turn.storage.changed
                    raise SkillError(
                        "SKILL_TOO_LATE", "the skill took too long", kind=Trouble.TOO_LATE, effect=effect
                    ) from error
                if event is None:
                    return
                left -= clock() - began
                yield event


async def _completed(
    skill: Skill, turn: Turn, intent: manifest_pb2.IntentDefinition
) -> AsyncIterator[skill_pb2.ExecuteResponse]:
    """What the skill yields, completed by what it need not care about: places, the end, the receipt."""
    measured = Measured()
    async with _handled(skill, turn) as events:
        async for event in events:
            event = measured.admitted(event)
            kind = event.WhichOneof("event")
            if kind == "done":
                yield _with_receipt(event, turn, intent)
                return
            if kind == "prompt":
                _type(event, intent)
            yield event
            if kind == "prompt":
                yield skill_pb2.ExecuteResponse(done=skill_pb2.Done(outcome=skill_pb2.EXECUTION_OUTCOME_AWAITING_USER))
                return
    ending = skill_pb2.Done(outcome=skill_pb2.EXECUTION_OUTCOME_COMPLETED)
    yield _with_receipt(skill_pb2.ExecuteResponse(done=ending), turn, intent)


def _type(event: skill_pb2.ExecuteResponse, intent: manifest_pb2.IntentDefinition) -> None:
    """What a question asks for, so that the answer is read as such."""
    asked = next((slot for slot in intent.slots if slot.name == event.prompt.slot), None)
    if asked is not None and not event.prompt.value_type:
        event.prompt.value_type = asked.value_type


@asynccontextmanager
async def _handled(skill: Skill, turn: Turn) -> AsyncIterator[AsyncIterator[skill_pb2.ExecuteResponse]]:
    """The skill's events, closed when nobody wants more of them."""
    events: object = skill.handle(turn)
    if inspect.iscoroutine(events):
        events.close()
        raise TypeError("handle is an async generator: it yields")
    try:
        yield cast("AsyncIterator[skill_pb2.ExecuteResponse]", events)
    finally:
        if inspect.isasyncgen(events):
            await events.aclose()


def _with_receipt(
    event: skill_pb2.ExecuteResponse, turn: Turn, intent: manifest_pb2.IntentDefinition
) -> skill_pb2.ExecuteResponse:
    """An intent with a side effect ends with a receipt, even of nothing."""
    done = event.done
    if intent.side_effect != manifest_pb2.SIDE_EFFECT_NONE and done.outcome == skill_pb2.EXECUTION_OUTCOME_COMPLETED:
        done.receipt.idempotency_key = turn.idempotency_key
    return event


def _replayed(event: skill_pb2.ExecuteResponse) -> skill_pb2.ExecuteResponse:
    if event.WhichOneof("event") != "done" or not event.done.HasField("receipt"):
        return event
    again = skill_pb2.ExecuteResponse()
    again.CopyFrom(event)
    again.done.receipt.replayed = True
    return again


def _packed(events: Sequence[skill_pb2.ExecuteResponse]) -> bytes:
    """Each with its length before it."""
    parts = [event.SerializeToString() for event in events if event.WhichOneof("event") != "progress"]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _unpacked(kept: bytes) -> list[skill_pb2.ExecuteResponse]:
    events, at = [], 0
    while at < len(kept):
        end = at + 4 + int.from_bytes(kept[at : at + 4], "big")
        events.append(skill_pb2.ExecuteResponse.FromString(kept[at + 4 : end]))
        at = end
    return events
