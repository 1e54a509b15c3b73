"""`antiphon describe`, `explain` and `health`: what a platform is, why a turn went as it did, whether all is well."""

from __future__ import annotations

import argparse

from antiphon.client import Assistant, CapabilityClient
from antiphon.commands.options import FAILED, OK, as_json, connect
from antiphon.rendering import decision_lines, ledger_lines, word
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
    print(*decision_lines(answer.decision), *ledger_lines(answer.latency), sep="\n")
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
