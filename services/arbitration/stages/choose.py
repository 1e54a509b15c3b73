"""What "the second one" means, after "this or that?".

Asked before understanding while a choice is open: an ordinal, a number or the name of a skill, with nothing else but
small words, picks a reading that was offered. Whatever else is said is read as it always is, so that users may change
their mind. Ordinals are known in five languages; figures and names in all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from services.arbitration.contexts import PromptKind, TurnContext
from services.arbitration.hypotheses import DIALOGUE_SKILL, Hypothesis, Understanding
from services.arbitration.registry_of_skills import SkillRegistry


@dataclass(frozen=True, slots=True)
class Counting:
    """How one language counts what was offered.

    Attributes:
        ordinals: beginnings of the words for first, second, third.
        last: beginnings of the words for the last one.
        numbers: one, two, three.
        small: words that may stand around.
    """

    ordinals: tuple[tuple[str, ...], ...]
    last: tuple[str, ...]
    numbers: tuple[tuple[str, ...], ...]
    small: frozenset[str]


def _counting(ordinals: str, last: str, numbers: str, small: str) -> Counting:
    def groups(words: str) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(group.split("/")) for group in words.split())

    return Counting(groups(ordinals), tuple(last.split("/")), groups(numbers), frozenset(small.split()))


COUNTING: Final[Mapping[str, Counting]] = {
    "en": _counting(
        "first/1st second/2nd third/3rd", "last", "one two three",
        "the one i mean meant want take use choose with please option number skill that it s is",
    ),
    "de": _counting(
        "erst zweit dritt", "letzt", "eins zwei drei",
        "der die das den dem ich meine nimm nehme will möchte mit bitte option nummer von",
    ),
    "es": _counting(
        "primer segund tercer", "últim", "uno/una dos tres",
        "el la lo de quiero digo con usa por favor opción número es",
    ),
    "fr": _counting(
        "premi deuxième/second troisième", "derni", "un/une deux trois",
        "le la l je veux prends avec celui celle option numéro s il te vous plaît c est",
    ),
    "it": _counting(
        "primo/prima second terz", "ultim", "uno/una due tre",
        "il la lo l voglio prendo usa con quello quella per favore opzione numero è",
    ),
}  # fmt: skip

_WORD: Final = re.compile(r"\w+")
_FIGURES: Final = (("1",), ("2",), ("3",))


def chosen(text: str, context: TurnContext, registry: SkillRegistry) -> Understanding | None:
    """The reading that the words pick; None when no choice is open, or they do not pick exactly one.

    Args:
        text: the best alternative of what was heard.
    """
    pending = context.state.pending
    if pending is None or pending.kind is not PromptKind.CLARIFY or not pending.about:
        return None
    offered = _offered(pending.about)
    if not offered:
        return None
    said = _words(text)
    counting = COUNTING.get(context.profile.locale.partition("-")[0])
    at = _named(said, offered, counting, context.profile.locale, registry)
    if at is None:
        at = _counted(said, counting, len(offered))
    return Understanding((replace(offered[at].interpretation, confidence=1.0),)) if at is not None else None


def _offered(about: Iterable[Hypothesis]) -> list[Hypothesis]:
    """One reading for each skill that has a name: what is offered goes by these."""
    first: dict[str, Hypothesis] = {}
    for hypothesis in about:
        if hypothesis.skill_id != DIALOGUE_SKILL:
            first.setdefault(hypothesis.skill_id, hypothesis)
    return list(first.values())


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _named(
    said: list[str], offered: list[Hypothesis], counting: Counting | None, locale: str, registry: SkillRegistry
) -> int | None:
    small = counting.small if counting else frozenset()
    bare = [word for word in said if word not in small]
    found = [
        number
        for number, hypothesis in enumerate(offered)
        if any(said == name or (bare and bare == name) for name in _names(hypothesis.skill_id, locale, registry))
    ]
    return found[0] if len(found) == 1 else None


def _names(skill_id: str, locale: str, registry: SkillRegistry) -> list[list[str]]:
    skill = registry.find(skill_id)
    names = skill.manifest.names if skill else {}
    own = [name for tag, name in names.items() if tag.partition("-")[0] == locale.partition("-")[0]]
    return [_words(name) for name in (*own, skill_id.replace("_", " "))]


def _counted(said: list[str], counting: Counting | None, count: int) -> int | None:
    """Which one an ordinal means, or else a number, where all other words are small."""
    ordinals, numbers = _found(said, counting.ordinals if counting else ()), _found(said, _FIGURES, whole=True)
    small = counting.small if counting else frozenset()
    if counting is not None:
        numbers |= _found(said, counting.numbers, whole=True)
        if any(word.startswith(counting.last) for word in said):
            ordinals.add(count - 1)
    picked = ordinals or numbers
    rest = [word for word in said if word not in small and not _counts(word, counting)]
    if len(picked) != 1 or rest:
        return None
    (at,) = picked
    return at if at < count else None


def _found(said: list[str], groups: tuple[tuple[str, ...], ...], *, whole: bool = False) -> set[int]:
    return {
        number
        for number, group in enumerate(groups)
        if any(word in group if whole else word.startswith(group) for word in said)
    }


def _counts(word: str, counting: Counting | None) -> bool:
    if any(word in group for group in _FIGURES):
        return True
    if counting is None:
        return False
    begins = tuple(begin for group in counting.ordinals for begin in group) + counting.last
    return word.startswith(begins) or any(word in group for group in counting.numbers)
