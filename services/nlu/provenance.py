"""Who read an utterance, as the contract says it: one `ModelProvenance` per engine of this capability.

The servicer puts them on sessions, answers and readings.
"""

from __future__ import annotations

from collections.abc import Iterable

from antiphon.types.v1 import provenance_pb2
from services.nlu.engines.engine import EngineInfo
from services.nlu.following import SOURCE as FOLLOWING
from services.nlu.in_context import IN_CONTEXT
from services.nlu.sources import PHRASES
from services.nlu.understanding import Mode

VALUES = "antiphon/values@1"
"""What provenance calls the readers of values."""


def provenances(
    engines: Iterable[EngineInfo],
    phrases_digest: str,
    pool: str,
    language: str,
    by_examples: EngineInfo | None = None,
) -> dict[str, provenance_pb2.ModelProvenance]:
    """By name: the trained models, the one that goes by examples if any did, the phrases, what follows up, the readers
    of values."""
    made = {info.model: trained_provenance(info, pool, language) for info in engines}
    if by_examples is not None:
        made[f"{by_examples.model}{IN_CONTEXT}"] = trained_provenance(by_examples, pool, language, Mode.IN_CONTEXT)
    made[PHRASES] = phrase_provenance(phrases_digest, pool, language)
    made[FOLLOWING] = _rules(FOLLOWING, pool, language)
    made[VALUES] = _rules(VALUES, pool, language)
    return made


def phrase_provenance(digest: str, pool: str, language: str = "") -> provenance_pb2.ModelProvenance:
    """Of phrases with this SHA-256 in hexadecimal."""
    made = _rules(PHRASES, pool, language)
    made.digest = f"sha256:{digest}"
    return made


def trained_provenance(
    info: EngineInfo, pool: str, language: str, mode: Mode | None = None
) -> provenance_pb2.ModelProvenance:
    """Of a trained model as it reads a language: the locale is the model's own that serves it."""
    return provenance_pb2.ModelProvenance(
        model=info.model,
        digest=info.digest,
        backend=info.backend,
        engine=info.engine,
        pool=pool,
        locale=info.serves(language) or language,
        mode=provenance_pb2.ModelMode.Value(f"MODEL_MODE_{(mode or info.mode(language)).value}"),
        latency_class=provenance_pb2.LATENCY_CLASS_INTERACTIVE,
        lineage=info.lineage,
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
