"""What another ranker would have been worth, told from the log of the one that served; and the gate it has to pass.

`antiphon learn evaluate` asks it before a ranker is tried on anybody. Rewards are known only for what was executed, so
choices of the new ranker are weighed by how probable they were to be executed: self-normalised inverse propensities
(SNIPS; Swaminathan and Joachims 2015, arXiv 1511.05259) and the doubly robust estimate (Dudík, Langford and Li 2011,
arXiv 1103.4601), which fills in with a model of the reward where exploration has not looked. Confidence intervals are a
bootstrap over people, since the turns of one are alike.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.arbitration.hypotheses import Candidate, Features, Hypothesis, Interpretation, Reason, Risk
from services.arbitration.learning.exploration import CLOSE, MOST_CLOSE
from services.arbitration.learning.interactions import Interaction, Option

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Choose = Callable[[Interaction], Awaitable[int]]
"""Which option of a row a policy takes."""

DRAWS: Final = 500
"""Bootstrap samples."""

MAX_PEOPLE: Final = 20_000
"""More are put together in so many groups, which are as good to draw from and keep memory bounded (40 MB)."""

SEED: Final = 7

NEW_ARM: Final = "ranker=new"
"""Turns of a ranker on trial: they are another policy's."""

OTHERS: Final = "others"
"""Domains that are too small to be judged alone."""

FEATURES: Final = tuple(sorted(f.name for f in fields(Features)))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval; rewards are in [0, 1]."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Gate:
    """What a ranker must show before it is tried.

    Attributes:
        tolerance: how much lower than the serving ranker's value the lower bound may lie: bounds are never exactly 0.
        changed: largest share of decisions that may change, in each domain. A much better ranker is blocked by it too:
            what is learned is let in by small steps, which users can follow and which can be taken back.
        turns: least number of turns with a known end; `domain_turns` of a domain that is judged by itself: the smaller
            ones are judged together.
        unsupported: largest share of turns whose choice was never open to exploration: there the estimate is a guess.
    """

    tolerance: float = 0.005
    changed: float = 0.05
    turns: int = 1_000
    domain_turns: int = 200
    unsupported: float = 0.05


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        logged: mean reward of the turns as they went.
        serving, snips, robust: value of the serving ranker (without exploration), and of the other by both estimates.
        gain: `robust` less the serving ranker's doubly robust value, turn by turn.
        changed: share of decisions that differ, by domain; `overall` of all.
        unsupported: share of turns in which the other's choice could never have been executed: there the model of
            rewards speaks alone.
        blocked: why it may not be tried, as sentences; empty when it may.
        better: the gain is above 0 for certain.
    """

    turns: int
    logged: float
    serving: Estimate
    snips: Estimate
    robust: Estimate
    gain: Estimate
    changed: Mapping[str, float]
    overall: float
    unsupported: float
    blocked: tuple[str, ...]

    @property
    def better(self) -> bool:
        return self.gain.lower > 0.0


@dataclass
class Evidence:
    """Columns of the usable rows; all of one length n.

    Attributes:
        taken, other: features (n x d) of what was executed, of what the other ranker would execute; `best` of the
            serving ranker's first choice.
        same_taken, best_taken: whether the other's choice, and the serving ranker's, was what was executed.
    """

    reward: Floats
    propensity: Floats
    taken: Floats
    other: Floats
    best: Floats
    same_taken: NDArray[np.bool_]
    best_taken: NDArray[np.bool_]
    changed: NDArray[np.bool_]
    supported: NDArray[np.bool_]
    people: Numbers
    domains: list[str] = field(default_factory=list)


def usable(row: Interaction) -> bool:
    """Whether a row tells of a choice of the serving ranker: it was executed, and its end is known."""
    executed = row.action == "execute" and row.chosen >= 0 and row.propensity > 0
    if row.reason == Reason.CONFIRMED_BY_USER:  # they chose
        return False
    return executed and row.reward is not None and NEW_ARM not in row.arms


async def gathered(rows: Iterable[Interaction], choose: Choose) -> Evidence:
    """The columns of the rows that can be used, with what `choose` would have done."""
    people: dict[str, int] = {}
    columns: list[_Columns] = []
    for row in rows:  # a row is some kilobytes, what is kept of it half of one
        if usable(row):
            person = people.setdefault(f"{row.tenant}/{row.user}", len(people))
            columns.append(_columns(row, await choose(row), person))

    def column(name: str, dtype: type) -> NDArray[Any]:
        return np.array([getattr(each, name) for each in columns], dtype=dtype)

    def matrix(name: str) -> Floats:
        return column(name, np.float64).reshape(len(columns), 1 + len(FEATURES))

    return Evidence(
        reward=column("reward", np.float64),
        propensity=column("propensity", np.float64),
        taken=matrix("taken"),
        other=matrix("other"),
        best=matrix("best"),
        same_taken=column("same_taken", bool),
        best_taken=column("best_taken", bool),
        changed=column("changed", bool),
        supported=column("supported", bool),
        people=column("person", np.int64),
        domains=[each.domain for each in columns],
    )


def evaluate(evidence: Evidence, gate: Gate | None = None, seed: int = SEED) -> Report:
    """Both estimates, their intervals and the gate's verdict."""
    gate = gate or Gate()
    n = len(evidence.reward)
    if n == 0:
        nothing = Estimate(0.0, 0.0, 0.0)
        return Report(
            0, 0.0, nothing, nothing, nothing, nothing, {}, 0.0, 0.0, ("the log holds no turn to learn from",)
        )
    model = _fitted(evidence)
    weight = evidence.same_taken / evidence.propensity
    weight_best = evidence.best_taken / evidence.propensity
    error = evidence.reward - model(evidence.taken)
    robust = model(evidence.other) + weight * error
    serving = model(evidence.best) + weight_best * error
    draws = _draws(evidence.people, seed)
    snips = _ratio(weight * evidence.reward, weight, draws)
    estimates = [_mean(values, draws) for values in (serving, robust, robust - serving)]
    changed = _changed(evidence, gate)
    unsupported = float(1.0 - evidence.supported.mean())
    blocked = tuple(_reasons(n, estimates[2], changed, unsupported, gate))
    return Report(
        n,
        float(evidence.reward.mean()),
        estimates[0],
        snips,
        estimates[1],
        estimates[2],
        changed,
        float(evidence.changed.mean()),
        unsupported,
        blocked,
    )


