"""How long phrases take to become a session's language model, and what such a model costs.

    python -m benchmarks language_model [--builds=N] [--phrases=N] [--entries=N]

The phrases are the English ones of the built-in skills, as many as asked for, with the spoken forms of their typed
slots and a catalogue of names on top. Each cold build is of a grammar that was never seen; it runs in the builder's
process as in the service, without Ray. A cached start is what a session waits whose grammar is known: first in a worker
that has to make a decoder for it, then in one that has it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from benchmarks.processes import cpu_seconds, memory_bytes
from services import asr
from services.asr.engines.pocketsphinx.bundles import wheel_path
from services.asr.engines.pocketsphinx.engine import PocketsphinxEngine
from services.asr.engines.pocketsphinx.lexicon import read_dictionary
from services.asr.grammar import GrammarClass, LanguageModel, PhraseGrammar
from services.asr.requests import SessionConfig
from services.runtime.model_store import ModelStore
from training.asr_commands.train import skills

LIMIT_S = 1.0
MODEL = "antiphon/en-commands"
MODELS = Path(asr.__file__).parent / "models"
MiB = 1024 * 1024


@cache
def material() -> tuple[PhraseGrammar, list[str]]:
    """The skills' phrases, and words for names."""
    words = [word for word in read_dictionary(wheel_path("wheel:en-us/cmudict-en-us.dict")) if word.isalpha()]
    return by_type(skills()), words


def by_type(grammar: PhraseGrammar) -> PhraseGrammar:
    """One class for each type of value, as the front door sends them."""
    typed = {each.name: each.value_type.lower() for each in grammar.classes if each.value_type not in ("", "TEXT")}
    entries: dict[str, dict[str, float]] = {}
    for each in grammar.classes:
        if each.name in typed:
            entries.setdefault(typed[each.name], {}).update(each.entries)
    classes = [each for each in grammar.classes if each.name not in typed]
    classes += [GrammarClass(kind, tuple(found.items()), kind.upper()) for kind, found in entries.items()]
    phrases = tuple(
        (re.sub(r"\{(\w+)\}", lambda slot: f"{{{typed.get(slot[1], slot[1])}}}", text), weight)
        for text, weight in grammar.phrases
    )
    return PhraseGrammar(phrases, tuple(classes))


def some_grammar(phrases: int, entries: int, number: int) -> PhraseGrammar:
    """Another one for each number."""
    rng = random.Random(number)
    known, words = material()
    names = tuple((" ".join(rng.choices(words, k=2)), 1.0) for _ in range(entries))
    calls = tuple((text, 1.0) for text in ("call {name}", "send a message to {name}", "where is {name}"))
    drawn = rng.sample(known.phrases, min(len(known.phrases), phrases - len(calls)))
    classes = (*known.classes, GrammarClass("name", names))
    return PhraseGrammar((*drawn, *calls), classes, digest=f"benchmark {number}")


async def loop_lag(worst: list[float]) -> None:
    """Notes how much too late the event loop wakes, in seconds."""
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(0.005)
        worst.append(time.perf_counter() - asked - 0.005)


async def measure(builds: int, phrases: int, entries: int, cache: str) -> bool:
    definition = ModelStore.with_bundled(MODELS).get(MODEL)
    engine = PocketsphinxEngine([definition], 1, cache)
    await engine.start()
    try:
        await engine.build(definition.id, some_grammar(phrases, entries, -1))  # what is read once
        grammars = [some_grammar(phrases, entries, number) for number in range(builds)]
        lags: list[float] = []
        watching = asyncio.create_task(loop_lag(lags))
        cold, cpu = await built(engine, definition.id, grammars)
        watching.cancel()
        config = SessionConfig(definition.id)
        models = [engine.built(definition.id, grammar) for grammar in grammars]
        worker, builder = engine.stats()[0].pid, memory_bytes(engine.builder())
        before = memory_bytes(worker)
        first = await starts(engine, config, models[:4])
        each = (memory_bytes(worker) - before) / len(first)
        again = await starts(engine, config, models[:4] * 5)
        without = await starts(engine, config, [None] * 20)
    finally:
        await engine.close()
    size = sizes(Path(cache))
    print(f"{phrases} phrases, {entries} names and the forms of typed slots, {builds} cold builds:")
    slow = told("cold build", cold)
    told("of it CPU, which does not depend on what else runs here", cpu)
    print(f"  file {size / MiB:.1f} MiB")
    print(f"  event loop late by at most {max(lags) * 1000:.0f} ms meanwhile")
    told("start with a known grammar, new to the worker", first)
    told("start with a known grammar", again)
    told("start without grammar", without)
    print(f"  memory of a worker for each model in use {each / MiB:.1f} MiB, of the builder {builder / MiB:.0f} MiB")
    print(f"build of a language model: p95 {slow:.2f} s limit {LIMIT_S:.2f} s  {'PASS' if slow <= LIMIT_S else 'MISS'}")
    return slow <= LIMIT_S


def sizes(cache: Path) -> float:
    """Mean size of a model's file, bytes."""
    return statistics.mean(file.stat().st_size for file in cache.glob("*/*.bin"))


async def built(
    engine: PocketsphinxEngine, model: str, grammars: Sequence[PhraseGrammar]
) -> tuple[list[float], list[float]]:
    """Wall and CPU seconds of each build, one after the other."""
    wall, cpu = [], []
    pids = [engine.builder()]
    for grammar in grammars:
        began, spent = time.perf_counter(), cpu_seconds(pids)
        await engine.build(model, grammar)
        wall.append(time.perf_counter() - began)
        cpu.append(cpu_seconds(pids) - spent)
    return wall, cpu


async def starts(
    engine: PocketsphinxEngine, config: SessionConfig, models: Sequence[LanguageModel | None]
) -> list[float]:
    """Seconds until a session is open, one after the other."""
    took = []
    for model in models:
        began = time.perf_counter()
        session, _ = await engine.open(replace(config, language_model=model))
        took.append(time.perf_counter() - began)
        await session.close()
    return took


def told(what: str, seconds: Sequence[float]) -> float:
    """Prints the distribution; returns its p95."""
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[18]
    print(f"  {what}: p50 {statistics.median(seconds) * 1000:.1f} ms, p95 {p95 * 1000:.1f} ms")
    return p95


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--builds", type=int, default=20, help="cold builds (default 20)")
    parser.add_argument("--phrases", type=int, default=600, help="phrases of a grammar (default 600)")
    parser.add_argument("--entries", type=int, default=3000, help="names in its catalogue (default 3000)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as cache:
        asyncio.run(measure(options.builds, options.phrases, options.entries, cache))


if __name__ == "__main__":
    main()
