"""What the log keeps of a turn: one row, without audio, and with words only where the user agreed.

`school` makes rows of turns, `log` collects them, `parquet` writes and reads them, `mining` and `off_policy` learn from
them. People are keyed hashes: without the key of the installation nobody can tell who it was, or try names out.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from services.arbitration.hypotheses import Candidate, Decision, Features, Hypothesis

SCHEMA: Final = 1
"""Version of a row. Fields are only added within a version; a reader refuses a newer one."""

UNNAMED: Final = "rw"
"""Stands for the id of any rewrite in a row without words."""

MAX_OPTIONS: Final = 10
"""Candidates that a row holds."""


@dataclass(frozen=True, slots=True)
class Option:
    """A candidate as it was ranked.

    Attributes:
        probability: calibrated, in [0, 1]; so are the features and `listed`, the shortlist's score.
        harmless: of low risk, without side effects, complete: it may be explored.
    """

    skill_id: str
    intent: str
    score: float
    probability: float
    features: Mapping[str, float]
    risk: str = "low"
    harmless: bool = True
    listed: float = 0.0


@dataclass(frozen=True, slots=True)
class Interaction:
    """A turn that is over.

    Attributes:
        tenant, user: keyed hashes; `user` is the person, else the device, else the session.
        at: when it began, seconds since 1970.
        text: what was said, plain; empty without the user's consent to keep it.
        form: the reading that won: its intent and the names of its slots, never their values.
        answers_question: the turn answers something that the assistant had asked.
        options: eligible candidates in the order of the ranker; `chosen` is the index of the one acted on, or -1, also
            where its skill failed, so that the end of the turn is none of its doing.
        out_of_scope: probability in [0, 1].
        propensity: probability with which the policy chose `chosen`.
        rewrite_id: rewrite that won; without consent only that there was one (`UNNAMED`), as its id tells the words.
        held_out: the session gets no rewrites, for comparison.
        arms: arms of split traffic as "capability=arm".
        misses: stages that missed their budget.
        ranker: who ranked, publisher/name@version.
        verdict: how it ended for the user (`rewards.Verdict`); reward: 1, 0, or None where nothing can be said.
    """

    turn_id: str
    session_id: str
    tenant: str
    user: str
    at: float
    locale: str
    turn_type: str = "initial"
    text: str = ""
    form: str = ""
    answers_question: bool = False
    action: str = ""
    reason: str = ""
    outcome: str = ""
    skill_id: str = ""
    intent: str = ""
    risk: str = ""
    options: tuple[Option, ...] = ()
    chosen: int = -1
    out_of_scope: float = 0.0
    propensity: float = 1.0
    explored: bool = False
    rewrite_id: str = ""
    held_out: bool = False
    arms: tuple[str, ...] = ()
    misses: tuple[str, ...] = ()
    ranker: str = ""
    verdict: str = "open"
    reward: float | None = None


_FIELDS: Final = tuple(f.name for f in fields(Interaction))
_OPTION_FIELDS: Final = tuple(f.name for f in fields(Option))
_FEATURES: Final = tuple(f.name for f in fields(Features))


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Names as the log writes them: HMAC-SHA-256 (RFC 2104) under the installation's key, 16 hex digits."""

    key: bytes = field(repr=False)

    def of(self, kind: str, *names: str) -> str:
        """The pseudonym; another `kind` of name gives another one."""
        message = "\0".join((kind, *names)).encode()
        return hmac.new(self.key, message, hashlib.sha256).hexdigest()[:16]


def form_of(hypothesis: Hypothesis | None) -> str:
    """`clock.time(place)`: what was understood, without what was said."""
    if hypothesis is None:
        return ""
    return f"{hypothesis.intent}({','.join(sorted({slot.name for slot in hypothesis.slots}))})"


def options_of(decision: Decision) -> tuple[tuple[Option, ...], int]:
    """Eligible candidates by score, and which of them was acted on (-1 for none)."""
    listed = sorted(decision.eligible, key=lambda candidate: -candidate.probability)[:MAX_OPTIONS]
    winner = decision.winner
    chosen = next((index for index, candidate in enumerate(listed) if candidate is winner), -1)
    return tuple(map(_option, listed)), chosen


def plain_row(row: Interaction) -> dict[str, Any]:
    """The row as plain values, features as pairs. `asdict` would copy every feature, and take ten times as long."""
    values = {name: getattr(row, name) for name in _FIELDS}
    values["options"] = [{**_of(option), "features": list(option.features.items())} for option in row.options]
    return values


def row_from(values: Mapping[str, Any]) -> Interaction:
    """The reverse; `values` may lack fields that an earlier release did not write."""
    known = dict(values)
    known["options"] = tuple(_option_from(option) for option in known.get("options") or ())
    for name in ("arms", "misses"):
        known[name] = tuple(known.get(name) or ())
    return Interaction(**known)


def _of(option: Option) -> dict[str, Any]:
    return {name: getattr(option, name) for name in _OPTION_FIELDS}


def _option(candidate: Candidate) -> Option:
    features = {name: float(getattr(candidate.features, name)) for name in _FEATURES}
    return Option(
        candidate.hypothesis.skill_id,
        candidate.hypothesis.intent,
        candidate.score,
        candidate.probability,
        features,
        str(candidate.risk),
        candidate.risk == "low" and not candidate.side_effects and not candidate.missing_slots,
        candidate.shortlist_score,
    )


def _option_from(values: Mapping[str, Any]) -> Option:
    features = values["features"]
    pairs: Iterable[tuple[str, float]] = features.items() if isinstance(features, Mapping) else features
    return Option(**{**values, "features": dict(pairs)})
