"""Readings that live on the conversation: answers to a question, and what is short because it was said before.

The interpreter asks `followed` beside its engines: "for ten minutes" after "For how long?", "and in Paris?" after "what
time is it in Rome". It asks `referred` about what the engines read: "cancel it" lacks what was talked about. Both are
pure functions of the words and the conversation; a reading that the engines are surer of still wins, so that a new
command is not taken for an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Protocol

from services.nlu.combining import Evidence
from services.nlu.text import Token
from services.nlu.understanding import Slot, SlotOrigin, Value
from services.nlu.values.finder import Finder, Found
from services.nlu.values.kinds import Entity

SOURCE = "antiphon/following@1"
"""What provenance calls these readings."""

MAX_TRIED = 5
"""Alternatives that are looked at; answers are short, and the first ones hold them."""

_LONGEST = 24  # tokens of an answer or of a follow-up; longer ones are sentences of their own
_ANSWER = 0.96  # the words are nothing but a value of the slot that was asked for
_CHOICE = 0.98
_ANSWER_TEXT = 0.75  # any words would do: a command that fits is likelier
_WORDS = 0.9  # if it is an answer, they are its words
_ELLIPSIS = 0.92  # "and in paris"
_BARE = 0.6  # "in paris", without a word that ties it to the turn before
_ELLIPSIS_TEXT = 0.75
_INCOMPLETE = 0.7  # what is left of it where a slot that is needed may not be carried over
_EARLIEST = 6  # of another day, the hour in the twelve from here on is meant
_RANK = 0.95  # against the alternative before
_LOOKED_BACK = 3  # turns, over small talk with the assistant itself
_REFERRED = 0.9
_CONVERSATION = "dialogue"
_HYPHENED = frozenset({"le", "la", "les"})
_ANYTHING = frozenset({"TEXT", "UNSPECIFIED", ""})


@dataclass(frozen=True, slots=True)
class Past:
    """What was understood in an earlier turn; its slots have no span any more."""

    turn_id: str
    intent: str
    slots: tuple[Slot, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """The value that the assistant waits for.

    Attributes:
        understood: what it asks that for.
        choices: how answers that it offers are said, with the value of each.
    """

    slot: str
    value_type: str
    understood: Past
    choices: tuple[tuple[str, Value | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    """What was said before: the open question, earlier turns (newest first), and the slots in focus."""

    question: Question | None = None
    past: tuple[Past, ...] = ()
    focus: tuple[Slot, ...] = ()

    @property
    def pointed(self) -> tuple[Entity, ...]:
        """Things that "it" may stand for; the finder of a request takes them."""
        return tuple(slot.value for slot in _focus(self) if isinstance(slot.value, Entity))


class SlotLike(Protocol):
    """A slot's definition, as `skills.SlotSpec` has it."""

    @property
    def name(self) -> str: ...
    @property
    def value_type(self) -> str: ...
    @property
    def catalogue(self) -> str: ...
    @property
    def required(self) -> bool: ...
    @property
    def carry_over(self) -> bool: ...


class IntentLike(Protocol):
    """An intent's definition, as `skills.Intent` has it."""

    @property
    def skill(self) -> str: ...
    @property
    def slots(self) -> Sequence[SlotLike]: ...


@dataclass(frozen=True, slots=True)
class _Words:
    """One alternative."""

    text: str
    tokens: Sequence[Token]
    rank: int

    def said(self, start: int, end: int) -> str:
        return self.text[self.tokens[start].start : self.tokens[end - 1].end]


def followed(
    texts: Sequence[str],
    tokens: Sequence[Sequence[Token]],
    finder: Finder,
    intents: Mapping[str, IntentLike],
    conversation: Conversation,
) -> tuple[Evidence, ...]:
    """Readings of the alternatives as an answer or a follow-up; none where nothing was said before.

    Args:
        texts: alternatives in NFC, best first.
        tokens: of each.
        finder: of the request; its catalogues go by "skill.catalogue", or by their name alone.
        intents: definitions by full name; an intent without one cannot be followed up.
    """
    found: dict[str, Evidence] = {}
    for rank, (text, own) in enumerate(list(zip(texts, tokens, strict=True))[:MAX_TRIED]):
        words = _Words(text, _plain(own), rank)
        if not 0 < len(words.tokens) <= _LONGEST:
            continue
        for one in (*_answers(words, finder, intents, conversation), *_ellipses(words, finder, intents, conversation)):
            weighed = replace(one, confidence=one.confidence * _RANK**rank)
            if one.intent not in found or found[one.intent].confidence < weighed.confidence:
                found[one.intent] = weighed
    return tuple(sorted(found.values(), key=lambda one: -one.confidence))


