"""What outlives a stream: the state of a conversation and the token that opens it again.

`conversation` saves after each turn and reads on resume. The token is random and opaque, works once, and only for the
tenant that got it; anything else about it looks as if it did not exist. Saving is a compare-and-set: when a session is
resumed elsewhere, the stream that lost it finds out at its next turn's end.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field, replace
from typing import Any, Final

from services.arbitration.contexts import ConversationState, PastTurn, PendingPrompt, PromptKind
from services.arbitration.hypotheses import Hypothesis, Interpretation, Slot
from services.runtime.errors import Conflict, NotFound
from services.runtime.store import ABSENT, SessionStore

RESUMABLE_SECONDS: Final = 900.0
"""How long after its last turn a session can be resumed."""

_TOKEN_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class SessionMemory:
    """A session as it is stored.

    Attributes:
        skill_state: what the last skill asked to keep.
        sequence: number of the last message sent to the client.
        audio: seconds of audio, over all its streams, up to the end of the last turn: a resumed client goes on there.
        version: of the stored value; the next save replaces exactly this one.
    """

    session_id: str
    state: ConversationState = field(default_factory=ConversationState)
    skill_state: bytes = b""
    sequence: int = 0
    version: int = ABSENT
    audio: float = 0.0


@dataclass
class SessionKeeper:
    """Stores sessions and issues tokens."""

    store: SessionStore
    resumable: float = RESUMABLE_SECONDS

    async def begin(self, tenant: str) -> tuple[SessionMemory, str]:
        """A new session and its token."""
        memory = await self.save(tenant, SessionMemory(secrets.token_hex(16)))
        return memory, await self._issue(tenant, memory.session_id)

    async def resume(self, tenant: str, token: str) -> tuple[SessionMemory, str]:
        """The session behind a token, and its next token; the old one is used up.

        Raises:
            NotFound: RESUME_TOKEN_UNKNOWN: never issued, used, expired, or another tenant's.
        """
        key = _token_key(token)
        unknown = NotFound("this resume token opens no session", reason="RESUME_TOKEN_UNKNOWN", field="resume_token")
        issued = await self.store.get(tenant, key)
        if issued is None:
            raise unknown
        session_id = issued.value.decode()
        found = await self.store.get(tenant, _session_key(session_id))
        if found is None:
            raise unknown
        try:
            await self.store.delete(tenant, key, expected=issued.version)
        except Conflict:
            raise unknown from None
        memory = replace(_decoded(session_id, found.value), version=found.version)
        # Writing at once takes the session away from the stream that had it.
        return await self.save(tenant, memory), await self._issue(tenant, session_id)

    async def save(self, tenant: str, memory: SessionMemory) -> SessionMemory:
        """Store it and return it with its new version.

        Raises:
            Conflict: SESSION_TAKEN_OVER, the session goes on in another stream.
        """
        try:
            stored = await self.store.put(
                tenant,
                _session_key(memory.session_id),
                _encoded(memory),
                ttl=self.resumable,
                expected=memory.version,
            )
        except Conflict as error:
            raise Conflict("this session goes on in another stream", reason="SESSION_TAKEN_OVER") from error
        return replace(memory, version=stored.version)

    async def prolong(self, tenant: str, session_id: str, token: str) -> None:
        """Let the token live as long as the session does."""
        await self.store.put(tenant, _token_key(token), session_id.encode(), ttl=self.resumable)

    async def _issue(self, tenant: str, session_id: str) -> str:
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        await self.prolong(tenant, session_id, token)
        return token


def _session_key(session_id: str) -> str:
    return f"session/{session_id}"


def _token_key(token: str) -> str:
    """Tokens are stored by their hash alone: whoever reads the store cannot resume with what it finds."""
    return "resume/" + hashlib.sha256(token.encode()).hexdigest()


# --- as JSON -------------------------------------------------------------------------------------------------------
def _encoded(memory: SessionMemory) -> bytes:
    state = memory.state
    return json.dumps(
        {
            "turns": state.turns,
            "past": [_past_out(turn) for turn in state.past],
            "pending": _prompt_out(state.pending) if state.pending else None,
            "skill_state": _text(memory.skill_state),
            "sequence": memory.sequence,
            "audio": memory.audio,
        }
    ).encode()


def _decoded(session_id: str, value: bytes) -> SessionMemory:
    read = json.loads(value)
    state = ConversationState(
        tuple(_past_in(turn) for turn in read["past"]),
        _prompt_in(read["pending"]) if read["pending"] else None,
        read["turns"],
    )
    return SessionMemory(session_id, state, _bytes(read["skill_state"]), read["sequence"], audio=read["audio"])


def _past_out(turn: PastTurn) -> dict[str, Any]:
    served = _hypothesis_out(turn.served) if turn.served else None
    return {
        "id": turn.turn_id,
        "text": turn.text,
        "answer": turn.answer,
        "served": served,
        "at": turn.ended_at,
        "focus": [_text(slot) for slot in turn.focus],
        "goes_on": turn.goes_on,
    }


def _past_in(read: dict[str, Any]) -> PastTurn:
    served = _hypothesis_in(read["served"]) if read["served"] else None
    focus = tuple(_bytes(slot) for slot in read.get("focus", ()))
    return PastTurn(read["id"], read["text"], read["answer"], served, read["at"], focus, read.get("goes_on", False))


def _prompt_out(prompt: PendingPrompt) -> dict[str, Any]:
    return {
        "id": prompt.prompt_id,
        "kind": str(prompt.kind),
        "about": [_hypothesis_out(hypothesis) for hypothesis in prompt.about],
        "text": prompt.text,
        "slot": prompt.slot,
        "wire": _text(prompt.wire),
    }


def _prompt_in(read: dict[str, Any]) -> PendingPrompt:
    about = tuple(_hypothesis_in(hypothesis) for hypothesis in read["about"])
    return PendingPrompt(read["id"], PromptKind(read["kind"]), about, read["text"], read["slot"], _bytes(read["wire"]))


def _hypothesis_out(hypothesis: Hypothesis) -> dict[str, Any]:
    reading = hypothesis.interpretation
    slots = [
        [slot.name, slot.text, _text(slot.typed), slot.confidence, slot.catalogue_hit, slot.carried]
        for slot in reading.slots
    ]
    return {
        "skill": hypothesis.skill_id,
        "version": hypothesis.version,
        "intent": reading.intent,
        "confidence": reading.confidence,
        "slots": slots,
        "text": reading.text,
        "wire": _text(reading.wire),
    }


def _hypothesis_in(read: dict[str, Any]) -> Hypothesis:
    slots = tuple(
        Slot(name, text, _bytes(typed), confidence, hit, carried)
        for name, text, typed, confidence, hit, carried in read["slots"]
    )
    reading = Interpretation(
        read["intent"], read["confidence"], slots, skill_id=read["skill"], text=read["text"], wire=_bytes(read["wire"])
    )
    return Hypothesis(read["skill"], reading, read.get("version", ""))


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(value: str) -> bytes:
    return base64.b64decode(value)
