"""The skills' phrases of one language, with their slots filled: text to make models of, and to test them with.

Sessions' models are made of the same phrases (`services/asr/engines/pocketsphinx/phrases.py`), in a hurry; here are
more draws.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from services.asr.engines.pocketsphinx.spoken_forms import spoken_forms
from services.asr.grammar import GrammarClass, PhraseGrammar

SKILLS = Path("skills")
_SLOT = re.compile(r"\{(\w+)(?:\|([^{}]*))?\}")
_TYPED = 0.7  # of the fillers of a slot that has examples too
_DRAWS = 60  # of a phrase with slots
_COVER = 0.8  # draws per filler of a slot, over all the phrases that have it
_COUNT = 40.0  # sentences that an average phrase counts as

_Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class _Fillers:
    texts: Sequence[str]
    weights: Sequence[float]

    def draw(self, rng: random.Random) -> str:
        return rng.choices(self.texts, self.weights)[0]


@dataclass(frozen=True)
class Phrase:
    """One phrase of a skill: words and what may stand in its slots, in turn."""

    skill: str
    parts: tuple[str | _Fillers, ...]
    draws: int

    def filled(self, rng: random.Random) -> str:
        """A sentence; empty where a word came twice ("at" in the phrase and in what fills it)."""
        words = " ".join(part if isinstance(part, str) else part.draw(rng) for part in self.parts).lower().split()
        return " ".join(words) if all(first != second for first, second in pairwise(words)) else ""


def manifests(skills: Path = SKILLS) -> Iterator[_Manifest]:
    for path in sorted(skills.glob("*/manifest.yaml")):
        yield yaml.safe_load(path.read_text(encoding="utf-8"))


def grammar(language: str, skills: Path = SKILLS) -> PhraseGrammar:
    """All phrases as a session brings them; those of a skill that has few count more each."""
    found: list[tuple[str, float]] = []
    classes: dict[str, GrammarClass] = {}
    for manifest in manifests(skills):
        count = sum(len(intent["phrases"].get(language, ())) for intent in manifest["intents"])
        for intent in manifest["intents"]:
            name = f"{manifest['skill_id']}_{intent['name']}_"
            texts = intent["phrases"].get(language, ())
            found += [(_SLOT.sub(rf"{{{name}\1}}", text), count**-0.5) for text in texts]
            for slot in intent.get("slots", ()):
                value_type = str(slot["value_type"]).upper().replace("TEXT", "")
                entries = tuple(_entries(manifest, slot, texts, language).items())
                classes[name + slot["name"]] = GrammarClass(name + slot["name"], entries, value_type)
    return PhraseGrammar(tuple(found), tuple(classes.values()))


def phrases(language: str, skills: Path = SKILLS) -> Iterator[Phrase]:
    for manifest in manifests(skills):
        for intent in manifest["intents"]:
            texts = intent["phrases"].get(language, ())
            slots = {slot["name"]: _fillers(manifest, slot, texts, language) for slot in intent.get("slots", ())}
            for text in texts:
                pieces = _SLOT.split(text)
                uses = [sum(f"{{{name}" in each for each in texts) for name in pieces[1::3]]
                cover = [_COVER * len(slots[name].texts) / use for name, use in zip(pieces[1::3], uses, strict=True)]
                # re.split gives words, a slot's name and its example in turn
                parts = [slots[piece] if at % 3 else piece for at, piece in enumerate(pieces) if at % 3 < 2]
                yield Phrase(manifest["skill_id"], tuple(parts), int(max(_DRAWS, *cover)) if cover else 1)


def sentences(language: str, count: int, seed: int, skills: Path = SKILLS) -> list[str]:
    """Commands as people would say them: as many of each skill, all different."""
    rng = random.Random(seed)
    by_skill: dict[str, list[Phrase]] = {}
    for phrase in phrases(language, skills):
        by_skill.setdefault(phrase.skill, []).append(phrase)
    found: dict[str, None] = {}
    while len(found) < count:
        for of_skill in by_skill.values():
            found.setdefault(rng.choice(of_skill).filled(rng) or next(iter(found), ""))
    return [text for text in found if text][:count]


def weighted_sentences(language: str, seed: int, skills: Path = SKILLS) -> Iterator[tuple[str, float]]:
    """Every phrase, those with slots many times. A skill that has few phrases gets more for each."""
    rng = random.Random(seed)
    listed = list(phrases(language, skills))
    of_skill = {skill: sum(phrase.skill == skill for phrase in listed) for skill in {each.skill for each in listed}}
    total = sum(of_skill[phrase.skill] ** -0.5 for phrase in listed)
    for phrase in listed:
        weight = _COUNT * len(listed) * of_skill[phrase.skill] ** -0.5 / total / phrase.draws
        drawn = (phrase.filled(rng) for _ in range(phrase.draws))
        yield from ((text, weight) for text in drawn if text)


def _fillers(manifest: _Manifest, slot: Mapping[str, Any], texts: Sequence[str], language: str) -> _Fillers:
    """The examples in the phrases, the names in the catalogue, and the spoken forms of the type."""
    entries = _entries(manifest, slot, texts, language)
    typed = spoken_forms(language, str(slot["value_type"]).upper())
    share = (_TYPED if typed else 0.0) if entries else 1.0
    own = [weight * (1.0 - share) / sum(entries.values()) for weight in entries.values()]
    return _Fillers([*entries, *(text for text, _ in typed)], [*own, *(weight * share for _, weight in typed)])


def _entries(manifest: _Manifest, slot: Mapping[str, Any], texts: Sequence[str], language: str) -> dict[str, float]:
    entries: dict[str, float] = {}
    for text in texts:
        for name, example in _SLOT.findall(text):
            if name == slot["name"] and example:
                entries[example] = entries.get(example, 0.0) + 1.0
    for catalogue in manifest.get("catalogues", ()):
        if catalogue["name"] == slot.get("catalogue"):
            for entry in catalogue["entries"]:
                for name in entry["names"].get(language, ()):
                    entries[name] = entries.get(name, 0.0) + float(entry.get("weight", 1))
    return entries
