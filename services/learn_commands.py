"""`antiphon learn`: rewrites from the interaction log, other rankers judged by it, and how a new one is rolled out.

`antiphon/cli.py` finds it by the entry-point group `antiphon.commands`. Returns the exit code: 0 done, 1 blocked or
failed, 2 wrong arguments or settings. It works on the log and the state of a platform, whether that runs or not; what
it publishes reaches a running one within seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from services.arbitration.learning.assignment import Mined, mine_part, parts_of
from services.arbitration.learning.interactions import Interaction, Pseudonyms
from services.arbitration.learning.mining import Rules
from services.arbitration.learning.off_policy import (
    Choose,
    Estimate,
    Gate,
    Report,
    candidates_of,
    evaluate,
    first_of,
    gathered,
)
from services.arbitration.learning.parquet import ParquetPlace
from services.arbitration.learning.publication import RewriteBook
from services.arbitration.learning.rollout import Rollout, RolloutBook
from services.arbitration.rankers.choice import RankerKind
from services.arbitration.rankers.loading import BUNDLED, load_rankers
from services.registry import DEFAULT_POOLS
from services.runs import state_folder
from services.runtime import jobs
from services.runtime.errors import AntiphonError, FailedPrecondition
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from services.runtime.platform import PlatformSettings, read
from services.runtime.spec import Runtime
from services.runtime.store import SessionStore, StoreLimits
from services.runtime.stores import open_store

OK, FAILED, USAGE = 0, 1, 2
LOG_VARIABLE = "ANTIPHON_ARBITRATION_LEARNING_LOG"
_LIMITS = StoreLimits(max_value_bytes=4_000_000)
Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def learn(arguments: Sequence[str]) -> int:
    """`antiphon learn VERB ...`."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except AntiphonError as error:
        print(f"antiphon learn {options.verb}: {error.message}", file=sys.stderr)
        return USAGE if error.reason == "SETTINGS_INVALID" else FAILED


# --- rewrites ---------------------------------------------------------------------------------------------------------
def rewrites(options: argparse.Namespace) -> int:
    """Mines, on Ray unless `--here`, and publishes unless `--dry-run`."""
    settings = _settings(options)
    url = _log_url(options, settings)
    parts = parts_of(url, Rules(gain=options.gain, count=options.count))
    results = map(mine_part, parts) if options.here else jobs.run(mine_part, parts, address=options.ray)
    mined: list[Mined] = sorted(results, key=lambda each: (each.part.tenant, each.part.locale))
    published = 0 if options.dry_run else asyncio.run(_publish(settings, mined))
    for each in mined:
        print(f"{each.part.tenant} {each.part.locale}: {each.turns} turns, {len(each.found)} rewrites")
        for found in each.found if options.show else ():
            print(f"  {found.source} -> {found.target}  {found.staying:.2f} -> {found.worth:.2f}, {found.count} people")
    print(f"{published} new rewrites published" if not options.dry_run else "nothing published", file=sys.stderr)
    return OK


async def _publish(settings: PlatformSettings, mined: Sequence[Mined]) -> int:
    async with _store(settings) as store:
        book = RewriteBook(store, Pseudonyms(b""))  # the log's tenants are pseudonyms already
        new = 0
        for each in mined:
            if each.found:
                new += await book.publish(each.part.tenant, each.part.locale, each.found)
        return new


# --- rankers ----------------------------------------------------------------------------------------------------------
def evaluate_ranker(options: argparse.Namespace) -> int:
    """Estimates another ranker's worth from the log; 1 when the gate is shut."""
    return asyncio.run(_evaluate(options))


async def _evaluate(options: argparse.Namespace) -> int:
    settings = _settings(options)
    place = ParquetPlace(_log_url(options, settings), keep_days=None)
    kind = RankerKind(options.ranker.upper())
    gate = Gate(tolerance=options.tolerance, turns=options.turns)
    report = evaluate(await gathered(place.read(), await _chooser(kind)), gate)
    _print_report(kind, report)
    if report.blocked or not options.begin:
        return FAILED if report.blocked else OK
    async with _store(settings) as store:
        _print_rollout(await RolloutBook(store).begin(str(kind), time.time()))
    return OK


async def _chooser(kind: RankerKind) -> Choose:
    ranker = (await load_rankers(OnnxClient(ModelStore.with_bundled(BUNDLED), threads=1), kind)).get(kind)

    async def choose(row: Interaction) -> int:
        options = candidates_of(row)
        return first_of(options, await ranker.rank(options, row.out_of_scope))

    return choose


def _print_report(kind: RankerKind, report: Report) -> None:
    def told(estimate: Estimate) -> str:
        return f"{estimate.value:7.1%}   {estimate.lower:.1%} to {estimate.upper:.1%}"

    print(f"{report.turns} turns with a known end; {report.logged:.1%} ended well as they went")
    print(f"  serving ranker        {told(report.serving)}")
    print(f"  {kind:21} {told(report.robust)}   doubly robust")
    print(f"  {kind:21} {told(report.snips)}   SNIPS")
    print(f"  gain                  {told(report.gain)}")
    print(f"  decisions that differ {report.overall:7.1%}   {report.unsupported:.1%} never explored")
    for domain, share in report.changed.items():
        print(f"    {domain:19} {share:7.1%}")
    for reason in report.blocked:
        print(f"  blocked: {reason}")
    if not report.blocked:
        print("  passed: it may be tried")
    elif report.better:
        print("  It is better, and blocked all the same: rankers are let in by small steps, each within these limits.")


