"""Dialogue acts of the user: yes and no by rule, the others from the intent.

The servicer calls `dialogue_acts` when a request asks for acts. A short answer to a question ("yeah sure", "nein
danke") is told by its words alone: it is a yes if it holds a yes-word and nothing else but filler, a no likewise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from services.nlu.text import tokenise
from services.nlu.understanding import Understanding


class Act(StrEnum):
    """The acts this engine tells; names as in the contract's `DialogueActType`."""

    AFFIRM = "AFFIRM"
    DENY = "DENY"
    GREET = "GREET"
    THANK = "THANK"
    BYE = "BYE"
    REPEAT = "REPEAT"
    REQUEST = "REQUEST"


@dataclass(frozen=True, slots=True)
class DialogueAct:
    """One act with its probability, and the skill it is about (empty if none)."""

    act: Act
    confidence: float
    domain: str = ""


SAID_PLAINLY = 0.95
"""Of a yes or no by rule: what is left is that it was meant for somebody else."""

_YES: Mapping[str, str] = {
    "en": "yes yeah yep yup sure ok okay right correct absolutely definitely affirmative indeed exactly certainly",
    "de": "ja jawohl klar okay ok genau richtig stimmt gerne sicher natürlich doch",
    "fr": "oui ouais ok okay bien d'accord exact exactement certainement absolument",
    "es": "sí si vale ok okay claro correcto exacto exactamente cierto",
    "it": "sì si certo ok okay esatto esattamente giusto corretto",
}
_NO: Mapping[str, str] = {
    "en": "no nope nah negative never not don't wrong incorrect",
    "de": "nein nee nö nicht niemals falsch keinesfalls",
    "fr": "non pas jamais faux",
    "es": "no nunca jamás incorrecto tampoco",
    "it": "no non mai sbagliato neanche",
}
_FILLERS: Mapping[str, str] = {
    "en": "please thanks thank you do it that's that is go ahead of course i am the one thing course do all so very",
    "de": "bitte danke das ist mach es auf jeden fall so tu mach's auf keinen",
    "fr": "s'il te vous plaît merci c'est ça sûr fais le vas y du tout",
    "es": "por favor gracias eso es hazlo que supuesto en absoluto",
    "it": "per favore grazie fallo è così va bene di che affatto",
}
_FROM_INTENT = {
    "dialogue.greeting": Act.GREET,
    "dialogue.thanks": Act.THANK,
    "dialogue.goodbye": Act.BYE,
    "dialogue.repeat": Act.REPEAT,
}


def dialogue_acts(understanding: Understanding) -> tuple[DialogueAct, ...]:
    """Acts of the utterance, a plain yes or no before all others, then surest first; none where none is sure."""
    plain = [DialogueAct(act, SAID_PLAINLY) for act in _plain_answer(understanding)]
    acts = []
    for reading in understanding.interpretations:
        if reading.out_of_scope:
            continue
        act = _FROM_INTENT.get(reading.intent)
        if act is None and reading.skill != "dialogue":
            act = Act.REQUEST
        if act is not None:
            acts.append(DialogueAct(act, reading.intent_confidence, reading.skill if act is Act.REQUEST else ""))
    return (*plain, *sorted(acts, key=lambda one: -one.confidence))


def _plain_answer(understanding: Understanding) -> list[Act]:
    """From the first alternative: a yes that only a worse guess holds is none to act on."""
    language = understanding.language.partition("-")[0]
    words = {token.norm for token in tokenise(understanding.texts[0]) if token.norm[0].isalpha()}
    yes, no = _words(_YES, language), _words(_NO, language)
    if not words & (yes | no) or words - yes - no - _words(_FILLERS, language):
        return []
    return [Act.DENY] if words & no else [Act.AFFIRM]


def _words(table: Mapping[str, str], language: str) -> frozenset[str]:
    return frozenset(table.get(language, "").split())
