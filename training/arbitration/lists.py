"""Simulated turns as arrays: what the recipes train on and `benchmarks/rankers.py` measures with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from services.arbitration.rankers.matrix import COLUMNS, FEATURES, NEUTRAL, table
from services.arbitration.stages.calibrate import domain_of
from services.arbitration.stages.shortlist import MAX_CANDIDATES
from training.arbitration.simulator.turns import Turn, turns

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

ROWS: Final = MAX_CANDIDATES + 1
NONE: Final = COLUMNS.index("none")

STEPS: Final[Mapping[str, tuple[str, ...]]] = {
    "understanding": ("intent_confidence", "relative_confidence", "margin"),
    "+ enabled": ("enabled_by_user", "locale_exact"),
    "+ habits": ("used_recently", "used_often"),
    "+ slots, entities": ("incomplete", "weakest_slot", "resolution", "catalogue_hit"),
    "+ context": ("carried_slots", "same_skill", "answers_prompt"),
    "+ fulfilment": ("fulfil_yes", "fulfil_maybe", "fulfil_no", "fulfil_missing"),
    "+ recognition": ("asr_rank", "asr_confidence", "rewritten"),
    "+ feedback": ("feedback", "popularity"),
}
"""Groups of features in the order in which ablations add them."""

SIZES: Final = {"train": (16, 40, 25), "dev": (4, 40, 25), "test": (8, 40, 25)}
"""Part -> worlds, households of each, turns of each."""

FRESH: Final = 4
"""One fresh installation to so many worlds with overlap, where both are drawn."""

SEED: Final = 1
SIGNS: Final[Mapping[str, int]] = {
    **dict.fromkeys(FEATURES, 1),
    **dict.fromkeys(("asr_rank", "incomplete", "fulfil_no"), -1),
    **dict.fromkeys(("carried_slots", "fulfil_maybe", "fulfil_missing", "popularity"), 0),
}
"""Which way a feature may count: 1 for, -1 against, 0 either. What a simulator could teach against common sense (that a
household likes a skill less for having chosen it) is no lesson for people."""

_BINS: Final = 15


@dataclass(frozen=True)
class Lists:
    """`n` lists of at most ten candidates, and "none of them" behind the last.

    Attributes:
        rows: (n, 11, columns); zeros behind the end of a list.
        sizes: (n), candidates of each.
        right: (n), the row that was meant; that of "none of them" when none was.
        in_scope: (n), some skill was meant.
        domains: (n, 11), domain of each candidate by number; -1 for none.
        names: of the domains.
    """

    rows: Floats
    sizes: Ints
    right: Ints
    in_scope: npt.NDArray[np.bool_]
    domains: Ints
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def there(self) -> npt.NDArray[np.bool_]:
        """(n, 11): candidates and "none of them"."""
        return np.arange(ROWS) <= self.sizes[:, None]

    @property
    def meant_here(self) -> npt.NDArray[np.bool_]:
        """(n): what was meant is in the list."""
        return self.right < self.sizes

    def only(self, names: Iterable[str]) -> Lists:
        """The same with all other features as if nothing were known.

        Candidates are in the order of their confidence, since the shortlister's own tells what is enabled.
        """
        kept = set(names)
        candidates = np.arange(ROWS) < self.sizes[:, None]
        sure = np.where(candidates, self.rows[..., FEATURES.index("intent_confidence")], -1.0)
        sure[np.arange(len(self)), self.sizes] = -0.5  # "none of them" stays behind the last
        order = np.argsort(-sure, axis=1, kind="stable")
        rows = np.take_along_axis(self.rows, order[..., None], axis=1)
        for number, name in enumerate(FEATURES):
            if name not in kept:
                rows[..., number] = np.where(self.there, getattr(NEUTRAL, name), 0.0)
        right = (order == self.right[:, None]).argmax(axis=1)
        domains = np.take_along_axis(self.domains, order, axis=1)
        return Lists(rows, self.sizes, right, self.in_scope, domains, self.names)


def drawn(part: str, *, seed: int = SEED, share: float = 1.0) -> Lists:
    """Lists of a part, of worlds with overlap and fresh installations; `share` takes fewer, for a quick look."""
    return arrays([*simulated(part, seed=seed, share=share), *simulated(part, seed=seed, share=share, fresh=True)])


def simulated(part: str, *, seed: int = SEED, share: float = 1.0, fresh: bool = False) -> list[Turn]:
    """Turns of a part: of worlds with overlap, or of fresh installations."""
    worlds, households, each = SIZES[part]
    fewer = max(1, round(households * share))
    worlds = max(1, worlds // FRESH) if fresh else worlds
    return list(turns(part, worlds=worlds, households=fewer, each=each, seed=seed, fresh=fresh))


def arrays(listed: Sequence[Turn]) -> Lists:
    rows = np.zeros((len(listed), ROWS, len(COLUMNS)), np.float32)
    domains = np.full((len(listed), ROWS), -1, np.int64)
    names: dict[str, int] = {}
    sizes = np.array([len(turn.candidates) for turn in listed], np.int64)
    for at, turn in enumerate(listed):
        rows[at, : sizes[at] + 1] = table([candidate.features for candidate in turn.candidates], turn.out_of_scope)
        for number, candidate in enumerate(turn.candidates):
            domains[at, number] = names.setdefault(domain_of(candidate.hypothesis.intent), len(names))
    right = np.array([size if turn.right is None else turn.right for size, turn in zip(sizes, listed, strict=True)])
    in_scope = np.array([turn.in_scope for turn in listed])
    return Lists(rows, sizes, right, in_scope, domains, tuple(names))


# --- figures ----------------------------------------------------------------------------------------------------------
def hits(lists: Lists, scores: Floats) -> npt.NDArray[np.bool_]:
    """Of the turns in scope, whether the candidate with the highest score is right; "none of them" has no say."""
    candidates = np.arange(ROWS) < lists.sizes[:, None]
    best = np.where(candidates, scores, -np.inf).argmax(axis=1)
    return ((best == lists.right) & lists.meant_here)[lists.in_scope]


def interval(sample: npt.NDArray[np.generic], *, rounds: int = 1000, seed: int = SEED) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    values = sample.astype(np.float64)
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(rounds)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def softmax(lists: Lists, scores: Floats) -> Floats:
    """Probabilities of each list's rows."""
    masked = np.where(lists.there, scores, -np.inf)
    raised = np.exp(masked - masked.max(axis=1, keepdims=True))
    made: Floats = (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
    return made


def calibration_error(lists: Lists, probabilities: Floats) -> float:
    """ECE of the best candidate's probability, over all turns (Naeini et al. 2015; 15 bins of equal width)."""
    sure, right = _best(lists, probabilities)
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    gaps = [abs(right[bins == b].mean() - sure[bins == b].mean()) * (bins == b).mean() for b in set(bins.tolist())]
    return float(sum(gaps))


def domain_error(lists: Lists, probabilities: Floats) -> float:
    """Mean over domains of |share right - mean probability| of the best candidates that are of the domain."""
    sure, right = _best(lists, probabilities)
    candidates = np.arange(ROWS) < lists.sizes[:, None]
    best = np.where(candidates, probabilities, -1.0).argmax(axis=1)
    domains = lists.domains[np.arange(len(lists)), best]
    gaps = [abs(right[domains == d].mean() - sure[domains == d].mean()) for d in set(domains.tolist()) if d >= 0]
    return float(np.mean(gaps))


def _best(lists: Lists, probabilities: Floats) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    candidates = np.arange(ROWS) < lists.sizes[:, None]
    offered = np.where(candidates, probabilities, 0.0)
    best = offered.argmax(axis=1)
    return offered.max(axis=1).astype(np.float64), (best == lists.right) & lists.meant_here