def referred(
    evidence: Sequence[Evidence],
    tokens: Sequence[Sequence[Token]],
    finder: Finder,
    intents: Mapping[str, IntentLike],
    conversation: Conversation,
) -> tuple[Evidence, ...]:
    """The same readings; those that point at something without naming it ("cancel it") get what is in focus."""
    in_focus = {slot.name: slot for slot in reversed(_focus(conversation))}
    skill = _skill(conversation.past[0].intent) if conversation.past else ""
    return tuple(
        _completed(one, intents[one.intent], tokens[one.hypothesis], finder, in_focus)
        if in_focus and one.intent in intents and skill in {"", _CONVERSATION, _skill(one.intent)}
        else one
        for one in evidence
    )


def _answers(
    words: _Words, finder: Finder, intents: Mapping[str, IntentLike], conversation: Conversation
) -> Iterator[Evidence]:
    """The words as the value that was asked for."""
    question = conversation.question
    if question is None or not question.understood.intent or finder.all_of("abandon", words.tokens):
        return
    intent = intents.get(question.understood.intent)
    spec = _spec(intent, question.slot)
    value_type = question.value_type or (spec.value_type if spec else "")
    read = _chosen(question, words, finder) or _value(words, finder, value_type, _catalogues(intent, spec))
    if read is None:
        return
    slot = _on_its_day(replace(read, name=question.slot), question.understood, words, finder)
    carried = tuple(_carried(one, question.understood) for one in question.understood.slots if one.name != slot.name)
    filled = {slot.name, *(one.name for one in carried)}
    yield Evidence(
        question.understood.intent,
        slot.confidence,
        words.rank,
        (_in_words(slot), *carried),
        complete=all(one.name in filled for one in _needed(intent)),
        sources=(SOURCE,),
    )


def _on_its_day(slot: Slot, understood: Past, words: _Words, finder: Finder) -> Slot:
    """ "At seven", when "tomorrow" was said before the question: the day stays."""
    day = next((one.value for one in understood.slots if one.name == slot.name), None)
    if not isinstance(day, date) or isinstance(day, datetime) or not isinstance(slot.value, datetime):
        return slot
    clock = _value(words, finder, "TIME", ("",))
    if clock is None:
        return slot
    zone = slot.value.tzinfo
    times = [one for one in (clock.value, *clock.alternatives) if isinstance(one, time)]
    moments = [datetime.combine(day, one, zone).astimezone(UTC).astimezone(zone) for one in times]
    likely = sorted(moments, key=lambda one: not _EARLIEST <= one.hour < _EARLIEST + 12)
    return replace(slot, value=likely[0], alternatives=tuple(likely[1:])) if likely else slot


def _ellipses(
    words: _Words, finder: Finder, intents: Mapping[str, IntentLike], conversation: Conversation
) -> Iterator[Evidence]:
    """The last intent with another value: "and in paris", "what about tomorrow"."""
    last = next((one for one in conversation.past[:_LOOKED_BACK] if _skill(one.intent) != _CONVERSATION), None)
    intent = intents.get(last.intent) if last else None
    if last is None or intent is None:
        return
    opened = finder.length_of("opener", words.tokens)
    if opened >= len(words.tokens):
        return
    said = tuple(_replacements(words, opened, finder, intent, last))
    if not said:
        return
    names = {slot.name for slot in said}
    may_stay = {spec.name for spec in intent.slots if spec.carry_over}
    carried = tuple(_carried(one, last) for one in last.slots if one.name in may_stay - names)
    complete = {spec.name for spec in _needed(intent)} <= names | {one.name for one in carried}
    sure = min(slot.confidence for slot in said) * (_ELLIPSIS if opened else _BARE)
    yield Evidence(
        last.intent,
        sure * (1.0 if complete else _INCOMPLETE),
        words.rank,
        (*map(_in_words, sorted(said, key=lambda slot: slot.start)), *carried),
        complete=complete,
        sources=(SOURCE,),
    )