def candidates_of(row: Interaction) -> tuple[Candidate, ...]:
    """The options of a row as a ranker takes them; words and slots are not in the log, and no ranker looks at them."""
    known = {f.name for f in fields(Features)}
    return tuple(
        Candidate(
            Hypothesis(option.skill_id, Interpretation(option.intent, option.features.get("intent_confidence", 0.0))),
            risk=Risk(option.risk),
            side_effects=not option.harmless,
            shortlist_score=option.listed,
            features=Features(**{name: value for name, value in option.features.items() if name in known}),
            score=option.score,
            probability=option.probability,
        )
        for option in row.options
    )


def first_of(options: Sequence[Candidate], ranked: Sequence[Candidate]) -> int:
    """Index in `options` of what a ranker put first; 0 when it put nothing first."""
    if not ranked:
        return 0
    first = ranked[0].hypothesis
    return next((index for index, option in enumerate(options) if option.hypothesis is first), 0)


def _supported(row: Interaction, other: int) -> bool:
    """Whether `other` could have been executed: it is the first choice, or near it in a turn open to exploration."""
    if other in (0, row.chosen):
        return True
    least = CLOSE * row.options[0].probability
    close = [n for n, each in enumerate(row.options) if n and each.harmless and each.probability >= least]
    return row.propensity < 1.0 and other in close[: MOST_CLOSE - 1]


