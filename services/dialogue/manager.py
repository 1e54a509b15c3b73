"""Takes a turn into the state of its conversation and finds the assistant's words for it.

The servicer calls it. Words are chosen by rule: by the purpose the caller names and, where that is open, by the
conversation's own intents and acts. The state is written by compare-and-set and once per idempotency key.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from services.dialogue.sentences import SENTENCES, Sentences
from services.dialogue.state import DialogueState, PastTurn, Reply, Slot, decoded, encoded
from services.runtime.errors import Conflict, FailedPrecondition, InvalidInput, NotFound
from services.runtime.language import best_supported
from services.runtime.store import ABSENT, SessionStore

ATTEMPTS: Final = 3
"""Tries to write the state when other turns of the session are faster."""

MAX_EXAMPLES: Final = 2
"""Examples in one sentence: the ear keeps no more."""


class Purpose(StrEnum):
    """Why the words are wanted."""

    OPEN = "open"
    CONFIRM = "confirm"
    CLARIFY = "clarify"
    ELICIT_SLOT = "elicit_slot"
    FALLBACK = "fallback"
    APOLOGIZE = "apologize"
    TRACK = "track"
    PROGRESS = "progress"


class Act(StrEnum):
    """Dialogue acts, by the contract's names."""

    ACKNOWLEDGE = "ACKNOWLEDGE"
    BYE = "BYE"
    INFORM = "INFORM"
    REPEAT = "REPEAT"
    REQUEST = "REQUEST"
    THANK = "THANK"
    CONFIRM = "CONFIRM"
    GREET = "GREET"
    NEGATE = "NEGATE"
    NOTIFY_FAILURE = "NOTIFY_FAILURE"
    OFFER = "OFFER"


@dataclass(frozen=True)
class Skill:
    """A skill as the assistant speaks of it."""

    skill_id: str
    name: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choice:
    """An answer that a question offers."""

    choice_id: str
    text: str


@dataclass(frozen=True)
class Question:
    """A question to the user. `kind` is the purpose it was asked for."""

    prompt_id: str
    kind: Purpose
    text: str
    slot: str = ""
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True)
class Asked:
    """A turn of the user and why words are wanted for it.

    Attributes:
        intent: of the best reading, `dialogue.greeting` for the conversation's own.
        acts: the user's dialogue acts, the likeliest first.
        hour: hour of the user's day; None when it is not known.
        max_length: most code points of the answer; 0 for no limit.
        skill_answer: what a skill has answered, for TRACK.
        reading: the best reading, serialised.
    """

    session_id: str
    turn_id: str
    key: str
    locale: str
    purpose: Purpose
    text: str = ""
    reason: str = ""
    intent: str = ""
    skill_id: str = ""
    acts: tuple[str, ...] = ()
    slots: tuple[Slot, ...] = ()
    skills: tuple[Skill, ...] = ()
    slot: str = ""
    question: str = ""
    skill_answer: str = ""
    reading: bytes = b""
    hour: int | None = None
    max_length: int = 0


@dataclass(frozen=True)
class Words:
    """What is said, what it does, and whether it asks."""

    text: str
    acts: tuple[Act, ...] = ()
    question: Question | None = None


@dataclass(frozen=True)
class Answer:
    """The assistant's part of a turn. `state` is the one after it; `replayed` when it had been given before."""

    words: Words
    locale: str
    state: DialogueState
    replayed: bool = False
    prompt: bytes = b""


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
        locale = served(asked.locale)
        if asked.purpose is Purpose.PROGRESS:
            return Answer(_words(asked, locale, None), locale, DialogueState(asked.session_id))
        for _ in range(ATTEMPTS):
            found = await self.store.get(tenant, _key(asked.session_id))
            state = decoded(asked.session_id, found.value, found.expires_at) if found else None
            if state is not None and asked.key in state.replies:
                return self._replayed(state, asked, locale)
            words = _fitted(_words(asked, locale, state), asked.max_length)
            prompt = self.encode_prompt(words.question, asked) if words.question else b""
            after = self._after(state or DialogueState(asked.session_id), asked, words, prompt)
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
            return Answer(words, locale, replace(after, expires_at=stored.expires_at), prompt=prompt)
        raise Conflict("other turns of this session were faster; repeat", reason="SESSION_CONTENDED")

    async def state(self, tenant: str, session_id: str) -> DialogueState:
        """The state of a conversation. Raises NotFound: no such one, expired, or another tenant's."""
        found = await self.store.get(tenant, _key(session_id)) if session_id else None
        if found is None:
            raise NotFound("no such conversation, or it is over", reason="SESSION_NOT_FOUND", field="session_id")
        return decoded(session_id, found.value, found.expires_at)

    def _after(self, state: DialogueState, asked: Asked, words: Words, prompt: bytes) -> DialogueState:
        answer = asked.skill_answer if asked.purpose is Purpose.TRACK else words.text
        turn = PastTurn(asked.turn_id, asked.text, answer, asked.skill_id, self.now(), asked.reading)
        reply = Reply(words.text, tuple(words.acts), prompt)
        return state.after(turn, asked.slots, prompt, asked.key, reply)

    def _replayed(self, state: DialogueState, asked: Asked, locale: str) -> Answer:
        reply = state.replies[asked.key]
        words = Words(reply.text, tuple(Act(act) for act in reply.acts))
        return Answer(words, locale, state, replayed=True, prompt=reply.prompt)


def served(locale: str) -> str:
    """The language that serves a locale. Raises FailedPrecondition when none does."""
    language = best_supported((locale,), SENTENCES)
    if language is None:
        raise FailedPrecondition(
            f"served languages: {', '.join(sorted(SENTENCES))}", reason="LOCALE_NOT_SERVED", field="language_code"
        )
    return language


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


