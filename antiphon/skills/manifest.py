"""Reads a skill's manifest from YAML into the contract's message.

Skills call it when they are imported, so that a mistake stops the start and names its place. The YAML has the fields of
`antiphon.skill.v1.SkillManifest`, with two conveniences: what is said in several languages is a table by locale, and
enum values go by their short names (`risk: low`, `value_type: place`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from google.protobuf import json_format

from antiphon.skill.v1 import manifest_pb2


class ManifestError(ValueError):
    """The manifest is wrong; the message says where."""


def load_manifest(path: Path) -> manifest_pb2.SkillManifest:
    """The manifest in a YAML file. Raises ManifestError (also when the file cannot be read)."""
    try:
        return read_manifest(path.read_text(encoding="utf-8"), str(path.name))
    except OSError as error:
        raise ManifestError(f"{path.name}: {error.strerror}") from error


def read_manifest(text: str, name: str = "manifest") -> manifest_pb2.SkillManifest:
    """The manifest in a YAML text; `name` stands in errors."""
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ManifestError(f"{name}: not YAML: {error}") from error
    if not isinstance(read, Mapping):
        raise ManifestError(f"{name}: a table of the manifest's fields")
    try:
        manifest = json_format.ParseDict(_expanded(read), manifest_pb2.SkillManifest())
    except (json_format.ParseError, AttributeError, TypeError) as error:
        raise ManifestError(f"{name}: {error}") from error
    _check(manifest, name)
    return manifest


def _expanded(read: Mapping[str, Any]) -> dict[str, Any]:
    """The YAML as the contract's JSON form."""
    return _replaced(
        read,
        display_names=_localized,
        descriptions=_localized,
        permissions=lambda names: [_enum("PERMISSION", name) for name in names],
        intents=lambda intents: [_intent(intent) for intent in intents],
        catalogues=lambda catalogues: [_catalogue(catalogue) for catalogue in catalogues],
    )


def _intent(intent: Mapping[str, Any]) -> dict[str, Any]:
    return _replaced(
        intent,
        risk=lambda name: _enum("RISK", name),
        side_effect=lambda name: _enum("SIDE_EFFECT", name),
        phrases=lambda table: [{"language_code": tag, "phrases": phrases} for tag, phrases in table.items()],
        slots=lambda slots: [_slot(slot) for slot in slots],
        permissions=lambda names: [_enum("PERMISSION", name) for name in names],
        timeout=lambda seconds: f"{seconds}s",
    )


def _slot(slot: Mapping[str, Any]) -> dict[str, Any]:
    return _replaced(slot, value_type=lambda name: _enum("VALUE_TYPE", name), prompts=_localized)


def _catalogue(catalogue: Mapping[str, Any]) -> dict[str, Any]:
    def entry(fields: Mapping[str, Any]) -> dict[str, Any]:
        return _replaced(fields, names=_localized)

    return _replaced(catalogue, entries=lambda entries: [entry(fields) for fields in entries])


def _replaced(fields: Mapping[str, Any], **readers: Callable[[Any], Any]) -> dict[str, Any]:
    return {name: readers[name](value) if name in readers else value for name, value in fields.items()}


def _localized(table: Mapping[str, Any]) -> list[dict[str, str]]:
    """`{en: Clock, de: [Uhr, Zeit]}` as a list of LocalizedText."""
    return [
        {"language_code": tag, "text": text}
        for tag, value in table.items()
        for text in (value if isinstance(value, list) else [value])
    ]


def _enum(prefix: str, name: str) -> str:
    return f"{prefix}_{name.upper()}"


_REQUIRED: Final = ("skill_id", "version", "locales", "intents")


def _check(manifest: manifest_pb2.SkillManifest, name: str) -> None:
    """What a skill's author should hear at once; the registry checks everything else."""
    for field in _REQUIRED:
        if not getattr(manifest, field):
            raise ManifestError(f"{name}: {field} is missing")
    for number, intent in enumerate(manifest.intents):
        where = f"{name}: intents[{number}]"
        if not intent.name:
            raise ManifestError(f"{where}.name is missing")
        if not intent.risk or not intent.side_effect:
            raise ManifestError(f"{where}: say risk and side_effect; unsaid they count as the worst")
