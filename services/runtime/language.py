"""BCP-47 language tags and the order in which models are tried for one.

Every capability that picks a model by language calls this: a request for `de-AT` is served by a model for `de-AT`, else
`de`, else a sibling such as `de-DE`, else a multilingual one (`mul`). Tags come from clients, so length and syntax are
checked here and nothing is remembered without bound. Parsing and distances are those of `langcodes` (RFC 5646, CLDR).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import langcodes
from langcodes import Language, language_distance
from langcodes.tag_parser import LanguageTagError

from services.runtime.errors import InvalidInput

MULTILINGUAL = "mul"
"""ISO 639-2 code for "several languages": what a multilingual model declares."""

UNDETERMINED = "und"
"""The tag of a request that leaves the language open."""

MAX_TAG_LENGTH = 35
"""Characters; RFC 5646 section 4.4.1 asks implementations to take at least this many."""

MAX_DISTANCE = 9
"""CLDR distance up to which a reader of the one is served well by the other (gsw -> de is 8, ca -> es is 20)."""

_REMEMBERED = 4096


def canonical(tag: str, *, field: str = "language_code") -> str:
    """The canonical form of a tag: `DE_at` -> `de-AT`, `iw` -> `he`.

    Raises:
        InvalidInput: `LANGUAGE_TAG_MALFORMED` when it is not a BCP-47 tag of at most 35 characters.
    """
    if not 0 < len(tag) <= MAX_TAG_LENGTH or not tag.isascii():
        raise _malformed(field)
    try:
        return _canonical(tag)
    except LanguageTagError:
        raise _malformed(field) from None


def fallbacks(tag: str) -> tuple[str, ...]:
    """The tags to try for one that was asked for, best first: `de-AT` -> (`de-AT`, `de`, `mul`)."""
    broader = (str(step) for step in Language.get(canonical(tag)).broaden())
    narrow = tuple(step for step in broader if not step.startswith(UNDETERMINED) and step != MULTILINGUAL)
    return (*narrow, MULTILINGUAL)


def best_supported(requested: Sequence[str], supported: Iterable[str]) -> str | None:
    """The supported tag that serves the first request it can, or None.

    Args:
        requested: tags in the caller's order of preference.
        supported: tags of the models there are; the answer is one of these, spelled as here.

    Per request: the fallback chain, then the nearest relative within `MAX_DISTANCE`; `mul` only after every request
    was refused by the models of single languages. An utterance is asked about this some ten times: it is remembered.
    """
    return _best(tuple(requested), tuple(supported))


@lru_cache(maxsize=_REMEMBERED)
def _best(requested: tuple[str, ...], supported: tuple[str, ...]) -> str | None:
    by_tag = {canonical(tag): tag for tag in supported}
    for wanted in requested:
        for step in fallbacks(wanted)[:-1]:
            if step in by_tag:
                return by_tag[step]
        if relative := _nearest(canonical(wanted), tuple(by_tag)):
            return by_tag[relative]
    return by_tag.get(MULTILINGUAL)


@lru_cache(maxsize=_REMEMBERED)
def _canonical(tag: str) -> str:
    _forget()
    return langcodes.standardize_tag(tag)


@lru_cache(maxsize=_REMEMBERED)
def _nearest(wanted: str, supported: tuple[str, ...]) -> str | None:
    _forget()
    candidates = [tag for tag in supported if tag != MULTILINGUAL]
    return langcodes.closest_supported_match(wanted, candidates, MAX_DISTANCE)


def _forget() -> None:
    """langcodes keeps every tag it has ever seen; a client that makes tags up must not fill our memory."""
    for cache in (Language._PARSE_CACHE, Language._INSTANCES, language_distance._DISTANCE_CACHE):
        if len(cache) > 4 * _REMEMBERED:
            cache.clear()


def _malformed(field: str) -> InvalidInput:
    return InvalidInput(
        "A language code is a BCP-47 tag of at most 35 characters, such as en-US or de.",
        reason="LANGUAGE_TAG_MALFORMED",
        field=field,
    )
