"""The rankers of a replica by kind. `judging` asks for one per decision: the default, or the one a request names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.arbitration.rankers.linear import LinearRanker
from services.arbitration.rankers.ranker import Ranker
from services.runtime.errors import FailedPrecondition


class RankerKind(StrEnum):
    """How candidates are scored; the names are the contract's."""

    LINEAR = "LINEAR"
    LAMBDA_MART = "LAMBDA_MART"
    BI_LSTM = "BI_LSTM"
    SHORTLIST = "SHORTLIST"


def _hand_set() -> Mapping[RankerKind, Ranker]:
    return {RankerKind.LINEAR: LinearRanker()}


@dataclass(frozen=True, slots=True)
class Rankers:
    """Those that are loaded. Without arguments: the linear one with weights set by hand."""

    default: RankerKind = RankerKind.LINEAR
    by_kind: Mapping[RankerKind, Ranker] = field(default_factory=_hand_set)

    def __post_init__(self) -> None:
        self.get(self.default)

    def get(self, kind: RankerKind | None = None) -> Ranker:
        """The ranker of a kind; None is the default. Raises FailedPrecondition `RANKER_NOT_LOADED`."""
        kind = kind or self.default
        if (ranker := self.by_kind.get(kind)) is None:
            raise FailedPrecondition(
                f"No {kind} ranker is loaded; there are {', '.join(sorted(self.by_kind))}.",
                reason="RANKER_NOT_LOADED",
                field="ranker",
            )
        return ranker
