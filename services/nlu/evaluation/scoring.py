"""What a model reads of labelled sentences, counted: `score` reads and counts, a `Scorecard` is what comes of it.

`evaluate_commands` calls it; `gate.py` compares two cards. A card keeps what came of each sentence, so that two models
are compared sentence by sentence: a difference of a point can be told from noise only where both read the same ones.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from services.nlu.engines.labels import LabelReader, LabelReading
from services.nlu.evaluation.samples import Sample
from services.nlu.text import MAX_TOKENS, Token, tokenise

_BINS = 15

SpanOfTokens = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one sentence.

    Attributes:
        intent: it was right.
        exact: intent and all slots were right.
        hits, guessed, wanted: slots that were right, that the model gave, that people gave.
    """

    intent: bool
    exact: bool
    hits: int
    guessed: int
    wanted: int


@dataclass(frozen=True)
class LocaleScore:
    """How one locale is read.

    Attributes:
        digest: of its sentences and their labels.
        ece: expected calibration error of the best intent's probability, 15 bins.
        refused: share of sentences that the model called out of scope, though a label fits.
        p50_ms, p95_ms: wall time of one sentence, read alone.
        unknown: intents that the model does not know -> sentences of these, which count as wrong.
    """

    outcomes: tuple[Outcome, ...]
    digest: str
    ece: float
    refused: float
    p50_ms: float
    p95_ms: float
    unknown: Mapping[str, int]

    @property
    def intent_accuracy(self) -> float:
        return sum(one.intent for one in self.outcomes) / len(self.outcomes)

    @property
    def exact_match(self) -> float:
        return sum(one.exact for one in self.outcomes) / len(self.outcomes)

    @property
    def slot_f1(self) -> float:
        """Micro-averaged over spans, whose name, first and last token must be right; 1 where neither side has any."""
        given = sum(one.guessed + one.wanted for one in self.outcomes)
        return 2 * sum(one.hits for one in self.outcomes) / given if given else 1.0


@dataclass(frozen=True)
class Scorecard:
    """A model's scores, by locale in the order of the alphabet."""

    model: str
    digest: str
    taxonomy: str
    locales: Mapping[str, LocaleScore]


async def score(
    reader: LabelReader,
    samples: Iterable[Sample],
    taxonomy: str,
    progress: Callable[[str, LocaleScore], None] = lambda locale, score: None,
) -> Scorecard:
    """Reads every sample alone, as a user's sentence comes.

    Args:
        taxonomy: of the samples' labels, as in "massive:alarm_set".
        progress: told of each locale when it is done.
    """
    by_locale: dict[str, list[Sample]] = {}
    for sample in samples:
        by_locale.setdefault(sample.locale, []).append(sample)
    known = frozenset(reader.info.intents)
    scores = {}
    for locale in sorted(by_locale):
        scores[locale] = await _locale(reader, by_locale[locale], taxonomy, known)
        progress(locale, scores[locale])
    return Scorecard(reader.info.model, reader.info.digest, taxonomy, scores)


async def _locale(reader: LabelReader, samples: Sequence[Sample], taxonomy: str, known: frozenset[str]) -> LocaleScore:
    outcomes, sure, spent = [], [], []
    unknown: Counter[str] = Counter()
    refused = 0
    for sample in samples:
        tokens = tokenise(sample.text)
        began = time.perf_counter()
        reading = (await reader.read([tokens], None))[0]
        spent.append((time.perf_counter() - began) * 1000)
        labels = [f"{taxonomy}:{name}" for name in sample.intents]
        wanted = next((label for label in labels if label in known), "")
        if not wanted:
            unknown[sample.intents[0]] += 1
        guess, probability = _best(reading, taxonomy)
        refused += reading.outside.get(taxonomy, 0.0) > probability
        sure.append(probability)
        outcomes.append(_outcome(wanted == guess != "", _given(reading, taxonomy), _wanted(sample, tokens)))
    p50, p95 = np.percentile(spent, [50, 95]).tolist()
    right = np.array([one.intent for one in outcomes])
    ece = _calibration_error(np.array(sure), right)
    return LocaleScore(tuple(outcomes), _digest(samples), ece, refused / len(samples), p50, p95, dict(unknown))


def _best(reading: LabelReading, taxonomy: str) -> tuple[str, float]:
    own = ((label, share) for label, share in reading.labels.items() if label.startswith(f"{taxonomy}:"))
    return max(own, key=lambda one: one[1], default=("", 0.0))


def _given(reading: LabelReading, taxonomy: str) -> set[SpanOfTokens]:
    return {
        (slot.name.removeprefix(f"{taxonomy}:"), slot.start, slot.end)
        for slot in reading.slots
        if slot.name.startswith(f"{taxonomy}:")
    }


def _wanted(sample: Sample, tokens: Sequence[Token]) -> set[SpanOfTokens]:
    """The spans as tokens; one that holds no token, such as a lone accent, cannot be read and is not asked for."""
    found = set()
    for slot in sample.slots:
        inside = [at for at, token in enumerate(tokens) if token.start < slot.end and slot.start < token.end]
        if inside and inside[-1] < MAX_TOKENS:
            found.add((slot.name, inside[0], inside[-1] + 1))
    return found


def _outcome(right: bool, given: set[SpanOfTokens], wanted: set[SpanOfTokens]) -> Outcome:
    return Outcome(right, right and given == wanted, len(given & wanted), len(given), len(wanted))


def _calibration_error(sure: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> float:
    """Naeini et al. 2015: the gap between confidence and accuracy, by bins of equal width, weighted by their size."""
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    gaps = [abs(sure[bins == at].sum() - right[bins == at].sum()) for at in np.unique(bins)]
    return float(sum(gaps) / len(sure))


def _digest(samples: Sequence[Sample]) -> str:
    told = blake2b(digest_size=16)
    for one in samples:
        told.update(repr((one.text, one.intents, [(slot.name, slot.start, slot.end) for slot in one.slots])).encode())
    return told.hexdigest()
