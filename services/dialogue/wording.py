"""Finds the assistant's words for a turn, by rule: by the purpose the caller names and, where that is open, by the
conversation's own intents and acts.

`manager.py` calls `words`. What skills can do is said in the words of `languages/`; a skill that those do not know is
spoken of by what one can say to it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from services.dialogue.asked import Act, Asked, Choice, Purpose, Question, Skill, Words
from services.dialogue.sentences import SENTENCES, Sentences
from services.dialogue.state import DialogueState

MAX_EXAMPLES: Final = 2
"""Examples in one sentence: the ear keeps no more."""

MAX_ABILITIES: Final = 3
"""Abilities in one sentence, likewise."""

MAX_READ_BACK: Final = 200
"""Characters of a command that is read back whole."""

_APOLOGIES: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("SKILL_TIMEOUT", "SKILL_TOO_LATE", "DEADLINE_EXCEEDED", "CIRCUIT_OPEN", "DIALOGUE_TIMEOUT"), "too_slow"
    ),
    "UNKNOWN_EFFECT": "unknown_effect",
    **dict.fromkeys(("ASR_UNAVAILABLE", "ASR_TIMEOUT", "RECOGNIZER_LOST", "RECOGNIZER_UNAVAILABLE"), "deaf"),
    **dict.fromkeys(("NLU_UNAVAILABLE", "NLU_TIMEOUT", "UNDERSTANDING_UNAVAILABLE"), "confused"),
    **dict.fromkeys(("OVERLOADED", "RESOURCE_EXHAUSTED", "SESSIONS_FULL", "QUEUE_FULL", "DRAINING"), "busy"),
    **dict.fromkeys(("SKILL_NOT_PERMITTED", "PERMISSION_DENIED", "CONSENT"), "not_permitted"),
}
"""Reasons that have an apology of their own; `STORAGE_…` have one together, all others the plainest."""

_NOTHING_HEARD: Final = frozenset({"NO_SPEECH", "NOTHING_HEARD", "SPEECH_TOO_SHORT"})
_WRONG_LANGUAGE: Final = frozenset({"LOCALE", "LOCALE_NOT_SERVED", "WRONG_LANGUAGE"})
_PLACEHOLDER: Final = re.compile(r"\{([a-z][a-z0-9_]*)(?:\|[^{}]*)?\}")


def words(asked: Asked, locale: str, state: DialogueState | None) -> Words:
    """The words in a served language; `state` is that before the turn, if there is one."""
    say = SENTENCES[locale]
    return _fitted(_words(asked, say, state), asked.max_length)


def wrong_language(locale: str) -> Words:
    """Which languages are spoken, in one of them."""
    return Words(SENTENCES[locale].languages, (Act.NEGATE, Act.INFORM))


def _words(asked: Asked, say: Sentences, state: DialogueState | None) -> Words:
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
            return _apology(asked, say)
        case Purpose.FALLBACK:
            return _fallback(asked, say)
    return _conversation(asked, say, state)


def _fitted(words: Words, limit: int) -> Words:
    """As many whole sentences as fit, at least the first. Questions are not cut: half of one asks something else."""
    if not limit or len(words.text) <= limit or words.question is not None or words.prompt:
        return words
    first, *others = re.split(r"(?<=[.!?]) ", words.text)
    text = first
    for sentence in others:
        if len(text) + 1 + len(sentence) > limit:
            break
        text += f" {sentence}"
    return replace(words, text=text)


# --- questions -----------------------------------------------------------------------------------------------------
def _confirm(asked: Asked, say: Sentences) -> Words:
    """What will be done, in the intent's own words where they say all of it; else what was heard."""
    command = _read_back(asked)
    heard = asked.text.strip().rstrip(".!?") or asked.intent
    text = say.confirm.format(text=_capital(command)) if command else say.confirm_heard.format(text=heard)
    choices = (Choice("yes", say.answer_yes), Choice("no", say.answer_no))
    return Words(text, (Act.CONFIRM,), Question(_prompt_id(asked), asked.purpose, text, choices=choices))


def _read_back(asked: Asked) -> str:
    """A phrase of the intent that takes all of the reading's slots: the user's own if it is one, else the first."""
    said = {slot.name: slot.text for slot in asked.slots if slot.text}
    if len(said) != len(asked.slots):  # a value without words, or several for one slot: no phrase can tell all
        return ""
    filled = [_filled(phrase, said) for phrase in asked.phrases if sorted(_PLACEHOLDER.findall(phrase)) == sorted(said)]
    heard = asked.text.strip().rstrip(".!?").casefold()
    chosen = next((phrase for phrase in filled if phrase.casefold() == heard), filled[0] if filled else "")
    return chosen if len(chosen) <= MAX_READ_BACK else ""


def _filled(phrase: str, said: Mapping[str, str]) -> str:
    """The phrase with its slots; an article that both the phrase and the slot have is said once."""
    text = ""
    at = 0
    for match in _PLACEHOLDER.finditer(phrase):
        before, value = phrase[at : match.start()], said[match[1]]
        last, first = before.split()[-1:], value.split()[:1]
        if last and first and last[0].casefold() == first[0].casefold():
            value = value.partition(" ")[2] or value
        text += before + value
        at = match.end()
    return text + phrase[at:]


