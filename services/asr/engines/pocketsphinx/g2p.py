"""Pronunciations of any word of five languages, in the phones of the English acoustic model; asked by `lexicon.py`.

The only acoustic model at hand knows the 39 phones of English (ARPAbet). A word of another language is spelled out in
its own phones (IPA) by a letter-to-sound model, and each of those is said with the nearest English ones: two or three
pronunciations where the nearest one is in doubt. That serves closed domains; it makes nobody a dictation system.

A folder `models/g2p-<language>/` has

    letters.tsv.gz: what a letter sounds like by what stands around it: "left.letter.right", sounds. The longest context
        that matches counts; a word's ends are "#". Learned by `training/asr_languages/letters.py`.
    sounds.yaml: sound, or two that English has one for -> English phones, alternatives by "|". English has none: its
        sounds are the phones.
    words.yaml: words said otherwise than their letters tell -> their sounds, alternatives by "|".
"""

from __future__ import annotations

import gzip
import unicodedata
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice, product
from pathlib import Path

import yaml

LANGUAGES = ("de", "en", "es", "fr", "it")

WINDOWS = ((0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (3, 4), (4, 4))
"""Letters before and after, as contexts grow; the recipe learns with the same."""

MAX_LETTERS = 48
MAX_VARIANTS = 6
"""Most pronunciations of one word: each more is one more thing to mistake another word for."""

_MODELS = Path(__file__).parents[2] / "models"


@dataclass(frozen=True)
class Pronouncer:
    """One language's letters and sounds; immutable, made once a process."""

    letters: Mapping[str, tuple[str, ...]]
    sounds: Mapping[str, Sequence[str]] | None
    words: Mapping[str, str]

    @classmethod
    def load(cls, language: str) -> Pronouncer:
        """The pronouncer of a BCP-47 tag's language. Raises KeyError for one that has none."""
        primary = language.partition("-")[0].lower()
        if primary not in LANGUAGES:
            raise KeyError(language)
        return _loaded(primary)

    def pronounce(self, word: str) -> tuple[str, ...]:
        """Pronunciations in ARPAbet ("K AE T"), likeliest first; none for what is no word of the language's letters."""
        if not word or len(word) > MAX_LETTERS:
            return ()
        word = unicodedata.normalize("NFC", word).lower().replace("’", "'")
        variants = []
        for part in [word] if word in self.words else self._parts(word):
            if sounds := self.words.get(part):
                variants.append([phones for each in sounds.split("|") for phones in self.phones(each.split())])
            elif spoken := self.spoken(part):
                variants.append(list(self.phones(spoken)))
            elif not self._alphabet.issuperset(part):
                return ()
        spellings = (" ".join(parts) for parts in product(*variants))
        return tuple(dict.fromkeys(islice(spellings, MAX_VARIANTS))) if variants else ()

    def _parts(self, word: str) -> Iterator[str]:
        """What is pronounced by itself: around hyphens, and behind "d'" where it is a word of its own."""
        for part in word.split("-"):
            head, elided, rest = part.partition("'")
            if elided and rest and head + elided in self.words and part not in self.words:
                yield from (head + elided, rest)
            else:
                yield part

    def spoken(self, word: str) -> list[str]:
        """The word's sounds by its letters; none when it has a letter that the language does not know."""
        text = "".join(letter for letter in word if letter != "'" or "'" in self._alphabet)
        known = [letter if letter in self._alphabet else unicodedata.normalize("NFD", letter)[0] for letter in text]
        if not known or not self._alphabet.issuperset(known):
            return []
        padded = "#" * 4 + "".join(known) + "#" * 4
        return [sound for at in range(4, len(padded) - 4) for sound in self._sounds_at(padded, at)]

    def phones(self, sounds: Sequence[str]) -> tuple[str, ...]:
        """English phones of the sounds: the first choice of each, then one alternative at a time."""
        if not sounds:
            return ()
        if self.sounds is None:
            return (" ".join(sounds),)
        sounds = list(joined(sounds, self.sounds))
        best = [self.sounds[sound][0] for sound in sounds]
        found = [best]
        for sound in dict.fromkeys(sounds):
            others = self.sounds[sound][1:]
            found += [
                [other if at == sound else said for at, said in zip(sounds, best, strict=True)] for other in others
            ]
        return tuple(dict.fromkeys(" ".join(phones) for phones in found))[:MAX_VARIANTS]

    def _sounds_at(self, padded: str, at: int) -> tuple[str, ...]:
        found: tuple[str, ...] = ()
        for before, after in WINDOWS:
            sounds = self.letters.get(context(padded, at, before, after))
            if sounds is None:
                break
            found = sounds
        return found

    @cached_property
    def _alphabet(self) -> frozenset[str]:
        return frozenset(key[1] for key in self.letters if key[0] == key[-1] == "." and len(key) == 3)


def context(padded: str, at: int, before: int, after: int) -> str:
    return f"{padded[at - before : at]}.{padded[at]}.{padded[at + 1 : at + 1 + after]}"


def joined(sounds: Sequence[str], known: Container[str]) -> Iterator[str]:
    """Diphthongs and long consonants as the one sound that English shows them with."""
    waiting = list(sounds)
    while waiting:
        first = waiting.pop(0)
        if waiting and waiting[0] == first:
            continue
        yield first + waiting.pop(0) if waiting and first + waiting[0] in known else first


@cache
def _loaded(language: str) -> Pronouncer:
    folder = _MODELS / f"g2p-{language}"
    sounds = _yaml(folder / "sounds.yaml")
    return Pronouncer(
        dict(_contexts(folder / "letters.tsv.gz")),
        {sound: tuple(phones.split("|")) for sound, phones in sounds.items()} if sounds else None,
        _yaml(folder / "words.yaml"),
    )


def _contexts(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            key, _, sounds = line.rstrip("\n").partition("\t")
            yield key, tuple(sounds.split())


def _yaml(path: Path) -> dict[str, str]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
