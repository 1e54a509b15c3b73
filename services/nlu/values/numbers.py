"""Reads one number from tokens: digits in the notation of the locale, or words.

`arithmetic.py` and `days.py` call this wherever a number may stand. Values are `Decimal`, so nothing is lost between
"zero point one" and the skill that adds it up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache

from services.nlu.text import Token
from services.nlu.values.number_words import WORDS, NumberWords, Phrase, phrases

MAX_DIGITS = 30
"""Longest number in digits; longer ones are no quantity anybody says and only cost time."""

_MAX_PHRASE = 8


@dataclass(frozen=True, slots=True)
class Number:
    """A value and the index after its last token."""

    value: Decimal
    end: int


def read_number(tokens: Sequence[Token], start: int, language: str, *, halves: bool = True) -> Number | None:
    """The longest number that starts at token `start`, or None.

    Args:
        language: primary subtag ("de"); a language without number words reads digits only, in English notation.
        halves: read "and a half" with it; a clock does so itself ("siete y media" is half past seven).
    """
    words = WORDS.get(language)
    found = _digits(tokens[start].norm, words) if start < len(tokens) else None
    if found is not None:
        scaled = _scale(tokens, start + 1, words)
        return Number(found * scaled[0], scaled[1])
    if words is None or start >= len(tokens) or not _may_begin(tokens[start].norm, language):
        return None
    return _Reader(tokens, words, language).read(start, halves=halves)


@lru_cache(maxsize=20_000)
def _may_begin(word: str, language: str) -> bool:
    """Whether a number in words may begin so: most words are told apart by this."""
    words = WORDS[language]
    known = (_longest(language), words.scales, words.points, words.one_and_a_half, words.zeros, ("a",))
    if any(word in some for some in known):
        return True
    glued = bool(words.glued_half) and word.endswith(words.glued_half)
    return glued or any(scale in word for scale in words.compounds)


@cache
def _longest(language: str) -> Mapping[str, int]:
    """First word of a number -> the most words that such a phrase has."""
    found: dict[str, int] = {}
    for phrase in phrases(language):
        found[phrase[0]] = max(found.get(phrase[0], 0), len(phrase))
    return found


def _digits(text: str, words: NumberWords | None) -> Decimal | None:
    if not text[0].isdecimal() or len(text) > MAX_DIGITS:
        return None
    group, point = (".", ",") if words and words.comma_is_decimal else (",", ".")
    whole, _, fraction = text.rpartition(point) if text.count(point) == 1 else (text, "", "")
    if not whole:
        whole, fraction = fraction, ""
    if group in fraction or point in whole or not _grouped(whole, group):
        # The other notation, as many people type it: "3.5" in a German sentence, "1.000.000" in an English one.
        return _other_notation(text)
    return _decimal(whole.replace(group, ""), fraction)


def _other_notation(text: str) -> Decimal | None:
    parts = text.replace(",", ".").split(".")
    if len(parts) == 2:
        return _decimal(parts[0], parts[1])
    return _decimal("".join(parts), "") if all(len(part) == 3 for part in parts[1:]) else None


def _grouped(whole: str, group: str) -> bool:
    parts = whole.split(group)
    return len(parts) == 1 or (len(parts[0]) <= 3 and all(len(part) == 3 for part in parts[1:]))


def _decimal(whole: str, fraction: str) -> Decimal:
    """Digits of any script ("٣", "३") count as what they stand for, as `Decimal` reads them."""
    return Decimal(f"{whole}.{fraction}" if fraction else whole)


def _scale(tokens: Sequence[Token], at: int, words: NumberWords | None) -> tuple[int, int]:
    """ "5 million": digits followed by a scale word."""
    if words and at < len(tokens) and (scale := words.scales.get(tokens[at].norm)):
        return scale, at + 1
    return 1, at


class _Reader:
    """Number words of one language over one token sequence."""

    def __init__(self, tokens: Sequence[Token], words: NumberWords, language: str) -> None:
        self._tokens = tokens
        self._words = words
        self._phrases = phrases(language)
        self._longest = _longest(language)

    def read(self, start: int, *, halves: bool) -> Number | None:
        if (glued := self._glued_half(start)) is not None:
            return Number(glued, start + 1)
        whole = self._whole(start)
        value, at = whole if whole else (None, start)
        if decimals := self._decimals(at):
            digits, at = decimals
            return self._scaled(Decimal(f"{value or 0}.{digits}"), at)
        if value is None:
            return None
        for phrase, added in self._words.halves.items() if halves else ():
            if self._norms(at, len(phrase)) == phrase:
                unit = self._words.scales.get(self._norm(at - 1), 1)  # "two million and a half"
                return self._scaled(value + unit * Decimal(added), at + len(phrase))
        return Number(Decimal(value), at)

    def _scaled(self, value: Decimal, at: int) -> Number:
        """ "two point five million"."""
        scale, end = _scale(self._tokens, at, self._words)
        return Number(value * scale, end)

    def _glued_half(self, start: int) -> Decimal | None:
        """ "zweieinhalb", "anderthalb"."""
        norm, half = self._norm(start), self._words.glued_half
        if fixed := self._words.one_and_a_half.get(norm):
            return Decimal(fixed)
        if not half or not norm.endswith(half) or norm == half:
            return None
        whole = self._phrases.get((norm.removesuffix(half),))
        return None if whole is None else whole + Decimal("0.5")

    def _whole(self, start: int) -> tuple[int, int] | None:
        """Groups below 1,000, each with a smaller scale than the one before: "two million and five"."""
        total, at, last = 0, start, None
        while True:
            skipped = at + 1 if last is not None and self._norm(at) in self._words.joiners else at
            group = self._scaled_group(skipped, first=last is None)
            if group is None or (last is not None and group[1] >= last):
                break
            value, scale, at = group
            total, last = total + value * scale, scale
            if scale == 1:
                break
        return None if last is None else (total, at)

    def _scaled_group(self, start: int, *, first: bool) -> tuple[int, int, int] | None:
        """(value below 1,000, scale, index after). Scales may be said alone ("thousand") or in one word."""
        if split := self._compound(start):
            return split
        group = self._below_thousand(start)
        if group is None:
            implied = start + 1 if self._norm(start) == "a" else start
            scale = self._words.scales.get(self._norm(implied), 0)
            return (1, scale, implied + 1) if scale else None
        value, at = group
        scale = self._words.scales.get(self._norm(at), 0)
        return (value, scale, at + 1) if scale else (value, 1, at)

    def _below_thousand(self, start: int) -> tuple[int, int] | None:
        found = self._phrase(start, _MAX_PHRASE)
        if found is None:
            return None
        value, at = found
        if 10 < value < 100 and self._norm(at) == "hundred":  # "twelve hundred and five"
            rest = self._phrase(at + 2 if self._norm(at + 1) == "and" else at + 1, 2)
            return (value * 100 + rest[0], rest[1]) if rest and rest[0] < 100 else (value * 100, at + 1)
        return found

    def _phrase(self, start: int, longest: int) -> tuple[int, int] | None:
        """The longest phrase of the table that starts here."""
        for length in range(min(longest, self._longest.get(self._norm(start), 0)), 0, -1):
            phrase = self._norms(start, length)
            if len(phrase) == length and phrase in self._phrases:
                return self._phrases[phrase], start + length
        return None

    def _compound(self, start: int) -> tuple[int, int, int] | None:
        """ "zweitausenddreihundert" in one token: only the part before the scale may stand alone in the table."""
        norm = self._norm(start)
        for scale_word in self._words.compounds:
            head, found, tail = norm.partition(scale_word)
            if not found or (not head and not tail):
                continue
            thousands = self._phrases.get((head,)) if head else 1
            rest = self._phrases.get((tail.removeprefix("und"),)) if tail else 0
            if thousands is not None and rest is not None:
                if tail:
                    return thousands * 1000 + rest, 1, start + 1
                return thousands, 1000, start + 1
        return None

    def _decimals(self, at: int) -> tuple[str, int] | None:
        """ "point two five", "point twenty five", "komma 5"."""
        if self._norm(at) not in self._words.points:
            return None
        digits, at = "", at + 1
        while at < len(self._tokens) and len(digits) < MAX_DIGITS:
            norm = self._norm(at)
            if norm in self._words.zeros:
                digits, at = digits + "0", at + 1
            elif norm.isdecimal():
                digits, at = digits + norm, at + 1
            elif (spoken := self._below_thousand(at)) and (spoken[0] < 10 or not digits):
                digits, at = digits + str(spoken[0]), spoken[1]
                if spoken[0] >= 10:
                    break
            else:
                break
        return (digits, at) if digits else None

    def _norm(self, at: int) -> str:
        return self._tokens[at].norm if at < len(self._tokens) else ""

    def _norms(self, at: int, length: int) -> Phrase:
        return tuple(token.norm for token in self._tokens[at : at + length])
