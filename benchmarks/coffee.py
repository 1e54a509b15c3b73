"""Coffee orders of real people, taken by a third party's skill: how many orders and how many of their parts are right.

    python -m benchmarks coffee [--part held-out|tuning|all] [--engine ray|grpc] [--failures] [--json FILE]

Recordings and labels are `audio/s2i` in $ANTIPHON_DATA. The skill (`skills/coffee_order`) runs as a server of its own;
the platform has nothing of it but the manifest, and every order goes through the front door as audio. The 30 recordings
whose names have the smallest SHA-256 were kept apart while phrases, search beams and everything else were chosen; the
other 50 are the tuning part, and their figure is the easier one. Several recordings may be of one person: the labels do
not tell, so the parts are apart by recording, not by speaker.

An order is right if each of its parts is the labelled one ("a bit of milk" is not "a little bit of milk") and no other
part was heard. Intervals are 95 % of bootstrap samples over orders. The baseline is the stock model of the recogniser:
its words, typed into the same platform.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from antiphon.arbitration.v1 import assistant_pb2, decision_pb2
from antiphon.client import Assistant, CapabilityClient, SkillsClient
from antiphon.conversation import Item
from antiphon.errors import AntiphonApiError
from antiphon.recordings import Recording, linear16
from antiphon.types.v1 import understanding_pb2
from services.asr.engines.pocketsphinx.bundles import PocketsphinxBundle
from services.asr.engines.pocketsphinx.worker import Decoders
from services.asr.engines.silero import SileroDetector
from services.asr.events import Final
from services.asr.requests import SessionConfig
from services.asr.transcriber import Transcriber
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.deployment import RayPlatform
from services.runtime.model_store import read_definition
from services.runtime.platform import PlatformSettings
from services.runtime.server import GrpcPlatform
from services.runtime.spec import load_spec
from skills.coffee_order.handler import CoffeeBar, NotOnTheMenu, menu, name_on_menu

HELD_OUT = 30
RATE_HZ = 16_000
TAIL_S = 1.5
PACE = 4.0
"""How much faster than spoken the audio is sent: endpoints are in audio time."""

LIMIT_S = 30.0
"""Longest wait for the end of a turn."""

SKILL, INTENT = "coffee_order", "coffee_order.order"
STOCK = Path(__file__).parents[1] / "services" / "asr" / "models" / "en-dictation" / "model.yaml"
SLOTS: Mapping[str, str] = {
    "coffeeDrink": "coffee_drink",
    "numberOfShots": "number_of_shots",
    "sugarAmount": "sugar_amount",
    "milkAmount": "milk_amount",
    "roast": "roast",
    "size": "size",
}
"""Labels of the data, and the skill's slots."""

MENU = menu(CoffeeBar.manifest)


@dataclass(frozen=True)
class Order:
    """A recording and what was ordered in it: slot -> its name on the menu."""

    name: str
    samples: NDArray[np.int16]
    wanted: Mapping[str, str]


@dataclass(frozen=True)
class Taken:
    """What the platform made of an order. `executed`: the skill took it without a question."""

    order: Order
    heard: str = ""
    found: Mapping[str, str] | None = None
    executed: bool = False
    answer: str = ""

    @property
    def right(self) -> bool:
        """Every part, and no other."""
        return self.found is not None and dict(self.found) == dict(self.order.wanted)

    @property
    def right_slots(self) -> int:
        """Parts that were said and understood."""
        found = self.found or {}
        return sum(found.get(slot) == value for slot, value in self.order.wanted.items())


def folder() -> Path:
    """Where the recordings are."""
    return Path(os.environ.get("ANTIPHON_DATA", "../shared/data")) / "audio" / "s2i"


def orders(part: str) -> list[Order]:
    """The recordings of a part, "held-out" or "tuning"."""
    paths = sorted(folder().glob("*.flac"), key=lambda path: hashlib.sha256(path.name.encode()).hexdigest())
    chosen = paths[:HELD_OUT] if part == "held-out" else paths[HELD_OUT:]
    labels = json.loads((folder() / "label.json").read_text(encoding="utf-8"))
    found = []
    for path in sorted(chosen):
        samples, rate = soundfile.read(path, dtype="int16")
        if rate != RATE_HZ or samples.ndim != 1:
            raise ValueError(f"{path.name}: mono at {RATE_HZ} Hz is expected")
        said = labels[f"{path.stem}.wav"]["slots"]
        found.append(Order(path.stem, samples, {SLOTS[name]: " ".join(text.split()) for name, text in said.items()}))
    return found


