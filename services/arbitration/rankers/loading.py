"""Rankers from their bundles, when a replica starts (`replica.FrontDoor.build`).

The bundles that ship are in `services/arbitration/models`; an operator's own of the same names, trained on real turns,
come before them (`ANTIPHON_MODELS`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from services.arbitration.hypotheses import Provenance
from services.arbitration.rankers.boosted import BoostedRanker
from services.arbitration.rankers.choice import RankerKind, Rankers
from services.arbitration.rankers.linear import LinearRanker
from services.arbitration.rankers.matrix import check
from services.arbitration.rankers.ranker import Ranker
from services.arbitration.rankers.recurrent import RecurrentRanker
from services.arbitration.rankers.shortlisted import ShortlistRanker
from services.arbitration.stages.calibrate import Calibration
from services.runtime.errors import AntiphonError, FailedPrecondition
from services.runtime.inference import ModelClient, ModelDefinition

log = logging.getLogger(__name__)

BUNDLED: Final = Path(__file__).parent.parent / "models"

MODELS: Final[Mapping[RankerKind, str]] = {
    RankerKind.LINEAR: "antiphon/rank-linear",
    RankerKind.LAMBDA_MART: "antiphon/rank-lambdamart",
    RankerKind.BI_LSTM: "antiphon/rank-bilstm",
}


async def load_rankers(client: ModelClient, default: RankerKind, *, learned: bool = True) -> Rankers:
    """All rankers that can be had. One that cannot is left out, with the reason in the log, unless it is the default.

    Args:
        learned: False gives the linear ranker the weights set by hand.

    Raises:
        FailedPrecondition: the default cannot be loaded: `MODEL_MISSING`, `RANKER_FEATURES` (its bundle was made for
            other features), `MODEL_DEFINITION_INVALID`.
    """
    loaded: dict[RankerKind, Ranker] = {RankerKind.SHORTLIST: ShortlistRanker()}
    for kind, model in MODELS.items():
        if kind is RankerKind.LINEAR and not learned:
            loaded[kind] = LinearRanker()
            continue
        try:
            loaded[kind] = await _load(client, kind, model)
        except AntiphonError as error:
            if kind is default:
                raise
            log.error("ranker %s is left out: %s", kind, error.message)
    return Rankers(default, loaded)


async def _load(client: ModelClient, kind: RankerKind, model: str) -> Ranker:
    definition = client.definition(model)
    check(definition)
    calibration = _calibration(definition)
    if kind is RankerKind.LINEAR:
        return linear_ranker(definition)
    await client.load(definition.id)
    backend = client.backend(definition.id)
    made = BoostedRanker if kind is RankerKind.LAMBDA_MART else RecurrentRanker
    return made(client, definition.id, calibration, _provenance(definition, backend, "onnxruntime"))


def linear_ranker(definition: ModelDefinition) -> LinearRanker:
    """The linear ranker of a bundle: its file is JSON with `weights`, `none` and `none_per_out_of_scope`.

    Raises:
        FailedPrecondition: the file is not what it was signed off as, or holds something else.
    """
    try:
        held: dict[str, Any] = json.loads(definition.verified_bytes())
        return LinearRanker(
            {str(name): float(points) for name, points in held["weights"].items()},
            _calibration(definition),
            none=float(held["none"]),
            none_per_out_of_scope=float(held["none_per_out_of_scope"]),
            provenance=_provenance(definition, "embedded", "python"),
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _unusable(definition, str(error)) from error


def _calibration(definition: ModelDefinition) -> Calibration:
    given = definition.parameters
    try:
        shift = {str(domain): float(points) for domain, points in dict(given.get("shift", {})).items()}
        return Calibration(float(given.get("temperature", 1.0)), shift)
    except (ValueError, TypeError) as error:
        raise _unusable(definition, str(error)) from error


def _provenance(definition: ModelDefinition, backend: str, engine: str) -> Provenance:
    return Provenance(definition.id, backend, engine, digest=f"sha256:{definition.sha256}", mode="FINETUNED")


def _unusable(definition: ModelDefinition, why: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"{definition.id} is no ranker: {' '.join(why.split())[:160]}", reason="MODEL_DEFINITION_INVALID"
    )