def _replacements(words: _Words, opened: int, finder: Finder, intent: IntentLike, last: Past) -> Iterator[Slot]:
    """Slots that the words after the opening fill without a rest; slots that were filled before come first."""
    before = {slot.name for slot in last.slots}
    specs = sorted(intent.slots, key=lambda spec: (spec.name not in before, not spec.required))
    candidates = [
        (one, spec)
        for spec in specs
        if spec.value_type not in _ANYTHING
        for one in _found(words.tokens, finder, spec.value_type, _catalogues(intent, spec))
        if one.start >= opened
    ]
    taken: set[int] = set()
    filled: dict[str, Slot] = {}
    for one, spec in sorted(candidates, key=lambda pair: (pair[0].start - pair[0].end, pair[1].name not in before)):
        if spec.name not in filled and taken.isdisjoint(range(one.start, one.end)):
            taken |= set(range(one.start, one.end))
            filled[spec.name] = _slot(spec.name, words, one)
    if filled and not _rest(words, finder, taken | set(range(opened))):
        yield from filled.values()
    elif opened:
        yield from _open_text(words, opened, finder, specs, before)


def _open_text(
    words: _Words, opened: int, finder: Finder, specs: Iterable[SlotLike], before: set[str]
) -> Iterator[Slot]:
    """ "and eggs" after "add milk": open text stands for open text."""
    open_ = next((spec for spec in specs if spec.value_type in _ANYTHING and spec.name in before), None)
    end = len(words.tokens)
    while end > opened and finder.all_of("filler", words.tokens[end - 1 : end]):
        end -= 1
    if open_ and end > opened:
        said = words.said(opened, end)
        start, after = words.tokens[opened].start, words.tokens[end - 1].end
        yield Slot(open_.name, said, said, start, after, _ELLIPSIS_TEXT)


def _value(words: _Words, finder: Finder, value_type: str, catalogues: Sequence[str]) -> Slot | None:
    """The words as one value: as a whole, or as the one value in them where nothing but fillers is left."""
    tokens = words.tokens
    if value_type in _ANYTHING:
        return _whole(words, (words.said(0, len(tokens)),), _ANSWER_TEXT)
    lead = finder.length_of("filler", tokens)
    for start in dict.fromkeys((0, lead)):
        for catalogue in catalogues:
            if start < len(tokens) and (values := finder.read(value_type, tokens[start:], catalogue)):
                return _slot("", words, Found(start, len(tokens), values, _ANSWER, catalogue_hit=bool(catalogue)))
    for one in _found(tokens, finder, value_type, catalogues):
        if not _rest(words, finder, set(range(one.start, one.end))):
            return _slot("", words, replace(one, confidence=min(_ANSWER, one.confidence)))
    return None


def _chosen(question: Question, words: _Words, finder: Finder) -> Slot | None:
    """An answer that the question offers, as it offers it."""
    said = _bare(words.tokens, finder)
    for text, value in question.choices:
        if value is not None and said and said == _bare(_plain(finder.tokens(text)), finder):
            return _whole(words, (value,), _CHOICE)
    return None


def _found(tokens: Sequence[Token], finder: Finder, value_type: str, catalogues: Sequence[str]) -> Iterator[Found]:
    for catalogue in catalogues:
        yield from finder.find(value_type, tokens, catalogue)


def _rest(words: _Words, finder: Finder, taken: set[int]) -> bool:
    """Whether there are words that are neither taken nor fillers."""
    at, end = 0, len(words.tokens)
    while at < end:
        free = next((other for other in range(at, end) if other in taken), end)
        length = 1 if free == at else finder.length_of("filler", words.tokens[at:free])
        if not length:
            return True
        at += length
    return False


def _bare(tokens: Sequence[Token], finder: Finder) -> tuple[str, ...]:
    return tuple(token.norm for token in tokens if not finder.all_of("filler", (token,)))