async def take(assistant: Assistant, order: Order, text: str | None = None) -> Taken:
    """One order on a stream of its own: spoken, or typed if there is a text."""
    config = assistant_pb2.ConverseConfig(language_codes=["en"], skill_ids=[SKILL])
    config.context.consent.third_party_skills = True
    if text is None:
        config.input_format.CopyFrom(linear16(RATE_HZ))
    heard, answer, executed = text or "", "", False
    found: Mapping[str, str] | None = None
    done = asyncio.Event()
    try:
        async with asyncio.timeout(LIMIT_S):
            async for event in assistant.converse(_said(order, text, done), config=config):
                match event.WhichOneof("event"):
                    case "transcript" if event.transcript.is_final and event.transcript.alternatives:
                        heard = event.transcript.alternatives[0].spoken_text
                    case "decision":
                        executed = event.decision.outcome == decision_pb2.DECISION_OUTCOME_EXECUTE
                        found = _winner(event.decision)
                    case "answer_text":
                        answer += event.answer_text.text
                    case "turn_completed":
                        done.set()
    except (AntiphonApiError, TimeoutError) as error:
        answer = f"<{getattr(error, 'reason', 'TIMEOUT')}>"
    return Taken(order, heard, found, executed, answer)


async def _said(order: Order, text: str | None, done: asyncio.Event) -> AsyncIterator[Item]:
    if text is None:
        recording = Recording(order.samples.astype("<i2").tobytes(), RATE_HZ).with_silence(TAIL_S)
        for chunk in recording.chunks():
            if done.is_set():
                return
            yield chunk
            await asyncio.sleep(len(chunk) / 2 / RATE_HZ / PACE)
    else:
        yield text
    await done.wait()


def _winner(decision: decision_pb2.Decision) -> Mapping[str, str] | None:
    """Slots of the reading that won; None if it is no order."""
    if not decision.HasField("winner_index"):
        return None
    reading = decision.candidates[decision.winner_index].interpretation
    return {slot.name: _value(slot) for slot in reading.slots} if reading.intent == INTENT else None


def _value(slot: understanding_pb2.Slot) -> str:
    """As the skill takes it."""
    try:
        return name_on_menu(slot, MENU.get(slot.name, {}))
    except NotOnTheMenu:
        return slot.text


def stock_words(order: Order, decoders: Decoders) -> str:
    """What the stock model hears."""
    transcriber = Transcriber(SessionConfig(model=""), SileroDetector(), decoders)
    events = [*transcriber.feed(order.samples.astype("<i2").tobytes()), *transcriber.finish()]
    return " ".join(event.alternatives[0].text for event in events if isinstance(event, Final) and event.alternatives)


async def measure(target: str, parts: Sequence[str], stock: bool) -> dict[str, list[Taken]]:
    """All orders of the parts, one after another; those of the stock model in a row of their own."""
    results: dict[str, list[Taken]] = {}
    async with Assistant(target) as assistant, SkillsClient(target) as skills:
        with skill_server() as address:
            await skills.register(address)
            warm = orders("tuning")[0]
            await take(assistant, warm)  # the language model of the phrases is built now
            for part in parts:
                results[part] = []
                for order in orders(part):
                    results[part].append(await take(assistant, order))
                    print(f"\r{part}: {len(results[part])}", end="", flush=True)
                print("\r", end="")
            if stock:
                decoders = Decoders(PocketsphinxBundle.open(read_definition(STOCK)))
                for part in parts:
                    row = results[f"{part}, stock model"] = []
                    for order in orders(part):
                        words = await asyncio.to_thread(stock_words, order, decoders)
                        row.append(await take(assistant, order, words) if words.strip() else Taken(order))
                        print(f"\r{part}, stock model: {len(row)}", end="", flush=True)
                    print("\r", end="")
            await skills.remove(SKILL)
    return results


