"""`antiphon traffic`: splits sessions among pools for canaries and shadows, and shows how each arm does."""

from __future__ import annotations

import argparse

from antiphon.arbitration.v1 import traffic_pb2
from antiphon.commands.options import OK, as_json, connect
from antiphon.traffic import TrafficClient

ARM = "NAME=POOL:WEIGHT[:shadow]"


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's own options."""
    parser.add_argument("action", nargs="?", choices=("get", "set", "arms"), default="get", help="default: get")
    parser.add_argument("capability", nargs="?", default="", help="asr, nlu, tts, ...; all when left out")
    parser.add_argument(
        "arms",
        nargs="*",
        metavar=ARM,
        help="arms to set, all at once: a weight against the others' weights, or the share of sessions (0 to 1) that a "
        "shadow gets a copy of",
    )
    parser.add_argument("--locale", default="", help="a split of this language alone")
    parser.add_argument("--etag", default="", help="set only if the split is still the one with this etag")
    parser.add_argument("--check", action="store_true", help="set nothing, only say whether it could be set")
    parser.add_argument("--minutes", type=int, default=60, metavar="N", help="arms: time looked back (default 60)")
    parser.set_defaults(run=run)


async def run(options: argparse.Namespace) -> int:
    """Prints splits or reports, or sets a split. Raises ValueError for arms that cannot be read."""
    if options.action == "set" and not (options.capability and options.arms):
        raise ValueError(f"say which capability, and its arms as {ARM}")
    if options.action != "set" and options.arms:
        raise ValueError("arms are given with `set`")
    async with connect(TrafficClient, options) as client:
        if options.action == "arms":
            reports = await client.arms(options.capability, options.locale, window_s=60 * options.minutes)
            if not reports and not options.json:
                print(f"no session went to an arm in the last {options.minutes} minutes")
            for report in reports:
                print(as_json(report) if options.json else "\n".join(_report(report)))
            return OK
        if options.action == "set":
            split = traffic_pb2.TrafficSplit(
                capability=options.capability,
                locale=options.locale,
                etag=options.etag,
                arms=[_arm(text) for text in options.arms],
            )
            splits = [await client.set(split, validate_only=options.check)]
        else:
            splits = await client.splits(options.capability, options.locale)
    if not splits and not options.json:
        print("nothing is split: every session goes to the usual pools (antiphon traffic set --help)")
    for split in splits:
        print(as_json(split) if options.json else "\n".join(_split(split)))
    return OK


def _arm(text: str) -> traffic_pb2.Arm:
    name, _, rest = text.partition("=")
    pool, _, share = rest.partition(":")
    share, _, mode = share.partition(":")
    try:
        weight = float(share)
    except ValueError:
        raise ValueError(f"'{text}' is no arm: {ARM}") from None
    if not name or not pool or mode not in ("", "serve", "shadow"):
        raise ValueError(f"'{text}' is no arm: {ARM}")
    kind = traffic_pb2.ARM_MODE_SHADOW if mode == "shadow" else traffic_pb2.ARM_MODE_SERVE
    return traffic_pb2.Arm(name=name, pool=pool, weight=weight, mode=kind)


def _split(split: traffic_pb2.TrafficSplit) -> list[str]:
    whole = sum(arm.weight for arm in split.arms if arm.mode != traffic_pb2.ARM_MODE_SHADOW)
    lines = [f"{split.capability}, {split.locale or 'all languages'} (etag {split.etag})"]
    for arm in split.arms:
        if arm.mode == traffic_pb2.ARM_MODE_SHADOW:
            lines.append(f"  {arm.name:<12} {arm.pool:<16} {arm.weight:>6.1%} copied")
        else:
            lines.append(f"  {arm.name:<12} {arm.pool:<16} {arm.weight / whole if whole else 0:>6.1%} of sessions")
    return lines


def _report(report: traffic_pb2.ArmReport) -> list[str]:
    counts = f"{report.session_count} sessions, {report.turn_count} turns, {report.error_count} errors"
    lines = [
        f"{report.capability} {report.arm} ({report.pool}, {report.locale or 'all languages'}): {counts}, "
        f"{report.refused_count} refused"
    ]
    if report.latencies:
        told = (f"p{found.percentile:g} {found.value.ToMicroseconds() / 1000:.0f} ms" for found in report.latencies)
        lines.append(f"  latency              {', '.join(told)}")
    for metric in report.metrics:
        bounds = f"  {metric.lower:.3f} to {metric.upper:.3f}" if metric.HasField("lower") else ""
        lines.append(f"  {metric.name:<20} {metric.value:.3f}{bounds}  ({metric.count})")
    return lines