def rollout(options: argparse.Namespace) -> int:
    """Shows how far the ranker on trial has come, or takes it back."""
    return asyncio.run(_rollout(options))


async def _rollout(options: argparse.Namespace) -> int:
    async with _store(_settings(options)) as store:
        book = RolloutBook(store)
        found = await book.stop(time.time()) if options.stop else await book.get()
    if found is None:
        print("no ranker is being rolled out")
    else:
        _print_rollout(found)
    return OK


def _print_rollout(found: Rollout) -> None:
    gain, half = found.difference
    print(f"{found.ranker}: {found.phase} since {time.strftime('%F %T', time.localtime(found.since))} ({found.reason})")
    for name, tally in (("new", found.new), ("old", found.old)):
        print(f"  {name}  {tally.turns} turns, {tally.rate:.1%} ended well")
    if found.new.turns and found.old.turns:
        print(f"  difference {gain:+.1%}, give or take {half:.1%}")
    for domain, compared in sorted(found.domains.items()):
        print(f"  {domain}: {compared.changed} of {compared.turns} decisions differ")


# --- what they work on ------------------------------------------------------------------------------------------------
def _settings(options: argparse.Namespace) -> PlatformSettings:
    settings = read(options.config, DEFAULT_POOLS)
    port = options.port if options.port is not None else settings.port
    settings = replace(settings, state_dir=settings.state_dir or str(state_folder() / str(port)))
    if not settings.store_url and not Path(settings.state_dir).is_dir():
        raise FailedPrecondition(
            f"no platform has kept its state in {settings.state_dir}; --port PORT or --config FILE names another",
            reason="STATE_MISSING",
        )
    return settings


def _log_url(options: argparse.Namespace, settings: PlatformSettings) -> str:
    """The one that is named, else that of the settings, else the folder beside the state."""
    pools = [pool.settings.get("learning_log", "") for pool in settings.pools if pool.capability == "arbitration"]
    named = options.log or os.environ.get(LOG_VARIABLE, "") or next((str(url) for url in pools if url), "state")
    url = str(Path(settings.state_dir) / "interactions") if named == "state" else str(named)
    if "://" not in url and not Path(url).is_dir():
        raise FailedPrecondition(
            f"there is no interaction log at {url}; a platform keeps one with {LOG_VARIABLE}=state",
            reason="LOG_MISSING",
        )
    return url


@asynccontextmanager
async def _store(settings: PlatformSettings) -> AsyncIterator[SessionStore]:
    runtime = Runtime("none", "learn", state_dir=settings.state_dir, store_url=settings.store_url)
    store = await open_store(runtime, "sessions.sqlite3", _LIMITS)
    try:
        yield store
    finally:
        await store.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="antiphon learn",
        description="Learns from what users did: the interaction log that a platform keeps when told to.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        f"  {LOG_VARIABLE}=state antiphon up       a platform that keeps a log beside its state\n"
        "  antiphon learn rewrites --show                            what people say when they were not understood\n"
        "  antiphon learn rewrites --log s3://bucket/log --ray auto  on the cluster of this machine\n"
        "  antiphon learn evaluate --ranker lambda_mart --begin      judge a ranker; begin to try it if it may be\n"
        "  antiphon learn rollout --stop                             back to the old ranker at once",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    mine = _verb(verbs, "rewrites", rewrites, "find wordings that fail and what people say instead, and publish them")
    mine.add_argument("--ray", default=jobs.LOCAL, metavar="ADDRESS", help="Ray cluster (default: this machine alone)")
    mine.add_argument("--here", action="store_true", help="in this process, without Ray")
    mine.add_argument("--dry-run", action="store_true", help="publish nothing")
    mine.add_argument("--show", action="store_true", help="print the wordings; only of people who agreed")
    mine.add_argument(
        "--gain", type=float, default=Rules().gain, help="times likelier to succeed (default: %(default)s)"
    )
    mine.add_argument("--count", type=int, default=Rules().count, help="people, at least (default: %(default)s)")
    judge = _verb(verbs, "evaluate", evaluate_ranker, "estimate from the log what another ranker would be worth")
    kinds = [kind.lower() for kind in RankerKind]
    judge.add_argument("--ranker", required=True, choices=kinds, metavar="|".join(kinds))
    judge.add_argument("--tolerance", type=float, default=Gate().tolerance, help="share of turns that may be lost")
    judge.add_argument("--turns", type=int, default=Gate().turns, help="turns that are needed (default: %(default)s)")
    judge.add_argument("--begin", action="store_true", help="if it passes, try it: in the shadow, for a few, for all")
    shown = _verb(verbs, "rollout", rollout, "show how far the ranker on trial has come")
    shown.add_argument("--stop", action="store_true", help="take it back")
    return parser


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: object, summary: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    parser.add_argument("--log", default="", metavar="URL", help="the log: a folder or any URL of fsspec")
    parser.add_argument("--port", type=int, help="the platform's, whose state is meant (default: 9000)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the platform's settings")
    parser.set_defaults(run=run)
    return parser
