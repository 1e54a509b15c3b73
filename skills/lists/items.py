"""From what was said to the things on a list: "milk, eggs and bread" are three.

`kept.py` adds and removes what this gives. A comma or an "and" splits shopping; a thing to do keeps its "and" ("call
mum and dad"), and so does what is longer than a few words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from antiphon.skills.values import folded, plain

MAX_ITEM: Final = 300
"""Characters of one thing."""

MOST_AT_ONCE: Final = 50

_SHORT: Final = 3
"""Words of a thing that an "and" may split off."""

_COMMA: Final = re.compile(r"\s*[,;\n]\s*(?!\d)|\s+[,;]\s*")
_AND: Final[Mapping[str, re.Pattern[str]]] = {
    "en": re.compile(r"\s+(?:and also|and then|and|plus|as well as)\s+", re.IGNORECASE),
    "de": re.compile(r"\s+(?:und auch|und noch|und|sowie|plus)\s+", re.IGNORECASE),
    "es": re.compile(r"\s+(?:y también|y|e|más)\s+", re.IGNORECASE),
    "fr": re.compile(r"\s+(?:et aussi|et puis|et|plus)\s+", re.IGNORECASE),
    "it": re.compile(r"\s+(?:e anche|e poi|e|ed|più)\s+", re.IGNORECASE),
}
_LEADING: Final = re.compile(
    r"^(?:(?:and|und|y|e|ed|et|also|auch|también|aussi|anche|please|bitte|por favor|per favore)(?:\s+|$))+",
    re.IGNORECASE,
)
_ARTICLES: Final[Mapping[str, re.Pattern[str]]] = {
    "en": re.compile(r"^(?:some|any|the|my|more|a|an)\s+"),
    "de": re.compile(r"^(?:der|die|das|den|dem|ein|eine|einen|etwas|mehr|meine|meinen|noch)\s+"),
    "es": re.compile(r"^(?:el|la|los|las|un|una|unos|unas|mi|mis|más)\s+"),
    "fr": re.compile(r"^(?:de la |de l'|du |des |les |le |la |l'|une |un |mon |ma |mes |d'|de )"),
    "it": re.compile(
        r"^(?:il |lo |la |i |gli |le |l'|un'|una |uno |un |del |della |dello |dei |degli |delle |dell'|mio |mia )"
    ),
}
_WORD: Final = re.compile(r"\w+")


def things(text: str, language: str, *, whole: bool = False) -> Sequence[str]:
    """What was said, thing by thing, each once; at most `MOST_AT_ONCE`. `whole`: only commas split."""
    found: dict[str, str] = {}
    pattern = _AND.get(language, _AND["en"])
    for part in _COMMA.split(text):
        pieces = pattern.split(part)
        if whole or any(len(piece.split()) > _SHORT for piece in pieces):
            pieces = [part]
        for piece in pieces:
            thing = plain(_LEADING.sub("", piece.strip()), MAX_ITEM)
            if thing and key(thing, language):
                found.setdefault(key(thing, language), thing)
    return tuple(found.values())[:MOST_AT_ONCE]


def key(thing: str, language: str) -> str:
    """What makes two things the same: their words without articles, accents and case."""
    bare = _ARTICLES.get(language, _ARTICLES["en"]).sub("", thing.casefold().replace("’", "'"), count=1)
    return " ".join(_WORD.findall(folded(bare))) or bare.strip()


def found(asked: str, kept: Sequence[str], language: str, *, sure: bool = False) -> Sequence[str]:
    """The things that were meant: the same, else the same but for a plural, else those that hold all the words.

    Args:
        sure: "milk" must not mean both "oat milk" and "soy milk".
    """
    wanted = key(asked, language)
    if not wanted:
        return ()
    keys = {thing: key(thing, language) for thing in kept}
    same = [thing for thing, one in keys.items() if one == wanted]
    like = same or [thing for thing, one in keys.items() if _stem(one) == _stem(wanted)]
    holding = like or [thing for thing, one in keys.items() if set(wanted.split()) <= set(one.split())]
    return holding if like or not sure or len(holding) == 1 else ()


def _stem(text: str) -> str:
    """Without what makes plurals in these languages; near enough to find "egg" among "eggs"."""
    return " ".join(re.sub(r"(?:en|es|er|[snaeio])$", "", word) if len(word) > 3 else word for word in text.split())
