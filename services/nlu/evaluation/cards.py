"""Scorecards as JSON files and as a table on a terminal; for `evaluate_commands`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from services.nlu.evaluation.scoring import LocaleScore, Outcome, Scorecard
from services.runtime.errors import AntiphonError, InvalidInput

VERSION = 1
_TIMES = f"{'p50 ms':>8}{'p95 ms':>8}"
MAX_BYTES = 256 * 1024 * 1024
"""A card of a million sentences has about 20 MB."""


def written(card: Scorecard) -> str:
    """JSON text: the figures, and under "outcomes" a row [intent, exact, hits, guessed, wanted] per sentence."""
    return json.dumps(
        {
            "version": VERSION,
            "model": card.model,
            "digest": card.digest,
            "taxonomy": card.taxonomy,
            "locales": {locale: _locale(score) for locale, score in card.locales.items()},
        },
        indent=None,
        separators=(",", ":"),
    )


def write(card: Scorecard, path: Path) -> None:
    """Raises AntiphonError `SCORECARD_UNWRITABLE`."""
    try:
        path.write_text(written(card) + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror or error}", reason="SCORECARD_UNWRITABLE", field="json") from error


def read(path: Path) -> Scorecard:
    """Raises InvalidInput `SCORECARD_INVALID`, naming the file."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _invalid(path, f"more than {MAX_BYTES} bytes")
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["version"] != VERSION:
            raise _invalid(path, f"version {str(raw['version'])[:20]}, not {VERSION}")
        locales = {str(locale): _read(one) for locale, one in sorted(raw["locales"].items())}
        if not locales:
            raise _invalid(path, "it holds no locale, so it would accept whatever comes")
        return Scorecard(str(raw["model"]), str(raw["digest"]), str(raw["taxonomy"]), locales)
    except OSError as error:
        raise _invalid(path, error.strerror or "it cannot be read") from error
    except AntiphonError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise _invalid(path, "it is no scorecard that this command wrote") from error


def table(card: Scorecard) -> Iterator[str]:
    """Lines for a person."""
    yield f"{card.model}, labels of {card.taxonomy}"
    yield f"{'locale':<10}{'n':>7}{'intents':>9}{'slot F1':>9}{'exact':>8}{'ECE':>7}{'refused':>9}" + _TIMES
    yield from (row(locale, score) for locale, score in card.locales.items())
    unknown: Counter[str] = Counter()
    for score in card.locales.values():
        unknown.update(score.unknown)
    if unknown:
        names = ", ".join(name for name, _ in unknown.most_common(5)) + (", …" if len(unknown) > 5 else "")
        yield f"intents that the model does not know: {len(unknown)} ({unknown.total()} sentences): {names}"


def row(locale: str, score: LocaleScore) -> str:
    return (
        f"{locale:<10}{len(score.outcomes):>7}{score.intent_accuracy:>9.1%}{score.slot_f1:>9.3f}{score.exact_match:>8.1%}"
        f"{score.ece:>7.3f}{score.refused:>9.1%}{score.p50_ms:>8.2f}{score.p95_ms:>8.2f}"
    )


def _locale(score: LocaleScore) -> Mapping[str, Any]:
    return {
        "n": len(score.outcomes),
        "intent_accuracy": round(score.intent_accuracy, 5),
        "slot_f1": round(score.slot_f1, 5),
        "exact_match": round(score.exact_match, 5),
        "ece": round(score.ece, 5),
        "refused": round(score.refused, 5),
        "p50_ms": round(score.p50_ms, 3),
        "p95_ms": round(score.p95_ms, 3),
        "unknown": score.unknown,
        "digest": score.digest,
        "outcomes": [[+one.intent, +one.exact, one.hits, one.guessed, one.wanted] for one in score.outcomes],
    }


def _read(raw: Mapping[str, Any]) -> LocaleScore:
    outcomes = tuple(_outcome(*row) for row in raw["outcomes"])
    if not outcomes:
        raise ValueError("no sentence")
    ece, refused, p50, p95 = (float(raw[name]) for name in ("ece", "refused", "p50_ms", "p95_ms"))
    unknown = {str(name): int(count) for name, count in raw["unknown"].items()}
    return LocaleScore(outcomes, str(raw["digest"]), ece, refused, p50, p95, unknown)


def _outcome(intent: int, exact: int, hits: int, guessed: int, wanted: int) -> Outcome:
    if not all(type(count) is int for count in (intent, exact, hits, guessed, wanted)):
        raise TypeError("counts are whole numbers")
    if not 0 <= hits <= min(guessed, wanted) or max(guessed, wanted) > 10_000 or not {intent, exact} <= {0, 1}:
        raise ValueError("counts that cannot be")
    return Outcome(bool(intent), bool(exact), hits, guessed, wanted)


def _invalid(path: Path, what: str) -> InvalidInput:
    return InvalidInput(f"{path}: {what}", reason="SCORECARD_INVALID", field="baseline")
