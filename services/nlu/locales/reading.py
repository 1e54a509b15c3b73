"""Reads a locale that was added: the skills' own intents, by a small model, and by phrases made word by word.

`adding.py` makes one per locale; the interpreter asks it as it asks any reader of labels, with labels of the taxonomy
"intent", and lays utterances beside its phrases for the slots.
"""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from services.nlu.claims import INTENTS
from services.nlu.engines.engine import EngineInfo
from services.nlu.engines.labels import LEAST, LabelReading
from services.nlu.engines.language_features import BUCKETS
from services.nlu.engines.phrases import PhraseBook
from services.nlu.library import Shelf
from services.nlu.locales.learning import LinearModel
from services.nlu.locales.material import OUTSIDE
from services.nlu.skills import Intent, Skill
from services.nlu.text import Token

_LARGEST = 64_000_000  # of a stored model once unpacked


class LocaleReader:
    """One added locale.

    Args:
        locale: that it serves.
        model: of the intents.
        phrases: intent -> phrases in the locale.
        shelf: the skills whose slots the phrases name; slots that are gone are passed over.
        stored: both as they are kept, where they were read from there.
    """

    def __init__(
        self, locale: str, model: LinearModel, phrases: Mapping[str, Sequence[str]], shelf: Shelf, stored: bytes = b""
    ) -> None:
        self.locale = locale
        self._model = model
        self._phrases = phrases
        self._stored = stored or _packed(model, phrases)
        self._digest = hashlib.sha256(self._stored).hexdigest()
        self.book = PhraseBook(_skills(locale, phrases, shelf), locale)

    @classmethod
    def of(cls, locale: str, stored: bytes, shelf: Shelf) -> LocaleReader:
        """What `stored` gave. Raises ValueError or zlib.error for what it did not."""
        size = int.from_bytes(stored[:4], "big")
        phrases = json.loads(zlib.decompressobj().decompress(stored[4 : 4 + size], _LARGEST))
        with np.load(io.BytesIO(stored[4 + size :]), allow_pickle=False) as arrays:
            rows = np.zeros((BUCKETS, len(arrays["names"])), np.int8)
            rows[arrays["touched"]] = arrays["rows"]
            names = tuple(str(name) for name in arrays["names"])
            model = LinearModel(names, rows, arrays["scales"], arrays["bias"])
        return cls(locale, model, phrases, shelf, stored)

    @property
    def stored(self) -> bytes:
        """For the store."""
        return self._stored

    @property
    def info(self) -> EngineInfo:
        return EngineInfo(
            model=f"antiphon/locale-{self.locale.lower()}@{self._digest[:12]}",
            digest=f"sha256:{self._digest}",
            licence="",
            locales=(self.locale,),
            backend="embedded",
            engine="antiphon",
            size_bytes=len(self._stored),
            intents=tuple(f"{INTENTS}:{name}" for name in self._model.names if name != OUTSIDE),
            description="Made here from a bilingual lexicon: phrases of skills word by word, logistic regression.",
            scores=(),
            untrained=True,
        )

    async def read(self, sentences: Sequence[Sequence[Token]], deadline: float | None) -> Sequence[LabelReading]:
        """Takes about 0.2 ms per sentence, so it does not leave the event loop."""
        return [self._reading(tokens) for tokens in sentences]

    def _reading(self, tokens: Sequence[Token]) -> LabelReading:
        if not any(token.norm[0].isalnum() for token in tokens):
            return LabelReading({}, {INTENTS: 1.0}, ())
        told = self._model.probabilities(tokens)
        outside = told.pop(OUTSIDE, 0.0)
        return LabelReading(
            {f"{INTENTS}:{name}": share for name, share in told.items() if share >= LEAST}, {INTENTS: outside}, ()
        )


def _packed(model: LinearModel, phrases: Mapping[str, Sequence[str]]) -> bytes:
    """Phrases, then the rows of the model that are not zero; the same bytes for the same content."""
    touched = np.flatnonzero(np.any(model.rows != 0, axis=1))
    arrays = io.BytesIO()
    np.savez_compressed(
        arrays,
        names=np.array(model.names),
        touched=touched,
        rows=model.rows[touched],
        scales=model.scales,
        bias=model.bias,
    )
    said = zlib.compress(json.dumps(phrases, ensure_ascii=False, sort_keys=True).encode())
    return len(said).to_bytes(4, "big") + said + arrays.getvalue()


def _skills(locale: str, phrases: Mapping[str, Sequence[str]], shelf: Shelf) -> list[Skill]:
    """The skills with these phrases in the place of their own, and with their own slots and catalogues."""
    made = []
    for skill in shelf.skills.values():
        intents = tuple(
            Intent(one.skill, one.name, one.slots, {locale: tuple(said)})
            for one in skill.intents
            if (said := phrases.get(one.full_name))
        )
        if intents:
            made.append(Skill(skill.skill_id, skill.version, (locale,), intents, skill.catalogues, skill.digest))
    return made
