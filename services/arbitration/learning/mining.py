"""Finds wordings that fail and what people say instead, in sessions of the log.

`antiphon learn rewrites` runs it as a job, one partition per tenant and language. Sessions are walks of a Markov chain
over wordings whose ends, success and failure, absorb: with N = (I - Q)^-1, N_ij R_j is the probability that who begins
with i is satisfied in the end by j (Ponnusamy et al. 2019, arXiv 1911.02557). It looks past the next thing people try,
which is often only another failure.

Where a person did not agree that their words are kept, the reading takes their place: such a state carries success
along, but nothing is rewritten from or to it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from services.arbitration.learning.interactions import Interaction
from services.arbitration.learning.rewards import TURN_S, WINDOW_S

SUCCESS: Final = "+"
FAILURE: Final = "-"
"""Absorbing states; no wording is a sign alone."""

DENSE: Final = 1_200
"""States of one connected part up to which its equations are solved exactly; larger ones by a series."""

SERIES: Final = 32
"""Terms of the series: nobody tries that often."""

FAINT: Final = 1e-5
"""Probability below which a path is not followed further in the series: far below any that a rewrite could rest on."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is published.

    Attributes:
        gain: how many times likelier success by the other wording must be than by staying.
        imputed: who gave up, or ended well in words of the same meaning, counts for the other wording; see `worth`.
            False is the rule of the paper, in which they count against it (`python -m benchmarks rewrites` shows both).
        count: people (or sessions, where nobody is known) who went from the one to the other, at least.
        success: least probability that the other wording succeeds by itself.
        most: rewrites of one tenant and language.
    """

    gain: float = 1.5
    imputed: bool = True
    count: int = 5
    success: float = 0.5
    most: int = 1_000


class Meaning(NamedTuple):
    """What a wording was taken to mean: an intent without values, or else the very words: values are not in the log."""

    intent: str
    words: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A rewrite that the chain speaks for.

    Attributes:
        worth: probability of ending well for who says `source` and is read as `target` (see `worth`). `staying`: the
            probability of ending well by `source` itself.
        count: people who went from the one to the other, perhaps by way of others.
        stay_good, stay_bad: how often `source` itself ended well and not, as a prior of what happens without rewriting.
    """

    source: str
    target: str
    intent: str
    worth: float
    staying: float
    count: int
    stay_good: int = 0
    stay_bad: int = 0


@dataclass(frozen=True, slots=True)
class Walk:
    """One wish of one person: wordings in order, and whether it ended well."""

    person: str
    states: tuple[str, ...]
    good: bool


@dataclass
class Chain:
    """Counts of transitions; people count once for each, so that nobody can make a rewrite alone."""

    _people: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    _reached: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, walk: Walk) -> None:
        """A walk, its end included."""
        path = (*walk.states, SUCCESS if walk.good else FAILURE)
        for source, target in pairwise(path):
            self._people[source, target].add(walk.person)
        if walk.good:
            for source in walk.states[:-1]:
                self._reached[source, walk.states[-1]].add(walk.person)

    def counts(self) -> dict[str, Counter[str]]:
        """How many people went from each state to each."""
        rows: dict[str, Counter[str]] = defaultdict(Counter)
        for (source, target), people in self._people.items():
            rows[source][target] = len(people)
        return rows

    def reached(self, source: str, target: str) -> int:
        """People who began with `source`, or came by it, and were satisfied by `target`."""
        return len(self._reached.get((source, target), ()))


