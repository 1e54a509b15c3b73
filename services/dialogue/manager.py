"""Takes a turn into the state of its conversation and finds the assistant's words for it.

The servicer calls it; `wording.py` finds the words. The state is written by compare-and-set and once per idempotency
key.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from services.dialogue.asked import Act, Answer, Asked, Purpose, Question, Words
from services.dialogue.sentences import SENTENCES
from services.dialogue.state import DialogueState, PastTurn, Reply, decoded, encoded
from services.dialogue.wording import words, wrong_language
from services.runtime.errors import Conflict, FailedPrecondition, InvalidInput, NotFound
from services.runtime.language import best_supported
from services.runtime.store import ABSENT, SessionStore

ATTEMPTS: Final = 3
"""Tries to write the state when other turns of the session are faster."""

EncodePrompt = Callable[[Question, Asked], bytes]


@dataclass
class DialogueManager:
    """Conversations of all tenants.

    Args:
        encode_prompt: how a question is stored, so that the state can give it back.
        kept: seconds a state lives after its last turn.
    """

    store: SessionStore
    encode_prompt: EncodePrompt
    kept: float = 900.0
    now: Callable[[], float] = field(default=time.time)

    async def respond(self, tenant: str, asked: Asked) -> Answer:
        """The assistant's words, with the state written.

        Raises:
            InvalidInput: no session, turn or key.
            FailedPrecondition: LOCALE_NOT_SERVED.
            Conflict: SESSION_CONTENDED, other turns of the session were faster.
        """
        _check(asked)
        locale, strange = _language(asked)
        if asked.purpose is Purpose.PROGRESS:
            return Answer(words(asked, locale, None), locale, DialogueState(asked.session_id))
        for _ in range(ATTEMPTS):
            found = await self.store.get(tenant, _key(asked.session_id))
            state = decoded(asked.session_id, found.value, found.expires_at) if found else None
            if state is not None and asked.key in state.replies:
                return self._replayed(state, asked, locale)
            said = wrong_language(locale) if strange else words(asked, locale, state)
            prompt = self.encode_prompt(said.question, asked) if said.question else said.prompt
            after = self._after(state or DialogueState(asked.session_id), asked, said, prompt)
            try:
                stored = await self.store.put(
                    tenant,
                    _key(asked.session_id),
                    encoded(after),
                    ttl=self.kept,
                    expected=found.version if found else ABSENT,
                    turn=asked.key,
                )
            except Conflict:
                continue
            return Answer(said, locale, replace(after, expires_at=stored.expires_at), prompt=prompt)
        raise Conflict("other turns of this session were faster; repeat", reason="SESSION_CONTENDED")

    async def state(self, tenant: str, session_id: str) -> DialogueState:
        """The state of a conversation. Raises NotFound: no such one, expired, or another tenant's."""
        found = await self.store.get(tenant, _key(session_id)) if session_id else None
        if found is None:
            raise NotFound("no such conversation, or it is over", reason="SESSION_NOT_FOUND", field="session_id")
        return decoded(session_id, found.value, found.expires_at)

    def _after(self, state: DialogueState, asked: Asked, said: Words, prompt: bytes) -> DialogueState:
        answer = asked.skill_answer if asked.purpose is Purpose.TRACK else said.text
        turn = PastTurn(asked.turn_id, asked.text, answer, asked.skill_id, self.now(), asked.reading)
        reply = Reply(said.text, tuple(said.acts), prompt)
        return state.after(turn, asked.slots, prompt, asked.key, reply, asked.focus)

    def _replayed(self, state: DialogueState, asked: Asked, locale: str) -> Answer:
        reply = state.replies[asked.key]
        said = Words(reply.text, tuple(Act(act) for act in reply.acts))
        return Answer(said, locale, state, replayed=True, prompt=reply.prompt)


def served(locale: str) -> str:
    """The language that serves a locale. Raises FailedPrecondition when none does."""
    language = best_supported((locale,), SENTENCES)
    if language is None:
        raise FailedPrecondition(
            f"served languages: {', '.join(sorted(SENTENCES))}", reason="LOCALE_NOT_SERVED", field="language_code"
        )
    return language


def _language(asked: Asked) -> tuple[str, bool]:
    """The language to answer in, and whether it is only another one of the user's. Raises FailedPrecondition.

    A user who is known to speak a served language is told so in it; what a skill has answered is kept all the same.
    """
    try:
        return served(asked.locale), False
    except FailedPrecondition:
        other = best_supported(asked.languages, SENTENCES)
        if other is None:
            raise
        return other, asked.purpose not in (Purpose.TRACK, Purpose.PROGRESS)


def _check(asked: Asked) -> None:
    for name, value, limit in (
        ("context.session_id", asked.session_id, 64),
        ("context.turn_id", asked.turn_id, 64),
        ("idempotency_key", asked.key, 128),
    ):
        if not 1 <= len(value) <= limit:
            raise InvalidInput(f"{name} has 1 to {limit} characters", reason="FIELD_REQUIRED", field=name)


def _key(session_id: str) -> str:
    return f"dialogue/{session_id[:128]}"
