"""Who read an utterance, as the contract says it: one `ModelProvenance` per engine of this capability.

The servicer puts them on sessions, answers and readings.
"""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.types.v1 import provenance_pb2
from services.nlu.engines.engine import EngineInfo
from services.nlu.following import SOURCE as FOLLOWING
from services.nlu.interpreter import PHRASES

VALUES = "antiphon/values@1"
"""What provenance calls the readers of values."""


def provenances(
    engines: Iterable[EngineInfo], phrases_digest: str, pool: str, language: str
) -> dict[str, provenance_pb2.ModelProvenance]:
    """By name: the trained models, the phrases, what follows up, the readers of values."""
    made = {info.model: _trained(info, pool, language) for info in engines}
    made[PHRASES] = phrase_provenance(phrases_digest, pool, language)
    made[FOLLOWING] = _rules(FOLLOWING, pool, language)
    made[VALUES] = _rules(VALUES, pool, language)
    return made


def phrase_provenance(digest: str, pool: str, language: str = "") -> provenance_pb2.ModelProvenance:
    """Of phrases with this SHA-256 in hexadecimal."""
    made = _rules(PHRASES, pool, language)
    made.digest = f"sha256:{digest}"
    return made


def _trained(info: EngineInfo, pool: str, language: str) -> provenance_pb2.ModelProvenance:
    return provenance_pb2.ModelProvenance(
        model=info.model,
        digest=info.digest,
        backend=info.backend,
        engine=info.engine,
        pool=pool,
        locale=language,
        mode=provenance_pb2.MODEL_MODE_FINETUNED,
        latency_class=provenance_pb2.LATENCY_CLASS_INTERACTIVE,
    )


def _rules(model: str, pool: str, language: str) -> provenance_pb2.ModelProvenance:
    return provenance_pb2.ModelProvenance(
        model=model,
        backend="rules",
        engine="antiphon",
        pool=pool,
        locale=language,
        mode=provenance_pb2.MODEL_MODE_RULES,
        latency_class=provenance_pb2.LATENCY_CLASS_INTERACTIVE,
    )