def _completed(
    one: Evidence,
    intent: IntentLike,
    tokens: Sequence[Token],
    finder: Finder,
    in_focus: Mapping[str, Slot],
) -> Evidence:
    pointing = {at for at in range(min(len(tokens), _LONGEST)) if _points(tokens, at, finder)}
    if not pointing:
        return one
    spans = {(tokens[at].start, tokens[at].end) for at in pointing}
    kept = tuple(
        slot
        for slot in one.slots
        if (slot.start, slot.end) not in spans or (slot.understood and not _is_in_focus(slot, in_focus))
    )
    filled = {slot.name for slot in kept}
    added = tuple(
        replace(in_focus[spec.name], confidence=in_focus[spec.name].confidence * _REFERRED)
        for spec in intent.slots
        if spec.carry_over and spec.name not in filled and spec.name in in_focus
    )
    if not added:
        return one
    filled |= {slot.name for slot in added}
    complete = all(spec.name in filled for spec in _needed(intent))
    return replace(one, slots=(*kept, *added), complete=complete, sources=(*one.sources, SOURCE))


def _is_in_focus(slot: Slot, in_focus: Mapping[str, Slot]) -> bool:
    """Whether the finder read a pronoun as what is in focus: that was not said in this turn."""
    return slot.name in in_focus and slot.value == in_focus[slot.name].value


def _points(tokens: Sequence[Token], at: int, finder: Finder) -> bool:
    """Whether a word stands for something said before; French writes one with a hyphen ("éteins-la")."""
    if finder.length_of("pronoun", tokens[at:]):
        return True
    hyphened = at > 0 and tokens[at - 1].norm in {"-", "‐", "‑"} and tokens[at - 1].end == tokens[at].start
    return hyphened and tokens[at].norm in _HYPHENED


def _focus(conversation: Conversation) -> tuple[Slot, ...]:
    """What is talked about: the focus as given, else the slots of the newest turn that has any."""
    given = tuple(replace(slot, start=0, end=0, origin=SlotOrigin.CARRIED_OVER) for slot in conversation.focus)
    last = next((one for one in conversation.past[:_LOOKED_BACK] if one.slots), None)
    return given or (tuple(_carried(slot, last) for slot in last.slots) if last else ())


def _carried(slot: Slot, past: Past) -> Slot:
    source = slot.source_turn or past.turn_id
    return replace(slot, start=0, end=0, origin=SlotOrigin.CARRIED_OVER, source_turn=source)


def _slot(name: str, words: _Words, found: Found) -> Slot:
    start, end = words.tokens[found.start].start, words.tokens[found.end - 1].end
    text = words.text[start:end]
    return Slot(name, found.values[0], text, start, end, found.confidence, found.values[1:], found.catalogue_hit)


def _whole(words: _Words, values: tuple[Value, ...], confidence: float) -> Slot:
    return _slot("", words, Found(0, len(words.tokens), values, confidence, catalogue_hit=False))


def _in_words(slot: Slot) -> Slot:
    """Open text: what is in doubt is whether it is an answer at all, which the reading's own confidence tells."""
    return replace(slot, confidence=max(slot.confidence, _WORDS)) if isinstance(slot.value, str) else slot


def _spec(intent: IntentLike | None, name: str) -> SlotLike | None:
    return next((spec for spec in intent.slots if spec.name == name), None) if intent else None


def _needed(intent: IntentLike | None) -> list[SlotLike]:
    return [spec for spec in intent.slots if spec.required] if intent else []


def _catalogues(intent: IntentLike | None, spec: SlotLike | None) -> tuple[str, ...]:
    """The skill's own catalogue before the user's of the same name; "" where the slot has none."""
    if intent is None or spec is None or not spec.catalogue:
        return ("",)
    return (f"{intent.skill}.{spec.catalogue}", spec.catalogue)


def _skill(intent: str) -> str:
    return intent.partition(".")[0]


def _plain(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """Without the signs around what was said."""
    kept = list(tokens)
    while kept and kept[-1].norm in {"?", "!", ".", ",", "…"}:
        kept.pop()
    while kept and kept[0].norm in {"¿", "¡", ",", "-", "…"}:
        kept.pop(0)
    return tuple(kept)
