"""The catalogue: what `models.yaml` says of each public model, checked when it is read.

Used by every verb of `commands.py`. The schema is closed: an unknown key, a wrong type or a doubled name is an error
that names the file, the entry and the key. What nobody has verified is left out, and shown as unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from services.runtime.errors import FailedPrecondition, NotFound

PUBLIC = Path(__file__).with_name("models.yaml")
CAPABILITIES = ("activation", "asr", "nlu", "tts", "speaker", "denoise")
ENGINES = ("transducer", "ctc")
"""Engines that can run a model of the catalogue."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_MAX_TEXT = 300
_MAX_FILE_BYTES = 1_000_000
_MAX_SIZE = 20_000_000_000
_REQUIRED = frozenset({"capability", "publisher", "version", "summary", "url"})
_OPTIONAL = frozenset({"size", "sha256", "licence", "licence_source", "locales", "family", "engine", "memory_mb"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A public model.

    Attributes:
        name: unique in the catalogue; also the bundle's, as `publisher/name@version`.
        url: of the archive or file.
        size: bytes of that download; None if unknown.
        sha256: of it, hex; empty if nobody has pinned it.
        licence: of the weights; empty if unknown.
        licence_source: where that is said.
        locales: languages; empty for models that hear or say any.
        family: what kind of network, for people.
        engine: which engine of ours runs it; empty if none does.
        memory_mb: of one loaded copy; None if nobody has measured it.
    """

    name: str
    capability: str
    publisher: str
    version: str
    summary: str
    url: str
    size: int | None = None
    sha256: str = ""
    licence: str = ""
    licence_source: str = ""
    locales: tuple[str, ...] = ()
    family: str = ""
    engine: str = ""
    memory_mb: int | None = None

    @property
    def id(self) -> str:
        """`publisher/name@version`: what it is called once it is installed."""
        return f"{self.publisher}/{self.name}@{self.version}"

    @property
    def file(self) -> str:
        """The name of what is downloaded."""
        return urlsplit(self.url).path.rpartition("/")[2]

    def speaks(self, locale: str) -> bool:
        """Whether it is for this language tag, or a wider one, or for any."""
        asked = locale.lower()
        return not self.locales or any(
            asked == have.lower() or asked.startswith(f"{have.lower()}-") or have.lower().startswith(f"{asked}-")
            for have in self.locales
        )


class _OneOfEach(yaml.SafeLoader):
    """A second entry of a name would otherwise silently replace the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if doubled := [key for key in keys if keys.count(key) > 1]:
            raise ValueError(f"'{doubled[0]}' stands there twice")
        return super().construct_mapping(node, deep)


def read_catalogue(path: Path = PUBLIC) -> tuple[Entry, ...]:
    """All entries, in the order of the file. Raises FailedPrecondition `CATALOGUE_INVALID`."""
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise _wrong(path, f"it is larger than {_MAX_FILE_BYTES} bytes")
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_OneOfEach)  # noqa: S506 - it is a SafeLoader
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise _wrong(path, " ".join(str(error).split())[:_MAX_TEXT]) from None
    if not isinstance(raw, dict) or raw.keys() != {"models"} or not isinstance(raw["models"], dict):
        raise _wrong(path, "it is one table, `models`, of entries by name")
    return tuple(_entry(path, name, given) for name, given in raw["models"].items())


def find(entries: tuple[Entry, ...], name: str) -> Entry:
    """By name or `publisher/name@version`. Raises NotFound `MODEL_UNKNOWN` with the nearest names."""
    for entry in entries:
        if name in (entry.name, entry.id):
            return entry
    near = [entry.name for entry in entries if name.lower() in entry.name.lower()][:5]
    hint = f"; there are {', '.join(near)}" if near else "; `antiphon models list` shows what there is"
    raise NotFound(f"the catalogue has no model '{name}'{hint}", reason="MODEL_UNKNOWN")


def _entry(path: Path, name: object, given: object) -> Entry:
    where = f"entry '{name}'"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _wrong(path, f"{where}: a name is letters, digits, '.', '_' and '-'")
    if not isinstance(given, dict):
        raise _wrong(path, f"{where}: expected a table")
    if unknown := sorted(str(key) for key in given.keys() - _REQUIRED - _OPTIONAL):
        raise _wrong(path, f"{where}: unknown key '{unknown[0]}'")
    if missing := sorted(_REQUIRED - given.keys()):
        raise _wrong(path, f"{where}: key '{missing[0]}' is missing")
    try:
        return Entry(name=name, **_checked(given))
    except ValueError as error:
        raise _wrong(path, f"{where}: {error}") from None


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an entry. Raises ValueError that names the key."""
    values: dict[str, Any] = {key: _text(given, key) for key in given.keys() - {"size", "memory_mb", "locales"}}
    for key, pattern in (("publisher", _NAME), ("version", _NAME), ("sha256", _DIGEST)):
        if values.get(key) and not pattern.fullmatch(values[key]):
            raise ValueError(f"key '{key}': '{values[key][:80]}' is none")
    for key, known in (("capability", CAPABILITIES), ("engine", ENGINES)):
        if values.get(key) and values[key] not in known:
            raise ValueError(f"key '{key}': '{values[key][:80]}', known are {', '.join(known)}")
    for key in _REQUIRED:
        if not values[key]:
            raise ValueError(f"key '{key}': it is empty")
    _check_url(values["url"])
    for key, most in (("size", _MAX_SIZE), ("memory_mb", 1_000_000)):
        if key in given:
            values[key] = _count(given[key], key, most)
    values["locales"] = _locales(given.get("locales", []))
    return values


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given[key]
    if not isinstance(value, str):
        raise ValueError(f"key '{key}': expected text, got {type(value).__name__}")
    if len(value) > _MAX_TEXT or not value.isprintable():
        raise ValueError(f"key '{key}': at most {_MAX_TEXT} printable characters")
    return value


def _count(value: object, key: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= most:
        raise ValueError(f"key '{key}': expected a whole number from 1 to {most}")
    return value


def _locales(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError("key 'locales': expected a list of language tags")
    for tag in value:  # YAML reads an unquoted `no` as false
        if not isinstance(tag, str) or not _LOCALE.fullmatch(tag):
            raise ValueError(f"key 'locales': '{tag}' is no language tag")
    return tuple(value)


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or not parts.path.rpartition("/")[2]:
        raise ValueError("key 'url': expected an address of a file, https://HOST/…/FILE")


def _wrong(path: Path, what: str) -> FailedPrecondition:
    return FailedPrecondition(f"{path}: {what}", reason="CATALOGUE_INVALID")
