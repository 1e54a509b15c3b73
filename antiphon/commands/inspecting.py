"""`antiphon describe`, `explain` and `health`: what a platform is, why a turn went as it did, whether all is well."""

from __future__ import annotations

import argparse
import os
import sys

from antiphon.client import Assistant, CapabilityClient
from antiphon.commands.options import FAILED, OK, as_json, connect
from antiphon.explaining import Ink, explanation_lines
from antiphon.rendering import ledger_lines, word
from antiphon.types.v1 import capability_pb2


def add_describe(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's own options."""
    parser.set_defaults(run=describe)


async def describe(options: argparse.Namespace) -> int:
    """Prints what the pool at the target is, serves and bears."""
    async with connect(CapabilityClient, options) as client:
        answer = await client.describe()
    if options.pool and answer.pool != options.pool:
        print(f"'{options.pool}' cannot be chosen here: '{answer.pool}' answers. antiphon status gives its own address")
        return FAILED
    if options.json:
        print(as_json(answer))
        return OK
    engine = word(capability_pb2.ServingEngine.Name(answer.serving_engine), "SERVING_ENGINE_")
    limits = answer.limits
    print(f"{answer.capability} {answer.version}, pool {answer.pool}, engine {engine}")
    print(f"sessions   {limits.active_sessions} of {limits.max_sessions}, each at most {limits.max_session.seconds} s")
    for name, values in (("locales", answer.locales), ("features", answer.features), ("services", answer.services)):
        if values:
            print(f"{name:<10} {', '.join(values)}")
    for model in answer.models:
        print(f"model      {model.model} ({model.backend}, {model.licence or 'no licence named'}) {model.description}")
    for note in answer.notes:
        print(f"note       {note}")
    return OK


def add_models(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's own options."""
    parser.add_argument("--locale", default="", help="only models that serve this language")
    parser.set_defaults(run=models)


async def models(options: argparse.Namespace) -> int:
    """Prints the models of all pools; 1 if there is none."""
    found = 0
    async with connect(CapabilityClient, options) as door:
        front = await door.describe()
    for pool in front.pools or [capability_pb2.PoolInfo(name=front.pool)]:
        options.pool = pool.name
        async with connect(CapabilityClient, options) as client:
            answer = await client.describe()
        if answer.pool != pool.name:  # one address, one pool: what is asked for cannot be reached through it
            continue
        for model in answer.models:
            if options.locale and options.locale not in model.locales:
                continue
            found += 1
            print(as_json(model) if options.json else _model_line(pool.name, model))
    if not found and not options.json:
        print(f"no model{f' of {options.locale}' if options.locale else ''} can be reached through this address")
    return OK if found else FAILED


def _model_line(pool: str, model: capability_pb2.ModelInfo) -> str:
    size = f"{model.size_bytes / 1e6:.1f} MB" if model.size_bytes else ""
    locales = ", ".join(model.locales[:8]) + (f" and {len(model.locales) - 8} more" if len(model.locales) > 8 else "")
    return (
        f"{pool:<12} {model.model:<36} {model.engine} ({model.backend})  {size:>8}  {model.licence}  {locales}".rstrip()
    )


def add_explain(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's own options."""
    parser.add_argument("turn_id", metavar="TURN_ID", help="a turn of yours, as `antiphon converse` names it")
    parser.set_defaults(run=explain)


async def explain(options: argparse.Namespace) -> int:
    """Prints the decision of an earlier turn and where its time went."""
    async with connect(Assistant, options) as client:
        answer = await client.explain(options.turn_id)
    if options.json:
        print(as_json(answer))
        return OK
    ink = Ink(sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    print(*explanation_lines(answer, ink), "", *ledger_lines(answer.latency), sep="\n")
    return OK


def add_health(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's own options."""
    parser.add_argument("--service", default="", metavar="NAME", help="full name of a gRPC service (default: all)")
    parser.set_defaults(run=health)


async def health(options: argparse.Namespace) -> int:
    """Prints the state of grpc.health.v1; 0 if SERVING."""
    async with connect(CapabilityClient, options) as client:
        state = await client.health(options.service)
    print(f'{{"status": "{state}"}}' if options.json else state)
    return OK if state == "SERVING" else FAILED
