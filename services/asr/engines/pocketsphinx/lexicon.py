"""How words are pronounced, in the phones of an acoustic model: dictionary, larger dictionary, rules.

Used by `language_model_worker.py`: a skill's phrases may hold words that the model's own dictionary lacks.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

from services.asr.engines.pocketsphinx.bundles import wheel_path

_ENGLISH = "wheel:en-us/cmudict-en-us.dict"
_RULES = "services.asr.engines.pocketsphinx.g2p"


class Pronouncer(Protocol):
    """Rules from letters to phones, for words that no dictionary has."""

    def pronounce(self, word: str) -> tuple[str, ...]: ...


class Lexicon:
    """Pronunciations of one model's language.

    Args:
        dictionary: of the model.
        language: BCP-47 tag.
    """

    def __init__(self, dictionary: Path, language: str) -> None:
        primary = language.partition("-")[0].lower()
        self._own = read_dictionary(dictionary)
        self._larger = read_dictionary(wheel_path(_ENGLISH)) if primary == "en" else {}
        self._rules = _pronouncer(primary)
        self._phones = {phone for spoken in self._own.values() for each in spoken for phone in each.split()}
        self._guessed: dict[str, tuple[str, ...]] = {}

    def pronunciations(self, word: str) -> tuple[str, ...]:
        """All there are; none for a word that cannot be pronounced."""
        found = self._own.get(word) or self._larger.get(word) or self._guessed.get(word)
        if found is None:
            found = self._guessed[word] = self._by_rule(word)
        return found

    def __contains__(self, word: str) -> bool:
        return bool(self.pronunciations(word))

    def forget(self) -> None:
        """Drops what was guessed: words come from clients."""
        self._guessed.clear()

    def _by_rule(self, word: str) -> tuple[str, ...]:
        if self._rules is None or not any(letter.isalpha() for letter in word) or any(map(str.isdigit, word)):
            return ()
        spoken = self._rules.pronounce(word)
        return tuple(each for each in spoken if each and self._phones.issuperset(each.split()))


def read_dictionary(path: Path) -> dict[str, tuple[str, ...]]:
    """word -> its pronunciations."""
    entries: dict[str, tuple[str, ...]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        head, _, spoken = line.partition(" ")
        if not spoken:
            head, _, spoken = line.partition("\t")
        word = head.partition("(")[0]
        if word:
            entries[word] = (*entries.get(word, ()), spoken.strip())
    return entries


def write_dictionary(entries: dict[str, tuple[str, ...]], path: Path) -> None:
    lines = [
        f"{word}{'' if at == 0 else f'({at + 1})'} {spoken}"
        for word in sorted(entries)
        for at, spoken in enumerate(entries[word])
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _pronouncer(language: str) -> Pronouncer | None:
    """The language's rules; None where there are none."""
    try:
        module = importlib.import_module(_RULES)
    except ImportError:
        return None
    try:
        loaded: Pronouncer = module.Pronouncer.load(language)
    except (KeyError, LookupError, OSError, ValueError):
        return None
    return loaded
