"""Sentences of a new language made word by word from labelled ones: what `AddLocale` trains on.

`adding.py` calls `translated` with the phrases of skills, `training/nlu_languages` with xSID's English sentences: one
function, so that what is measured is what is served. After Wang, Ruder and Neubig, "Expanding Pretrained Models to
Thousands More Languages via Lexicon-based Adaptation" (ACL 2022).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from services.nlu.text import tokenise

MAX_ENTRIES = 100_000
"""Entries of one lexicon."""

MAX_TARGETS = 20
MAX_WORDS = 6
"""Words of a source or a translation; longer ones are definitions, not words."""

_LONGEST_SENTENCE = 64
_ENDINGS = (("ies", "y"), ("es", ""), ("s", ""), ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"), ("'s", ""))
_SHORTEST_STEM = 3


@dataclass(frozen=True, slots=True)
class Labelled:
    """A sentence's words and spans: (name, first word, word after the last)."""

    words: tuple[str, ...]
    slots: tuple[tuple[str, int, int], ...] = ()


class Lexicon:
    """Words and phrases of one language with their translations, most usual first; all case-folded.

    A form that is not there is looked up without its ending (English only): "alarms" is translated as "alarm".

    Args:
        entries: pairs of a source and its translations; those of more than `MAX_WORDS` words are passed over.
        english: whether the source is English.
    """

    def __init__(self, entries: Iterable[tuple[str, Sequence[str]]], *, english: bool = True) -> None:
        self._english = english
        self._targets: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for source, targets in islice(entries, MAX_ENTRIES):
            key = _words(source)
            if 0 < len(key) <= MAX_WORDS:
                known = self._targets.setdefault(key, [])
                for target in map(_words, targets):
                    if 0 < len(target) <= MAX_WORDS and target not in known and len(known) < MAX_TARGETS:
                        known.append(target)
        self._longest = max(map(len, self._targets), default=1)

    def __len__(self) -> int:
        return sum(map(bool, self._targets.values()))

    def targets(self) -> Iterator[tuple[str, ...]]:
        """Each entry's most usual translation."""
        return (found[0] for found in self._targets.values() if found)

    def of(self, words: tuple[str, ...]) -> Sequence[tuple[str, ...]]:
        """Translations of exactly these words; none if the lexicon lacks them."""
        if found := self._targets.get(words):
            return found
        for form in _stems(words[-1]) if self._english else ():
            if found := self._targets.get((*words[:-1], form)):
                return found
        return ()

    def parts(self, words: Sequence[str]) -> Iterator[tuple[int, int, Sequence[tuple[str, ...]]]]:
        """The sentence in pieces (start, end, translations), the longest that the lexicon has first."""
        at = 0
        while at < len(words):
            for end in range(min(at + self._longest, len(words)), at, -1):
                targets = self.of(tuple(words[at:end]))
                if targets or end == at + 1:
                    yield at, end, targets
                    at = end
                    break


def translated(sentence: Labelled, lexicon: Lexicon, variant: int = 0) -> Labelled:
    """The sentence word by word; what the lexicon lacks stays as it is, in the source's order of words.

    Args:
        variant: 0 takes each word's most usual translation, 1 the next of those that have one, and so on.
    """
    words: list[str] = []
    places = [0] * (len(sentence.words) + 1)  # where each source word begins among the new ones
    inside = _borders(sentence)
    at = 0
    while at < len(sentence.words):
        stretch = next(end for end in inside if end > at)  # no piece reaches over the border of a slot
        for start, end, targets in lexicon.parts(sentence.words[at:stretch]):
            places[at + start : at + end] = [len(words)] * (end - start)
            words += targets[variant % len(targets)] if targets else sentence.words[at + start : at + end]
        at = stretch
    places[len(sentence.words)] = len(words)
    slots = tuple((name, places[start], places[end]) for name, start, end in sentence.slots)
    return Labelled(tuple(words[:_LONGEST_SENTENCE]), tuple(one for one in slots if one[2] <= _LONGEST_SENTENCE))


def coverage(sentences: Iterable[Labelled], lexicon: Lexicon) -> float:
    """Part of the running words that the lexicon translates, 0 to 1; numbers and signs do not count."""
    there = known = 0
    for one in sentences:
        for start, end, targets in lexicon.parts(one.words):
            count = sum(word[0].isalpha() for word in one.words[start:end])
            there += count
            known += count * bool(targets)
    return known / there if there else 0.0


def _borders(sentence: Labelled) -> list[int]:
    return sorted({len(sentence.words), *(place for _, start, end in sentence.slots for place in (start, end))})


def _words(text: str) -> tuple[str, ...]:
    return tuple(token.norm for token in tokenise(text))


def _stems(word: str) -> Iterator[str]:
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            stem = word.removesuffix(ending)
            yield stem + instead
            if not instead and len(stem) > _SHORTEST_STEM and stem[-1] == stem[-2]:
                yield stem[:-1]


def by_source(pairs: Iterable[tuple[str, str]]) -> Mapping[str, list[str]]:
    """Word pairs gathered by their source, in order."""
    found: dict[str, list[str]] = {}
    for source, target in pairs:
        found.setdefault(source, []).append(target)
    return found
