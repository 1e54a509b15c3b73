"""Catalogues: the things that a slot of type ENTITY can name, and how their names are found in a sentence.

`finder.py` asks an `EntityIndex`, which is built once per catalogue and language. Skills bring catalogues of up to
10,000 entries; names are matched as they are said: with articles, in the plural or another case, in one word or two,
with a letter misheard. What a look-up costs depends on the words said, not on the size of the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from weakref import WeakKeyDictionary

from services.nlu.text import Token, tokenise
from services.nlu.understanding import Value
from services.nlu.values.kinds import Entity
from services.nlu.values.spoken import spoken

_LONGEST_NAME = 6  # words of a name
_LONGEST_UNSPACED = 16  # characters of a name where each is a token
_UNSPACED = frozenset({"ja", "zh"})
_SLIPS_FROM = 5  # letters of a word in which one may be misheard
_LONGEST_WORD = 30
_MOST_COMBINED = 64
_MOST_READINGS = 5
_EXACT, _INFLECTED, _SLIPPED = 0.98, 0.9, 0.7

_ARTICLES = {
    "en": "the a an my our your some this that all",
    "de": "der die das den dem des ein eine einen einem einer mein meine meinen meinem meiner unser unsere",
    "es": "el la los las un una unos unas mi mis del al nuestro nuestra",
    "fr": "le la les l un une des du mon ma mes au aux notre nos d de",
    "it": "il lo la i gli le l un uno una mio mia miei mie del della dello dell",
    "nl": "de het een mijn onze ons dit dat deze die",
    "da": "den det de en et min mit mine vores",
    "nb": "den det de en et ei min mitt mine vår vårt våre",
    "no": "den det de en et ei min mitt mine vår vårt våre",
}
_ENDINGS = {
    "en": ("ies", "es", "s"),
    "de": ("en", "em", "er", "es", "e", "n", "s"),
    "es": ("es", "s", "a", "o"),
    "fr": ("es", "s", "x", "e"),
    "it": ("hi", "he", "i", "e", "a", "o"),
    "nl": ("en", "s", "e"),
    "da": ("erne", "ene", "er", "en", "et", "e", "s"),
    "nb": ("ene", "er", "en", "et", "a", "e", "s"),
    "no": ("ene", "er", "en", "et", "a", "e", "s"),
    "tr": ("lari", "leri", "lar", "ler", "yi", "yu", "i", "u"),
}
_LEAST_STEM = 3


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One thing.

    Attributes:
        names: what it is called, by locale; the first of a locale is the canonical name.
        weight: how likely it is to be named against the others; 0 counts as 1.
        value: what it stands for, if it is more than a name.
    """

    entity_id: str
    names: Mapping[str, tuple[str, ...]]
    weight: float = 1.0
    value: Value | None = None


