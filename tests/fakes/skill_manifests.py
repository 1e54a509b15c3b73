"""Skills for tests of understanding: made from short tables, or read from the manifests of the built-in ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from antiphon.skill.v1 import manifest_pb2
from antiphon.skills.manifest import load_manifest
from services.nlu.library import SkillLibrary
from services.nlu.manifests import skill_of
from services.nlu.skills import Intent, Skill, SlotSpec
from services.nlu.values.entities import Catalogue
from services.runtime.store import MemorySessionStore, SessionStore, StoreLimits

SKILLS = Path(__file__).parents[2] / "skills"


def empty_library(store: SessionStore | None = None) -> SkillLibrary:
    """A library that reads manifests as the service does."""
    kept = store or MemorySessionStore(limits=StoreLimits(max_value_bytes=8_000_000))
    return SkillLibrary(kept, lambda wire: skill_of(manifest_pb2.SkillManifest.FromString(wire)))


def built_in(name: str) -> manifest_pb2.SkillManifest:
    """The manifest of a built-in skill."""
    return load_manifest(SKILLS / name / "manifest.yaml")


def built_in_names() -> list[str]:
    return sorted(path.parent.name for path in SKILLS.glob("*/manifest.yaml"))


def skill(
    skill_id: str,
    intents: Mapping[str, Mapping[str, Sequence[str]]],
    slots: Mapping[str, str] | None = None,
    *,
    negatives: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    catalogues: tuple[Catalogue, ...] = (),
    **fields: Any,
) -> Skill:
    """A skill whose intents all have the same slots.

    Args:
        intents: name -> locale -> phrases.
        slots: name -> type; "!" after the type makes it required, "@name" gives its catalogue.
    """
    specs = tuple(_slot(name, said) for name, said in (slots or {}).items())
    made = tuple(
        Intent(
            skill_id,
            name,
            specs,
            {locale: tuple(said) for locale, said in phrases.items()},
            {locale: tuple(said) for locale, said in (negatives or {}).get(name, {}).items()},
        )
        for name, phrases in intents.items()
    )
    locales = tuple(dict.fromkeys(locale for phrases in intents.values() for locale in phrases))
    return Skill(skill_id, "1.0.0", locales, made, catalogues, **fields)


def _slot(name: str, said: str) -> SlotSpec:
    kind, _, catalogue = said.rstrip("!").partition("@")
    return SlotSpec(name, kind, catalogue, required=said.endswith("!"))