def mine(
    chain: Chain, meant: Mapping[str, Counter[Meaning]], risky: frozenset[str], rules: Rules | None = None
) -> list[Found]:
    """The best rewrite of each wording that passes the rules, by score.

    Args:
        meant: what each wording that may be published meant when it ended well, and how often; others are left alone.
        risky: wordings of high risk, which are neither rewritten nor reached by a rewrite.
    """
    rules = rules or Rules()
    rows = chain.counts()
    found = []
    for source, reach in absorptions(rows):
        if source not in meant or source in risky:
            continue
        staying = reach.get(source, 0.0)
        for target, score in sorted(reach.items(), key=lambda item: (-item[1], item[0])):
            counted = chain.reached(source, target)
            if target == source or target not in meant or target in risky or counted < rules.count:
                continue
            gained = worth(source, target, reach, rows, meant) if rules.imputed else score
            if gained > rules.gain * staying and success(rows[target]) >= rules.success:
                good, bad = rows[source][SUCCESS], rows[source].total() - rows[source][SUCCESS]
                intent = _commonest(meant[target]).intent
                found.append(Found(source, target, intent, gained, staying, counted, good, bad))
                break
    found.sort(key=lambda rewrite: (-rewrite.count * rewrite.worth, rewrite.source))
    return _without_chains(found[: rules.most])


def worth(
    source: str,
    target: str,
    reach: Mapping[str, float],
    rows: Mapping[str, Counter[str]],
    meant: Mapping[str, Counter[Meaning]],
) -> float:
    """Probability that who says `source` ends well at once when it is read as `target`.

    Whom `source` does not serve wants what those want who ended well in other words; who gave up is no different. Of
    all who ended well, `target` serves those who did so by it, or in words of the same meaning: where `source` is
    ambiguous, the others are lost. `reach` is the probability of ending well by each wording, for who begins with
    `source`.
    """
    meaning = _commonest(meant[target])
    staying = reach.get(source, 0.0)
    others = sum(reach.values()) - staying
    served = reach[target] + sum(
        probability * _share(meant.get(state, Counter()), meaning)
        for state, probability in reach.items()
        if state not in (source, target)
    )
    alike = staying * _share(meant[source], meaning)
    return success(rows[target]) * (alike + (1.0 - staying) * served / others)


def _commonest(meanings: Counter[Meaning]) -> Meaning:
    return min(meanings, key=lambda meaning: (-meanings[meaning], meaning), default=Meaning(""))


def _share(meanings: Counter[Meaning], meaning: Meaning) -> float:
    return meanings[meaning] / meanings.total() if meanings.total() else 0.0


def most_frequent_next(chain: Chain, rules: Rules | None = None) -> dict[str, str]:
    """The baseline: what people most often say next."""
    rules = rules or Rules()
    best: dict[str, str] = {}
    for source, row in chain.counts().items():
        following = Counter({target: n for target, n in row.items() if target not in (SUCCESS, FAILURE, source)})
        if following and following.most_common(1)[0][1] >= rules.count:
            best[source] = min(following, key=lambda target: (-following[target], target))
    return best


def success(row: Counter[str]) -> float:
    """Probability of ending well at once, by a state's counts."""
    return row[SUCCESS] / row.total() if row.total() else 0.0


def absorptions(rows: Mapping[str, Counter[str]]) -> Iterator[tuple[str, dict[str, float]]]:
    """For each state i, the probability N_ij R_j of ending well by each j."""
    for part in _parts(rows):
        states = sorted(part)
        if len(states) <= DENSE:
            yield from _exactly(states, rows)
        else:
            yield from ((state, _by_series(state, rows)) for state in states)


def _exactly(states: Sequence[str], rows: Mapping[str, Counter[str]]) -> Iterator[tuple[str, dict[str, float]]]:
    """Solves (I - Q) N = 1 for one connected part: float64, states x states."""
    place = {state: index for index, state in enumerate(states)}
    q = np.zeros((len(states), len(states)))
    r = np.zeros(len(states))
    for state in states:
        row, at = rows.get(state, Counter()), place[state]
        total = max(1, row.total())
        r[at] = row[SUCCESS] / total
        for target, count in row.items():
            if target in place:
                q[at, place[target]] = count / total
    ends = np.linalg.inv(np.eye(len(states)) - q) * r
    for state in states:
        reach = ends[place[state]]
        yield state, {states[int(j)]: float(reach[j]) for j in np.flatnonzero(reach > 1e-9)}


