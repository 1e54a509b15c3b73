"""Dialogue acts of the user: yes and no by rule, the others from the intent.

The servicer calls `dialogue_acts` when a request asks for acts. A short answer to a question ("yeah sure", "nein
danke", "go ahead") is told by its words alone: it is a yes if it holds one and nothing else but filler, a no likewise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

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
    "en": "yes|yeah|yep|yup|sure|ok|okay|right|correct|absolutely|definitely|affirmative|indeed|exactly|certainly|"
    "of course|go ahead|go for it|do it|do that|do so|please do|that's it|that is it|that's the one|fine|alright|"
    "sounds good|why not|by all means|perfect|great",
    "de": "ja|jawohl|klar|ok|okay|genau|richtig|stimmt|gern|gerne|sicher|natürlich|doch|mach es|mach das|mach's|tu es|"
    "tu das|auf jeden fall|einverstanden|passt|in ordnung|alles klar|nur zu|perfekt|unbedingt",
    "fr": "oui|ouais|ok|okay|bien|d'accord|exact|exactement|certainement|absolument|bien sûr|vas y|fais le|c'est ça|"
    "ça marche|ça va|parfait|entendu|volontiers|tout à fait|si",
    "es": "sí|si|vale|ok|okay|claro|correcto|exacto|exactamente|cierto|por supuesto|hazlo|adelante|de acuerdo|"
    "está bien|perfecto|dale|eso es|desde luego",
    "it": "sì|si|certo|ok|okay|esatto|esattamente|giusto|corretto|va bene|fallo|d'accordo|certamente|perfetto|"
    "procedi|volentieri|è così|come no",
}
_NO: Mapping[str, str] = {
    "en": "no|nope|nah|negative|never|not|don't|wrong|incorrect|no way|rather not|i don't think so",
    "de": "nein|nee|nö|nicht|niemals|falsch|keinesfalls|auf keinen fall|lieber nicht|bloß nicht",
    "fr": "non|pas|jamais|faux|surtout pas|pas du tout",
    "es": "no|nunca|jamás|incorrecto|tampoco|en absoluto|mejor no|de ninguna manera",
    "it": "no|non|mai|sbagliato|neanche|meglio di no|niente affatto|assolutamente no",
}
_FILLERS: Mapping[str, str] = {
    "en": "please|thanks|thank|you|do|it|that's|that|is|i|am|the|one|thing|all|so|very|now|um|uh|well|oh|then|just|"
    "at all|really|quite",
    "de": "bitte|danke|das|ist|mach|es|so|tu|äh|ähm|na|also|dann|jetzt|schon|ganz|sehr|lieber|aber|schön|vielen dank",
    "fr": "s'il|te|vous|plaît|plait|merci|c'est|ça|fais|le|euh|alors|mais|maintenant|très|ah|oh|bon",
    "es": "por favor|gracias|eso|es|que|eh|bueno|pues|ahora|muy|muchas|mejor|entonces|ah",
    "it": "per favore|per piacere|grazie|è|così|bene|di|che|affatto|eh|allora|adesso|ora|molto|meglio|ah|beh",
}
_LONGEST = 4  # words of one of these
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
    words = [token.norm for token in tokenise(understanding.texts[0]) if token.norm[0].isalpha()]
    tables = [_phrases(table.get(language, "")) for table in (_YES, _NO, _FILLERS)]
    said: set[int] = set()
    at = 0
    while at < len(words):
        fitting = [
            (length, which)
            for length in range(min(_LONGEST, len(words) - at), 0, -1)
            for which, table in enumerate(tables)
            if tuple(words[at : at + length]) in table
        ]
        if not fitting:
            return []
        said.add(fitting[0][1])
        at += fitting[0][0]
    return [Act.DENY] if 1 in said else [Act.AFFIRM] if 0 in said else []


@cache
def _phrases(table: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(phrase.split()) for phrase in table.split("|"))
