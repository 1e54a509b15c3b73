"""`antiphon evaluate nlu`: a model's scorecard on labelled sentences, and the gate before it replaces another.

`antiphon/cli.py` finds it by the entry-point group `antiphon.commands`. Returns the exit code: 0 done and not refused,
1 refused, or it failed, 2 wrong arguments. The model runs where a platform's would: in this process, or on the server
that ANTIPHON_BACKEND and ANTIPHON_TRITON_URL name.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from services.nlu.app import BUNDLED
from services.nlu.engines.loading import label_reader
from services.nlu.evaluation import cards
from services.nlu.evaluation.formats import FORMATS
from services.nlu.evaluation.gate import regressions
from services.nlu.evaluation.samples import Sample
from services.nlu.evaluation.scoring import LocaleScore, Scorecard, score
from services.runtime.backends import model_client
from services.runtime.errors import AntiphonError
from services.runtime.model_store import ModelStore

OK, FAILED = 0, 1


def evaluate(arguments: Sequence[str]) -> int:
    """`antiphon evaluate nlu ...`; the arguments begin with "nlu"."""
    options = _parser().parse_args(arguments)
    try:
        return _nlu(options)
    except AntiphonError as error:
        sys.stderr.write(f"antiphon evaluate: {error.message}\n")
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="antiphon evaluate", description="Measures models on labelled data.")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    nlu = verbs.add_parser(
        "nlu",
        help="a scorecard by locale of a model that reads labels",
        description="Reads labelled sentences with a model and prints, by locale: intent accuracy, slot F1 (spans), "
        "exact match, calibration error, share refused as out of scope, and milliseconds per sentence.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  antiphon evaluate nlu --data massive/data --json today.json\n"
        "  antiphon evaluate nlu --data slurp --format slurp\n"
        "  antiphon evaluate nlu --model mine/intents@2 --data massive/data --baseline today.json --tolerance 0.5\n"
        "\n"
        "With --baseline the exit code is 1 when some locale lost more than the tolerance beyond chance (paired, 95 %\n"
        "over all locales together), or was not measured. Latency is told and never refuses.",
    )
    nlu.add_argument("--model", default="antiphon/intents-en", help="bundle (default: antiphon/intents-en)")
    nlu.add_argument("--data", type=Path, required=True, metavar="PATH", help="a file, or a folder of them")
    nlu.add_argument("--format", choices=sorted(FORMATS), default="massive", help="form of the files")
    nlu.add_argument("--partition", default="test", metavar="NAME", help="part of the data (default: test)")
    nlu.add_argument("--json", type=Path, metavar="FILE", help="write the scorecard; a later --baseline reads it")
    nlu.add_argument("--baseline", type=Path, metavar="FILE", help="refuse a model that is worse than this scorecard")
    nlu.add_argument(
        "--tolerance", type=_points, default=0.0, metavar="POINTS", help="loss that is accepted (default 0)"
    )
    return parser


def _points(text: str) -> float:
    """Percentage points to a share."""
    try:
        points = float(text)
    except ValueError:
        points = -1.0
    if not 0 <= points <= 100:
        raise argparse.ArgumentTypeError(f"'{text[:20]}' is no number from 0 to 100")
    return points / 100


def _nlu(options: argparse.Namespace) -> int:
    # Both files are read first: a wrong name should not cost the minutes of a measurement.
    before = cards.read(options.baseline) if options.baseline else None
    form = FORMATS[options.format]
    samples = form.samples(options.data, options.partition)
    card = asyncio.run(_scored(options.model, samples, form.taxonomy))
    _say(cards.table(card))
    if options.json:
        cards.write(card, options.json)
    return OK if before is None else _gate(before, card, options.tolerance)


async def _scored(model: str, samples: Sequence[Sample], taxonomy: str) -> Scorecard:
    client = await model_client(ModelStore.with_bundled(BUNDLED), "nlu", threads=1)
    left = len(samples)

    def progress(locale: str, done: LocaleScore) -> None:
        nonlocal left
        left -= len(done.outcomes)
        sys.stderr.write(f"{locale}: {len(done.outcomes)} sentences read, {left} to go\n")

    try:
        return await score(await label_reader(client, model), samples, taxonomy, progress)
    finally:
        await client.close()


def _gate(before: Scorecard, card: Scorecard, tolerance: float) -> int:
    found = regressions(before, card, tolerance)
    _say(f"{'REFUSED' if one.refuses else 'note'}: {one.sentence}" for one in found)
    refused = sorted({one.locale for one in found if one.refuses})
    if refused:
        sys.stderr.write(f"antiphon evaluate: {card.model} is refused: it regresses in {', '.join(refused)}\n")
        return FAILED
    _say([f"{card.model} may replace {before.model}: no locale regresses"])
    return OK


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