def _by_series(start: str, rows: Mapping[str, Counter[str]]) -> dict[str, float]:
    """One row of N as the sum of powers of Q, which is sparse: a person's next words are few."""
    mass: dict[str, float] = {start: 1.0}
    visits: dict[str, float] = defaultdict(float, mass)
    for _ in range(SERIES):
        following: dict[str, float] = defaultdict(float)
        for state, probability in mass.items():
            row = rows.get(state, Counter())
            for target, count in row.items():
                if target not in (SUCCESS, FAILURE):
                    following[target] += probability * count / row.total()
        mass = {state: probability for state, probability in following.items() if probability > FAINT}
        if not mass:
            break
        for state, probability in mass.items():
            visits[state] += probability
    return {state: value for state, n in visits.items() if (value := n * success(rows.get(state, Counter()))) > 1e-9}


def _parts(rows: Mapping[str, Counter[str]]) -> Iterator[set[str]]:
    """States that are connected, in either direction."""
    near: dict[str, set[str]] = defaultdict(set)
    for source, row in rows.items():
        near[source].add(source)
        for target in row:
            if target not in (SUCCESS, FAILURE):
                near[source].add(target)
                near[target].add(source)
    unseen = set(near)
    while unseen:
        part, edge = set(), [unseen.pop()]
        while edge:
            state = edge.pop()
            part.add(state)
            fresh = near[state] & unseen
            unseen -= fresh
            edge.extend(fresh)
        yield part


def _without_chains(found: Sequence[Found]) -> list[Found]:
    """A rewrite is applied once: one whose target is itself rewritten would stop half way, so it is left out."""
    sources = {rewrite.source for rewrite in found}
    return [rewrite for rewrite in found if rewrite.target not in sources]


# --- from the log --------------------------------------------------------------------------------------------------
def walks(rows: Iterable[Interaction]) -> Iterator[Walk]:
    """Cuts the turns of one tenant and language into wishes.

    A turn that did not end well is followed, within the window, by another attempt at the same wish. Turns that a
    rewrite has changed are evidence about the rewrite and none about the words: their wish is left out.
    """
    by_person: dict[str, list[Interaction]] = defaultdict(list)
    for row in rows:
        by_person[row.user].append(row)
    for person, turns in by_person.items():
        turns.sort(key=lambda turn: turn.at)
        yield from _walks_of(person, turns)


def state_of(row: Interaction) -> str:
    """What a turn is in the chain: its words, else its reading in brackets; empty for neither."""
    return row.text or (f"[{row.form}]" if row.form else "")


def _walks_of(person: str, turns: Sequence[Interaction]) -> Iterator[Walk]:
    states: list[str] = []
    spoilt, last = False, float("-inf")
    for turn in turns:
        if turn.reward is None and turn.outcome != "asked":
            continue
        if states and turn.at - last > WINDOW_S + TURN_S:
            if not spoilt:
                yield Walk(person, tuple(states), good=False)
            states, spoilt = [], False
        last = turn.at
        if state := ("" if turn.answers_question else state_of(turn)):
            states.append(state)
        spoilt = spoilt or bool(turn.rewrite_id)
        if turn.outcome == "asked":
            continue
        if turn.reward == 1.0:
            if states and not spoilt:
                yield Walk(person, tuple(states), good=True)
            states, spoilt = [], False
    if states and not spoilt:
        yield Walk(person, tuple(states), good=False)


def mine_log(rows: Iterable[Interaction], rules: Rules | None = None) -> list[Found]:
    """Rewrites of one tenant and language, from its rows."""
    turns = list(rows)
    chain = Chain()
    for walk in walks(turns):
        chain.add(walk)
    meant: dict[str, Counter[Meaning]] = defaultdict(Counter)
    risky = set()
    for turn in turns:
        if turn.text:
            meaning = Meaning(turn.intent, "" if turn.form.endswith("()") else turn.text)
            meant[turn.text][meaning] += int(turn.reward == 1.0 and not turn.rewrite_id)
            if turn.risk == "high":
                risky.add(turn.text)
    return mine(chain, meant, frozenset(risky), rules)