class _Columns(NamedTuple):
    """What `Evidence` holds of one row."""

    reward: float
    propensity: float
    taken: Floats
    other: Floats
    best: Floats
    same_taken: bool
    best_taken: bool
    changed: bool
    supported: bool
    person: int
    domain: str


def _columns(row: Interaction, other: int, person: int) -> _Columns:
    assert row.reward is not None  # `usable`
    best = row.options[0]
    return _Columns(
        row.reward,
        row.propensity,
        _vector(row.options[row.chosen]),
        _vector(row.options[other]),
        _vector(best),
        other == row.chosen,
        row.chosen == 0,
        other != 0,
        _supported(row, other),
        person,
        best.intent.partition(".")[0],
    )


def _vector(option: Option) -> Floats:
    return np.array([1.0, *(option.features.get(name, 0.0) for name in FEATURES)], dtype=np.float64)


def _fitted(evidence: Evidence) -> Callable[[Floats], Floats]:
    """A model of the reward: ridge logistic regression, by Newton's method.

    Explored turns are few and the only ones that tell of second choices, so they weigh as their propensity says, up to
    20: a model that never looked at them would take every second choice for a good one.
    """
    x, y = evidence.taken, evidence.reward
    weight = np.minimum(1.0 / evidence.propensity, 20.0)
    beta = np.zeros(x.shape[1])
    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ beta, -30, 30)))
        slope = x.T @ (weight * (y - p)) - beta
        curve = (x * (weight * p * (1 - p))[:, None]).T @ x + np.eye(x.shape[1])
        step = np.linalg.solve(curve, slope)
        beta = beta + step
        if float(np.abs(step).max()) < 1e-6:
            break
    return lambda features: np.asarray(1.0 / (1.0 + np.exp(-np.clip(features @ beta, -30, 30))), dtype=np.float64)


def _draws(people: Numbers, seed: int) -> Callable[[Floats], Floats]:
    """Sums of a column over bootstrap samples of people; Poisson counts, so that a sample needs no list of its own."""
    people = people % MAX_PEOPLE
    count = int(people.max()) + 1
    drawn = np.random.default_rng(seed).poisson(1.0, (DRAWS, count)).astype(np.float32)

    def sums(column: Floats) -> Floats:
        by_person = np.bincount(people, weights=column, minlength=count)
        return np.asarray(drawn @ by_person, dtype=np.float64)

    return sums


def _ratio(above: Floats, below: Floats, draws: Callable[[Floats], Floats]) -> Estimate:
    samples = draws(above) / np.maximum(draws(below), 1e-9)
    lower, upper = np.quantile(samples, (0.025, 0.975))
    return Estimate(float(above.sum() / max(below.sum(), 1e-9)), float(lower), float(upper))


def _mean(values: Floats, draws: Callable[[Floats], Floats]) -> Estimate:
    return _ratio(values, np.ones_like(values), draws)


def _changed(evidence: Evidence, gate: Gate) -> dict[str, float]:
    sizes = Counter(evidence.domains)
    by_domain: dict[str, list[bool]] = defaultdict(list)
    for domain, changed in zip(evidence.domains, evidence.changed, strict=True):
        by_domain[domain if sizes[domain] >= gate.domain_turns else OTHERS].append(bool(changed))
    return {name: sum(of) / len(of) for name, of in sorted(by_domain.items())}


def _reasons(n: int, gain: Estimate, changed: Mapping[str, float], unsupported: float, gate: Gate) -> Iterable[str]:
    if n < gate.turns:
        yield f"{n} turns are too few; {gate.turns} are needed"
    if gain.lower < -gate.tolerance:
        yield f"it may lose {-gain.lower:.1%} of the turns; at most {gate.tolerance:.1%} may be lost"
    if unsupported > gate.unsupported:
        yield f"nothing like {unsupported:.1%} of its choices was ever tried; at most {gate.unsupported:.0%} may be new"
    for domain, share in changed.items():
        if share > gate.changed:
            yield f"it changes {share:.1%} of the decisions in '{domain}'; at most {gate.changed:.0%} may change"