@dataclass(frozen=True, eq=False)
class Catalogue:
    """A list of things; `closed` if nothing outside the entries is valid. The same object is indexed only once."""

    name: str
    closed: bool
    entries: tuple[CatalogueEntry, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Mention:
    """Tokens `start` to `end` (half open) that name entries, best first."""

    start: int
    end: int
    entities: tuple[Entity, ...]


class EntityIndex:
    """The names of one catalogue in one language; entries that have none in it are known by all their names."""

    def __init__(self, catalogue: Catalogue, language: str) -> None:
        self._name = catalogue.name
        self._language = language
        self._longest = _LONGEST_UNSPACED if language in _UNSPACED else _LONGEST_NAME
        self._articles = frozenset(_ARTICLES.get(language, "").split())
        self._entries = catalogue.entries
        self._canonical: list[str] = []
        self._exact: dict[str, list[int]] = {}
        self._whole: dict[str, list[int]] = {}
        self._parts: set[str] = set()
        self._stems: dict[str, list[int]] = {}
        self._misheard: dict[str, set[str]] = {}
        for at, entry in enumerate(catalogue.entries):
            names = _names(entry, language)
            self._canonical.append(names[0] if names else entry.entity_id)
            for name in names:
                self._add(name, at)

    @classmethod
    def of(cls, catalogue: Catalogue, language: str) -> EntityIndex:
        """The index of a catalogue, kept as long as the catalogue is; making it takes about 50 us per entry."""
        made = _INDEXES.setdefault(catalogue, {})
        if language not in made:
            made[language] = cls(catalogue, language)
        return made[language]

    def read(self, tokens: Sequence[Token]) -> tuple[Entity, ...]:
        """Entries that the tokens name as a whole, best first."""
        words = spoken(tokens, self._language).words
        return self._word_for_word(words) or self._named(self._bare(words))

    def find(self, tokens: Sequence[Token]) -> list[Mention]:
        """Every name in a sentence, without and with the article before it.

        An article that is part of a name belongs to it: "some milk" is not "milk" where a catalogue has both.
        """
        said = spoken(tokens, self._language)
        words = said.words
        like = [self._is_like_a_part(word) for word in words]
        found = []
        for at, word in enumerate(words):
            article = word in self._articles
            for end in range(min(len(words), at + self._longest), at, -1):
                if said.ends[end] < 0 or (article and end == at + 1):
                    continue
                if article:
                    entities = self._word_for_word(words[at:end])
                    starts = {said.starts[at]}
                else:
                    entities = self._named(words[at:end], joined_only=not all(like[at:end]))
                    starts = {said.starts[at], said.starts[self._with_article(words, at, end)]}
                found += [Mention(start, said.ends[end], entities) for start in starts - {-1} if entities]
        return found

    def _add(self, name: str, at: int) -> None:
        whole = spoken(tokenise(name), self._language).words
        words = self._bare(whole)[: self._longest]
        if not words:
            return
        if len(whole) <= self._longest:
            self._whole.setdefault(" ".join(whole), []).append(at)
        for key in {" ".join(words), "".join(words)}:
            self._exact.setdefault(key, []).append(at)
        stems = [self._stem(word) for word in words]
        self._stems.setdefault(" ".join(stems), []).append(at)
        self._parts.update(words, stems)
        for word in words:
            for shorter in _neighbours(word):
                self._misheard.setdefault(shorter, set()).add(word)

    def _is_like_a_part(self, word: str) -> bool:
        """Whether a name may have this word, as it is, inflected or misheard; most words are told apart by this."""
        return (
            word in self._parts
            or self._stem(word) in self._parts
            or any(shorter in self._misheard for shorter in _neighbours(word))
        )

    def _with_article(self, words: Sequence[str], at: int, end: int) -> int:
        """Where a name begins together with the article before it, unless that makes it another name."""
        before = at - 1 if at and words[at - 1] in self._articles else at
        return at if " ".join(words[before:end]) in self._whole else before

    def _word_for_word(self, words: Sequence[str]) -> tuple[Entity, ...]:
        """Entries with exactly this name, article and all."""
        return self._ranked(self._whole.get(" ".join(words), ()), _EXACT)

    def _bare(self, words: Sequence[str]) -> tuple[str, ...]:
        """Without articles in front, unless nothing else is left ("a" in a catalogue of letters)."""
        at = next((at for at, word in enumerate(words) if word not in self._articles), 0)
        return tuple(words[at:])

    def _named(self, words: Sequence[str], *, joined_only: bool = False) -> tuple[Entity, ...]:
        """Entries that the words name; `joined_only` where they are no words of a name unless written as one."""
        if not 0 < len(words) <= self._longest:
            return ()
        said = " ".join(words)
        if found := self._exact.get(said) or self._exact.get("".join(words)):
            return self._ranked((*self._whole.get(said, ()), *found), _EXACT, first=len(self._whole.get(said, ())))
        if joined_only:
            return ()
        stems = " ".join(self._stem(word) for word in words)
        if found := self._stems.get(stems) or self._exact.get(stems):
            return self._ranked(found, _INFLECTED)
        for candidate in islice(product(*map(self._heard, words)), _MOST_COMBINED):
            if found := self._exact.get(" ".join(candidate)):
                return self._ranked(found, _SLIPPED)
        return ()

    def _heard(self, word: str) -> tuple[str, ...]:
        """The word and the catalogue's words that differ from it by one letter."""
        close = {known for shorter in _neighbours(word) for known in self._misheard.get(shorter, ())}
        return (word, *sorted(known for known in close if known != word and _one_apart(word, known)))

    def _ranked(self, found: Sequence[int], confidence: float, first: int = 0) -> tuple[Entity, ...]:
        """By weight; the `first` of them before all others."""
        ahead = frozenset(found[:first])
        weighed = sorted(dict.fromkeys(found), key=lambda at: (at not in ahead, -(self._entries[at].weight or 1.0)))
        best = weighed[:_MOST_READINGS]
        return tuple(
            Entity(self._name, self._entries[at].entity_id, self._canonical[at], confidence / (1 + place))
            for place, at in enumerate(best)
        )

    def _stem(self, word: str) -> str:
        for ending in _ENDINGS.get(self._language, ()):
            if word.endswith(ending) and len(word) - len(ending) >= _LEAST_STEM:
                word = word.removesuffix(ending) + ("y" if ending == "ies" else "")
                break
        return f"{word[:-1]}c" if self._language == "es" and word.endswith("z") else word  # "luz", "luces"


_INDEXES: WeakKeyDictionary[Catalogue, dict[str, EntityIndex]] = WeakKeyDictionary()


def _names(entry: CatalogueEntry, language: str) -> tuple[str, ...]:
    own = [name for locale, names in entry.names.items() if locale.partition("-")[0] == language for name in names]
    return tuple(own) or tuple(name for names in entry.names.values() for name in names)


def _neighbours(word: str) -> Iterator[str]:
    """The word, and without each of its letters: words one letter apart share one of these."""
    if _SLIPS_FROM - 1 <= len(word) <= _LONGEST_WORD:
        yield word
        yield from {word[:at] + word[at + 1 :] for at in range(len(word))}


def _one_apart(one: str, other: str) -> bool:
    """Whether one letter is another, missing, added, or two are swapped; short words must be alike."""
    if max(len(one), len(other)) < _SLIPS_FROM or abs(len(one) - len(other)) > 1:
        return False
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    ahead, behind = one[same:], other[same:]
    if len(one) == len(other):
        return ahead[1:] == behind[1:] or (ahead[:2] == behind[1::-1] and ahead[2:] == behind[2:])
    return ahead == behind[1:] if len(one) < len(other) else ahead[1:] == behind