@contextmanager
def skill_server() -> Iterator[str]:
    """The skill as its author would start it; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen([sys.executable, "-m", "skills.coffee_order", "--address", address])
    try:
        for _ in range(200):
            with socket.socket() as probe:
                probe.settimeout(0.1)
                if probe.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0:
                    break
            if process.poll() is not None:
                raise RuntimeError("the skill's server did not start")
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait(15)


@asynccontextmanager
async def in_process() -> AsyncIterator[str]:
    """The platform on plain gRPC in this process; yields its address."""
    specs = {name: load_spec(CAPABILITIES[name]) for name in {pool.capability for pool in DEFAULT_POOLS}}
    async with GrpcPlatform(PlatformSettings(port=0, pool_port=0, pools=DEFAULT_POOLS), specs) as platform:
        for pool in platform.directory.pools:
            async with CapabilityClient(pool.target) as client:
                for _ in range(300):
                    if await client.health() == "SERVING":
                        break
                    await asyncio.sleep(0.2)
        yield platform.target


def interval(values: Sequence[tuple[int, int]], seed: int = 1) -> tuple[float, float]:
    """95 % interval of sum(right) / sum(all) over orders drawn with replacement."""
    pairs = np.array(values)
    drawn = np.random.default_rng(seed).integers(len(pairs), size=(4_000, len(pairs)))
    sums = pairs[drawn].sum(axis=1)
    low, high = np.percentile(sums[:, 0] / sums[:, 1], (2.5, 97.5))
    return float(low), float(high)


def report(results: Mapping[str, Sequence[Taken]], failures: bool) -> dict[str, dict[str, float]]:
    """Prints a line for each part, and what went wrong if it is asked for."""
    table = {}
    for part, taken in results.items():
        whole = [(int(each.right), 1) for each in taken]
        slots = [(each.right_slots, len(each.order.wanted)) for each in taken]
        row = {
            "orders": len(taken),
            "orders_right": sum(right for right, _ in whole) / len(whole),
            "orders_low": interval(whole)[0],
            "orders_high": interval(whole)[1],
            "slots_right": sum(right for right, _ in slots) / sum(count for _, count in slots),
            "slots_low": interval(slots)[0],
            "slots_high": interval(slots)[1],
            "executed": sum(each.executed for each in taken),
            "executed_wrong": sum(each.executed and not each.right for each in taken),
        }
        table[part] = row
        print(
            f"{part:22} {row['orders']:3.0f} orders: {row['orders_right']:6.1%} right "
            f"({row['orders_low']:.0%} to {row['orders_high']:.0%}); slots {row['slots_right']:6.1%} "
            f"({row['slots_low']:.0%} to {row['slots_high']:.0%}); taken without a question {row['executed']:.0f}, "
            f"{row['executed_wrong']:.0f} of them wrong"
        )
        for each in taken if failures else ():
            if not each.right:
                print(f"    {each.order.name[:8]} {each.heard!r}\n      {each.found} for {dict(each.order.wanted)}")
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("held-out", "tuning", "all"), default="all")
    parser.add_argument("--engine", choices=("ray", "grpc"), default="ray", help="of the platform that is started")
    parser.add_argument("--target", default="", help="a running platform; without it one is started")
    parser.add_argument("--no-baseline", action="store_true", help="without the stock model")
    parser.add_argument("--failures", action="store_true", help="print what went wrong")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(arguments)
    parts = ("held-out", "tuning") if options.part == "all" else (options.part,)

    async def inside() -> dict[str, list[Taken]]:
        async with in_process() as target:
            return await measure(target, parts, not options.no_baseline)

    if options.target:
        results = asyncio.run(measure(options.target, parts, not options.no_baseline))
    elif options.engine == "grpc":
        results = asyncio.run(inside())
    else:
        with RayPlatform(PlatformSettings(port=0, pool_port=0, pools=DEFAULT_POOLS), CAPABILITIES) as platform:
            results = asyncio.run(measure(platform.target, parts, not options.no_baseline))
    table = report(results, options.failures)
    if options.json:
        options.json.write_text(json.dumps(table, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