# --- words ---------------------------------------------------------------------------------------------------------
def _words(asked: Asked, locale: str, state: DialogueState | None) -> Words:
    say = SENTENCES[locale]
    match asked.purpose:
        case Purpose.TRACK:
            return Words("")
        case Purpose.PROGRESS:
            return Words(_one_of(say.progress, asked.turn_id), (Act.ACKNOWLEDGE,))
        case Purpose.CONFIRM:
            return _confirm(asked, say)
        case Purpose.CLARIFY:
            return _clarify(asked, say)
        case Purpose.ELICIT_SLOT:
            text = asked.question or say.ask_open
            question = Question(_prompt_id(asked), asked.purpose, text, asked.slot)
            return Words(text, (Act.REQUEST,), question)
        case Purpose.APOLOGIZE:
            return Words(_apology(asked.reason, say), (Act.NOTIFY_FAILURE,))
        case Purpose.FALLBACK:
            return _fallback(asked, say)
    return _conversation(asked, say, state)


def _fitted(words: Words, limit: int) -> Words:
    """As many whole sentences as fit, at least the first. Questions are not cut: half of one asks something else."""
    if not limit or len(words.text) <= limit or words.question is not None:
        return words
    first, *others = re.split(r"(?<=[.!?]) ", words.text)
    text = first
    for sentence in others:
        if len(text) + 1 + len(sentence) > limit:
            break
        text += f" {sentence}"
    return replace(words, text=text)


def _confirm(asked: Asked, say: Sentences) -> Words:
    text = say.confirm.format(text=asked.text.strip().rstrip(".!?") or asked.intent)
    choices = (Choice("yes", say.yes), Choice("no", say.no))
    return Words(text, (Act.CONFIRM,), Question(_prompt_id(asked), asked.purpose, text, choices=choices))


def _clarify(asked: Asked, say: Sentences) -> Words:
    choices = tuple(Choice(skill.skill_id, skill.name) for skill in asked.skills)
    if len({choice.text for choice in choices}) < 2:
        question = Question(_prompt_id(asked), asked.purpose, say.choose_open)
        return Words(say.choose_open, (Act.REQUEST,), question)
    text = say.choose.format(choices=_listed([choice.text for choice in choices], say))
    return Words(text, (Act.REQUEST,), Question(_prompt_id(asked), asked.purpose, text, choices=choices))


def _fallback(asked: Asked, say: Sentences) -> Words:
    if asked.reason == "DENIED_BY_USER":
        return Words(say.declined, (Act.ACKNOWLEDGE,))
    if asked.reason == "LOW_CONFIDENCE":
        return Words(_one_of(say.not_understood, asked.turn_id), (Act.NEGATE, Act.REQUEST))
    examples = _examples(asked.skills, say)
    if not examples:
        return Words(say.cannot, (Act.NEGATE,))
    return Words(f"{say.cannot} {say.try_saying.format(examples=examples)}", (Act.NEGATE, Act.OFFER))


def _apology(reason: str, say: Sentences) -> str:
    if reason == "UNKNOWN_EFFECT":
        return say.unknown_effect
    return say.too_slow if reason in ("SKILL_TIMEOUT", "DEADLINE_EXCEEDED", "CIRCUIT_OPEN") else say.failed


def _conversation(asked: Asked, say: Sentences, state: DialogueState | None) -> Words:
    """The conversation's own: by the intent that was read, else by the user's likeliest act."""
    intent = asked.intent.removeprefix("dialogue.") if asked.intent.startswith("dialogue.") else ""
    act = asked.acts[0] if asked.acts else ""
    if intent == "greeting" or (not intent and act == "GREET"):
        return Words(_greeting(asked.hour, say), (Act.GREET,))
    if intent == "thanks" or (not intent and act == "THANK"):
        return Words(_one_of(say.thanks, asked.turn_id), (Act.ACKNOWLEDGE,))
    if intent == "goodbye" or (not intent and act == "BYE"):
        return Words(_one_of(say.goodbye, asked.turn_id), (Act.BYE,))
    if intent == "repeat" or (not intent and act == "REPEAT"):
        last = next((past.answer for past in state.past if past.answer), "") if state else ""
        return Words(last or say.nothing_said, (Act.INFORM,))
    if intent == "help":
        examples = _examples(asked.skills, say)
        return Words(say.help.format(examples=examples) if examples else say.help_without, (Act.INFORM, Act.OFFER))
    if intent == "stop":
        return Words(say.stop, (Act.ACKNOWLEDGE,))
    return _fallback(asked, say)


def _greeting(hour: int | None, say: Sentences) -> str:
    if hour is None:
        return say.day
    return say.morning if 4 <= hour < 11 else say.evening if hour >= 18 or hour < 4 else say.day


def _examples(skills: Sequence[Skill], say: Sentences) -> str:
    """One example of each skill, first come first served."""
    return _listed([skill.examples[0] for skill in skills if skill.examples][:MAX_EXAMPLES], say)


def _listed(items: Sequence[str], say: Sentences) -> str:
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {say.or_word} {items[-1]}"


def _one_of(ways: Sequence[str], turn_id: str) -> str:
    """One of several ways to say it, the same for a repeat of the turn."""
    return ways[hashlib.blake2b(turn_id.encode(), digest_size=2).digest()[0] % len(ways)]


def _prompt_id(asked: Asked) -> str:
    return f"{asked.purpose}-{hashlib.blake2b(asked.key.encode(), digest_size=6).hexdigest()}"
