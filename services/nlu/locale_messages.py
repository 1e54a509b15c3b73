"""From the contract's labelled examples and new locales to the domain's; the servicer calls it, and nothing else."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator

from antiphon.nlu.v1 import understanding_pb2 as pb
from services.nlu.locales.adding import MAX_WORD
from services.nlu.locales.material import MAX_EXAMPLES, NewLocale
from services.nlu.locales.translation import MAX_ENTRIES
from services.nlu.text import normalise
from services.nlu.understanding import Example
from services.runtime.errors import InvalidInput
from services.runtime.language import canonical


def examples_of(given: Iterable[pb.LabelledExample]) -> Iterator[Example]:
    """As they came; `in_context.checked` refuses what cannot be gone by."""
    for one in given:
        yield Example(one.text, one.intent, tuple((slot.name, slot.span.start, slot.span.end) for slot in one.slots))


def new_locale(request: pb.AddLocaleRequest) -> NewLocale:
    """What is asked for; sizes are checked on the message, before anything is made of it.

    Raises:
        InvalidInput: `LANGUAGE_TAG_MALFORMED`, `LEXICON_INVALID`, or an example that cannot be read.
    """
    if len(request.lexicon) > MAX_ENTRIES or len(request.examples) > MAX_EXAMPLES:
        raise InvalidInput(
            f"A locale comes with at most {MAX_ENTRIES} entries and {MAX_EXAMPLES} examples.",
            reason="LEXICON_INVALID",
            field="lexicon",
        )
    content = pb.AddLocaleRequest()
    content.CopyFrom(request)
    content.ClearField("idempotency_key")
    return NewLocale(
        locale=canonical(request.language_code),
        source=canonical(request.source_language_code or "en", field="source_language_code"),
        lexicon=tuple(
            (_word(one.source, at), tuple(_word(target, at) for target in one.targets))
            for at, one in enumerate(request.lexicon)
        ),
        examples=tuple(
            Example(normalise(one.text, field=f"examples[{at}].text"), one.intent, one.slots)
            for at, one in enumerate(examples_of(request.examples))
        ),
        digest=hashlib.sha256(content.SerializeToString(deterministic=True)).hexdigest(),
    )


def _word(text: str, at: int) -> str:
    if len(text) > MAX_WORD:
        raise InvalidInput(
            f"A word has at most {MAX_WORD} code points.", reason="LEXICON_INVALID", field=f"lexicon[{at}]"
        )
    return unicodedata.normalize("NFC", text)
