"""The trained models of one skill as one value, and as the bytes that the store keeps for all replicas.

`teaching.py` makes them, `lessons.py` stores them and `book.py` reads by them. The bytes are a head in JSON and arrays
behind it, packed; weights are kept in sixteen bits, which changes no score in its second digit.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from services.nlu.one_vs_all.features import BUCKETS
from services.nlu.one_vs_all.fitting import BinaryModel

FORM: Final = 1
"""Of features and bytes; models of another form are not read but made anew."""

NAME: Final = "antiphon/one-vs-all"
_LARGEST = 32_000_000


@dataclass(frozen=True)
class SkillModels:
    """One binary model per intent and locale, trained together.

    Attributes:
        digest: of the manifest they were trained for.
        seen: skill -> digest of its manifest, for the others they were trained against.
        by_locale: locale -> full name of the intent -> model.
    """

    skill_id: str
    version: str
    digest: str
    seen: Mapping[str, str]
    by_locale: Mapping[str, Mapping[str, BinaryModel]]

    @property
    def name(self) -> str:
        """As provenance has it."""
        return f"{NAME}.{self.skill_id}@{self.version}"

    @cached_property
    def packed(self) -> bytes:
        models = [one for by_intent in self.by_locale.values() for one in by_intent.values()]
        head = {
            "form": FORM,
            "skill": [self.skill_id, self.version, self.digest],
            "seen": dict(self.seen),
            "models": [
                [locale, intent, len(one.features), one.bias]
                for locale, by_intent in self.by_locale.items()
                for intent, one in by_intent.items()
            ],
        }
        features = np.concatenate([np.zeros(0, "<i4"), *(one.features for one in models)]).astype("<i4")
        weights = np.concatenate([np.zeros(0, "<f2"), *(one.weights for one in models)]).astype("<f2")
        begin = json.dumps(head).encode()
        return zlib.compress(len(begin).to_bytes(4, "big") + begin + features.tobytes() + weights.tobytes(), level=1)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.packed).hexdigest()

    @property
    def weights(self) -> int:
        return sum(len(one.features) for by_intent in self.by_locale.values() for one in by_intent.values())


def unpacked(value: bytes) -> SkillModels:
    """The models in some bytes.

    Raises:
        ValueError: no such models, or of another form.
    """
    try:
        plain = zlib.decompressobj().decompress(value, _LARGEST)
    except zlib.error as error:
        raise ValueError("no models") from error
    size = int.from_bytes(plain[:4], "big")
    head: dict[str, Any] = json.loads(plain[4 : 4 + size])
    if head.get("form") != FORM:
        raise ValueError("models of another form")
    count = sum(one[2] for one in head["models"])
    body = plain[4 + size :]
    if len(body) != 6 * count:
        raise ValueError("models cut short")
    features = np.frombuffer(body, "<i4", count).astype(np.int32)
    weights = np.frombuffer(body, "<f2", count, 4 * count).astype(np.float32)
    if count and not 0 <= features.min() <= features.max() < BUCKETS:
        raise ValueError("models of other features")
    made: dict[str, dict[str, BinaryModel]] = {}
    at = 0
    for locale, intent, own, bias in head["models"]:
        made.setdefault(locale, {})[intent] = BinaryModel(features[at : at + own], weights[at : at + own], float(bias))
        at += own
    skill_id, version, digest = head["skill"]
    return SkillModels(skill_id, version, digest, head["seen"], made)
