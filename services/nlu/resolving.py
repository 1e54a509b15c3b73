"""From tagged spans to the slots of one intent, with typed values.

The interpreter calls `slots_of` for each reading it returns. What each intent takes is in `INTENT_SLOTS`; a span of a
slot that the intent does not take is dropped. Where the tagger saw nothing, the gazetteer and the arithmetic grammar
look for themselves: their finds are certain words, but not certain slots, hence `FOUND_CONFIDENCE`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from services.nlu.engines.engine import TaggedSlot
from services.nlu.text import MAX_TOKENS, Token
from services.nlu.understanding import Situation, Slot, Value
from services.nlu.values.arithmetic import read_expression
from services.nlu.values.days import determiners, read_day
from services.nlu.values.places import Gazetteer, Place

INTENT_SLOTS: Mapping[str, tuple[str, ...]] = {
    "clock.time": ("place",),
    "clock.date": ("place", "day"),
    "calculator.compute": ("expression",),
}
"""Intent -> the slots it takes; the intents of the conversation take none."""

FOUND_CONFIDENCE = 0.6
"""Of a slot that the tagger did not see but whose words are in a table."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text in NFC with its tokens and the spans that the engine tagged."""

    text: str
    tokens: Sequence[Token]
    tagged: tuple[TaggedSlot, ...]


class Resolver:
    """Reads the values of slots in one language and situation."""

    def __init__(self, gazetteer: Gazetteer, language: str, situation: Situation, *, typed: bool) -> None:
        self._gazetteer = gazetteer
        self._language = language
        self._situation = situation
        self._typed = typed

    def slots_of(self, intent: str, sentence: Sentence) -> tuple[Slot, ...]:
        """The slots of one reading, in order of their spans."""
        found = [self._slot(name, sentence) for name in INTENT_SLOTS.get(intent, ())]
        return tuple(sorted((slot for slot in found if slot is not None), key=lambda slot: slot.start))

    def _slot(self, name: str, sentence: Sentence) -> Slot | None:
        tagged = [span for span in sentence.tagged if span.name == name]
        if not self._typed:
            return _text_slot(sentence, tagged[0]) if tagged else None
        if name == "place":
            return self._place(sentence, tagged)
        if name == "day":
            return self._day(sentence, tagged)
        return self._expression(sentence, tagged)

    def _place(self, sentence: Sentence, tagged: Sequence[TaggedSlot]) -> Slot | None:
        spans = [(span.start, span.end, span.confidence) for span in tagged]
        if not spans and len(sentence.tokens) <= MAX_TOKENS:
            taken = {at for span in sentence.tagged for at in range(span.start, span.end)}
            known = self._gazetteer.find(sentence.tokens, taken)
            spans = [(*known, FOUND_CONFIDENCE)] if known else []
        slots = [self._resolved_place(sentence, *span) for span in spans]
        return max(slots, key=lambda slot: (slot.catalogue_hit, slot.confidence), default=None)

    def _resolved_place(self, sentence: Sentence, start: int, end: int, confidence: float) -> Slot:
        # The tagger may miss the last word of a name: "new york [city]".
        longer = min(end + 1, len(sentence.tokens))
        readings = self._gazetteer.resolve(sentence.tokens[start:longer])
        if readings:
            end = longer
        else:
            readings = self._gazetteer.resolve(sentence.tokens[start:end])
        words = _words(sentence, start, end)
        values: tuple[Value, ...] = readings or (Place(words, "", ""),)
        return _slot("place", values, sentence, (start, end), confidence, known=bool(readings))

    def _day(self, sentence: Sentence, tagged: Sequence[TaggedSlot]) -> Slot | None:
        if not tagged:
            return None
        today = self._today()
        around = TaggedSlot("day", tagged[0].start, tagged[-1].end, min(span.confidence for span in tagged))
        for span in (around, *tagged):
            start = self._with_determiner(sentence.tokens, span.start)
            value = read_day(sentence.tokens[start : span.end], self._language, today)
            if value is not None:
                return _slot("day", (value,), sentence, (start, span.end), span.confidence, known=True)
        return _text_slot(sentence, tagged[0])

    def _with_determiner(self, tokens: Sequence[Token], start: int) -> int:
        """ "next" belongs to the day even where the tagger left it out."""
        return start - 1 if start and tokens[start - 1].norm in determiners(self._language) else start

    def _expression(self, sentence: Sentence, tagged: Sequence[TaggedSlot]) -> Slot | None:
        """The grammar reads the whole sentence: it knows better than the tagger where an expression ends."""
        read = read_expression(sentence.tokens, self._language) if len(sentence.tokens) <= MAX_TOKENS else None
        if read is None:
            return _text_slot(sentence, tagged[0]) if tagged else None
        agreeing = [
            span.confidence
            for span in tagged
            if sentence.tokens[span.start].start < read.end and read.start < sentence.tokens[span.end - 1].end
        ]
        confidence = max(agreeing, default=FOUND_CONFIDENCE)
        words = sentence.text[read.start : read.end]
        return Slot("expression", read, words, read.start, read.end, confidence, catalogue_hit=False)

    def _today(self) -> date:
        now: datetime = self._situation.now
        return now.astimezone(ZoneInfo(self._situation.time_zone or "UTC")).date()


def _slot(
    name: str,
    values: tuple[Value, ...],
    sentence: Sentence,
    span: tuple[int, int],
    confidence: float,
    *,
    known: bool,
) -> Slot:
    start, end = sentence.tokens[span[0]].start, sentence.tokens[span[1] - 1].end
    return Slot(name, values[0], sentence.text[start:end], start, end, confidence, values[1:], catalogue_hit=known)


def _text_slot(sentence: Sentence, span: TaggedSlot) -> Slot:
    words = _words(sentence, span.start, span.end)
    return _slot(span.name, (words,), sentence, (span.start, span.end), span.confidence, known=False)


def _words(sentence: Sentence, start: int, end: int) -> str:
    return sentence.text[sentence.tokens[start].start : sentence.tokens[end - 1].end]
