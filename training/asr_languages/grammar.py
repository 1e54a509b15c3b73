"""The skills' phrases of one language, as a grammar to make models of and as sentences to test them with."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from services.asr.engines.spoken_forms import spoken_forms
from services.asr.grammar import GrammarClass, PhraseGrammar

SKILLS = Path("skills")
_SLOT = re.compile(r"\{(\w+)(?:\|([^{}]*))?\}")

_Manifest = Mapping[str, Any]


def grammar(language: str, skills: Path = SKILLS) -> PhraseGrammar:
    """All phrases; those of a skill that has few count more each, or nobody would be heard asking for the time."""
    phrases: list[tuple[str, float]] = []
    classes: dict[str, GrammarClass] = {}
    for manifest in manifests(skills):
        found = [(intent, text) for intent in manifest["intents"] for text in intent["phrases"].get(language, ())]
        for intent, text in found:
            phrases.append((_named(manifest, intent, text), len(found) ** -0.5))
        for intent in manifest["intents"]:
            for slot in intent.get("slots", ()):
                name = _class_name(manifest, intent, slot["name"])
                classes[name] = GrammarClass(name, *_fillers(manifest, intent, slot, language))
    return PhraseGrammar(tuple(phrases), tuple(classes.values()))


def manifests(skills: Path = SKILLS) -> Iterator[_Manifest]:
    for path in sorted(skills.glob("*/manifest.yaml")):
        yield yaml.safe_load(path.read_text(encoding="utf-8"))


def sentences(language: str, count: int, seed: int, skills: Path = SKILLS) -> list[str]:
    """Commands as people would say them: as many of each skill, slots filled by their weights."""
    rng = random.Random(seed)
    by_skill = {
        manifest["skill_id"]: [(intent, text) for intent in manifest["intents"] for text in intent["phrases"][language]]
        for manifest in manifests(skills)
    }
    listed = {manifest["skill_id"]: manifest for manifest in manifests(skills)}
    found: dict[str, None] = {}
    while len(found) < count:
        for skill, phrases in by_skill.items():
            intent, text = rng.choice(phrases)
            found[_filled(listed[skill], intent, text, language, rng)] = None
    return list(found)[:count]


def _filled(manifest: _Manifest, intent: _Manifest, text: str, language: str, rng: random.Random) -> str:
    slots = {slot["name"]: slot for slot in intent.get("slots", ())}

    def said(match: re.Match[str]) -> str:
        entries, value_type = _fillers(manifest, intent, slots[match[1]], language)
        typed = [*spoken_forms(language, value_type)]
        choices = typed if typed and (not entries or rng.random() < 0.7) else list(entries)
        texts, weights = zip(*choices, strict=True) if choices else ((match[2],), (1.0,))
        return str(rng.choices(texts, weights)[0])

    return " ".join(_SLOT.sub(said, text).split())


def _fillers(
    manifest: _Manifest, intent: _Manifest, slot: _Manifest, language: str
) -> tuple[tuple[tuple[str, float], ...], str]:
    """Entries of a slot, from the examples in its phrases and its catalogue, and the type whose forms it takes."""
    entries: dict[str, float] = {}
    for text in intent["phrases"].get(language, ()):
        for name, example in _SLOT.findall(text):
            if name == slot["name"] and example:
                entries[example] = entries.get(example, 0.0) + 1.0
    for catalogue in manifest.get("catalogues", ()):
        if catalogue["name"] == slot.get("catalogue"):
            for entry in catalogue["entries"]:
                for name in entry["names"].get(language, ()):
                    entries[name] = entries.get(name, 0.0) + float(entry.get("weight", 1))
    return tuple(entries.items()), str(slot["value_type"]).upper().replace("TEXT", "")


def _named(manifest: _Manifest, intent: _Manifest, text: str) -> str:
    return _SLOT.sub(lambda match: f"{{{_class_name(manifest, intent, match[1])}}}", text)


def _class_name(manifest: _Manifest, intent: _Manifest, slot: str) -> str:
    return f"{manifest['skill_id']}_{intent['name']}_{slot}"[:64]


def words_of(texts: Sequence[str]) -> set[str]:
    return {word for text in texts for word in text.split()}