def _clarify(asked: Asked, say: Sentences) -> Words:
    choices = tuple(Choice(skill.skill_id, skill.name) for skill in asked.skills)
    if len({choice.text for choice in choices}) < 2:
        question = Question(_prompt_id(asked), asked.purpose, say.choose_open)
        return Words(say.choose_open, (Act.REQUEST,), question)
    text = say.choose.format(choices=_listed([choice.text for choice in choices], say.or_word))
    return Words(text, (Act.REQUEST,), Question(_prompt_id(asked), asked.purpose, text, choices=choices))


# --- when nothing fits, or something broke -------------------------------------------------------------------------
def _fallback(asked: Asked, say: Sentences) -> Words:
    if asked.reason == "DENIED_BY_USER":
        return Words(say.declined, (Act.ACKNOWLEDGE,))
    if asked.reason in _NOTHING_HEARD:
        return Words(_one_of(say.nothing_heard, asked.turn_id), (Act.NEGATE, Act.REQUEST))
    if asked.reason in _WRONG_LANGUAGE:
        return Words(say.languages, (Act.NEGATE, Act.INFORM))
    if asked.reason == "LOW_CONFIDENCE":
        return Words(_one_of(say.not_understood, asked.turn_id), (Act.NEGATE, Act.REQUEST))
    cannot, able = _one_of(say.cannot, asked.turn_id), _abilities(asked, say)
    offer = able or _examples(asked, say)
    return Words(f"{cannot} {offer}", (Act.NEGATE, Act.OFFER)) if offer else Words(cannot, (Act.NEGATE,))


def _apology(asked: Asked, say: Sentences) -> Words:
    if asked.reason in _NOTHING_HEARD or asked.reason in _WRONG_LANGUAGE:
        return _fallback(asked, say)
    kind = "storage" if asked.reason.startswith("STORAGE_") else _APOLOGIES.get(asked.reason, "failed")
    return Words(say.apologies[kind], (Act.NOTIFY_FAILURE,))


# --- the conversation's own ----------------------------------------------------------------------------------------
def _conversation(asked: Asked, say: Sentences, state: DialogueState | None) -> Words:
    """By the intent that was read, else by the user's likeliest act."""
    intent = asked.intent.removeprefix("dialogue.") if asked.intent.startswith("dialogue.") else ""
    act = asked.acts[0] if asked.acts else ""
    if intent == "greeting" or (not intent and act == "GREET"):
        return Words(_greeting(asked.hour, say), (Act.GREET,))
    if intent == "thanks" or (not intent and act == "THANK"):
        return Words(_one_of(say.thanks, asked.turn_id), (Act.ACKNOWLEDGE,))
    if intent == "goodbye" or (not intent and act == "BYE"):
        return Words(_one_of(say.goodbye, asked.turn_id), (Act.BYE,))
    if intent == "repeat" or (not intent and act == "REPEAT"):
        return _repeated(say, state)
    if intent == "help":
        return _help(asked, say)
    if intent == "stop":
        return Words(say.stop, (Act.ACKNOWLEDGE,))
    return _fallback(asked, say)


def _repeated(say: Sentences, state: DialogueState | None) -> Words:
    """The last words once more; a question that is open stays open."""
    last = next((past.answer for past in state.past if past.answer), "") if state else ""
    if not last or state is None:
        return Words(say.nothing_said, (Act.INFORM,))
    return Words(last, (Act.INFORM,), prompt=state.pending)


def _help(asked: Asked, say: Sentences) -> Words:
    parts = [part for part in (_abilities(asked, say), _examples(asked, say)) if part]
    return Words(" ".join(parts) or say.help_without, (Act.INFORM, Act.OFFER))


def _greeting(hour: int | None, say: Sentences) -> str:
    if hour is None:
        return say.day
    return say.morning if 4 <= hour < 11 else say.evening if hour >= 18 or hour < 4 else say.day


# --- what skills can do --------------------------------------------------------------------------------------------
def _abilities(asked: Asked, say: Sentences) -> str:
    """What some of the user's skills can do; other ones in other turns."""
    able = [say.skills[skill.skill_id] for skill in _shuffled(asked, say) if say.skills.get(skill.skill_id)]
    return say.abilities.format(abilities=_listed(able[:MAX_ABILITIES], say.and_word)) if able else ""


def _examples(asked: Asked, say: Sentences) -> str:
    """One example of each of some skills."""
    found = [_one_of(skill.examples, asked.turn_id) for skill in _shuffled(asked, say) if skill.examples]
    return say.try_saying.format(examples=_listed(found[:MAX_EXAMPLES], say.or_word)) if found else ""


def _shuffled(asked: Asked, say: Sentences) -> list[Skill]:
    """Skills that are abilities, in an order that is the turn's own."""
    able = [skill for skill in asked.skills if say.skills.get(skill.skill_id) != ""]
    return sorted(able, key=lambda skill: _digest(f"{asked.turn_id} {skill.skill_id}"))


# --- putting words together ----------------------------------------------------------------------------------------
def _listed(items: Sequence[str], last: str) -> str:
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _one_of(ways: Sequence[str], turn_id: str) -> str:
    """One of several ways to say it, the same for a repeat of the turn."""
    return ways[_digest(turn_id)[0] % len(ways)]


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()


def _prompt_id(asked: Asked) -> str:
    return f"{asked.purpose}-{hashlib.blake2b(asked.key.encode('utf-8', 'replace'), digest_size=6).hexdigest()}"
