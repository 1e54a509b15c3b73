"""What it costs to understand an utterance, by language, by alternatives, and with more and more skills registered.

    python -m benchmarks understanding [--sentences=N] [--intents=N,N,...]

In process, without Ray and gRPC: the interpreter with its trained models and the phrases of all built-in skills. The
sentences are phrases of these skills with the examples of their slots, drawn by a seed; each is said once, so that
nothing is remembered from the time before, but for the last line. A further alternative has one word of another
sentence in it, as a recogniser mishears. Registered beside the built-in skills are made-up ones of ten phrases each.
CPU is that of the whole process, all threads together; the limits hold for it, since wall time is shared with whatever
else runs here. The English model alone reads SLURP test where `$ANTIPHON_DATA` has it: its accuracy is measured in this
run, that of its baseline (TF-IDF of words and characters with logistic regression) is the one that its bundle tells.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import skills
from antiphon.skills.manifest import load_manifest
from services.nlu.app import BUNDLED, conversation
from services.nlu.engines.labels import LabelEngine
from services.nlu.engines.remembering import Remembering
from services.nlu.engines.thin import ThinEngine
from services.nlu.interpreter import Interpreter
from services.nlu.library import SkillLibrary
from services.nlu.manifests import skill_of
from services.nlu.skills import Intent, Skill, SlotSpec, parts_of, slots_in
from services.nlu.text import Token
from services.nlu.understanding import Alternative, Options, Situation
from services.nlu.values.places import Gazetteer
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from services.runtime.store import MemorySessionStore
from training.nlu_intents.data import load

LIMIT_MS = {1: 3.0, 3: 6.0}
"""Alternatives -> CPU milliseconds per English utterance, median."""

MARGIN = 4.0
"""Points of accuracy that the English model should have over its baseline."""

LANGUAGES = ("en", "de", "es", "fr", "it")
THIRD_PARTY = "coffee_order"
"""Lies beside the built-in skills, but is a server of its own."""

_SYLLABLES = "ba co di fu ga le mi no pe qua ro su ta ve zo".split()
_WARM = 40  # sentences that are said before it counts


def built_in() -> list[Skill]:
    folders = sorted(path.parent for path in Path(skills.__path__[0]).glob("*/manifest.yaml"))
    return [skill_of(load_manifest(one / "manifest.yaml")) for one in folders if one.name != THIRD_PARTY]


def made_up(intents: int) -> list[Skill]:
    """Skills that nobody asks for, of one intent and ten phrases each, in words that English does not have."""
    rng = random.Random(intents)
    slots = (SlotSpec("place", "PLACE"), SlotSpec("day", "DATE"))
    made = []
    for at in range(intents):
        verbs, things = ([_word(rng) for _ in range(2)] for _ in range(2))
        phrases = [f"{verb} the {thing}" for verb in verbs for thing in things]
        phrases += [f"{verb} my {thing} in {{place|rome}}" for verb in verbs for thing in things]
        phrases += [f"please {verb} it {{day|tomorrow}}" for verb in verbs]
        intent = Intent(f"made_up_{at}", "do", slots, {"en": tuple(phrases)})
        made.append(Skill(intent.skill, "1.0.0", ("en",), (intent,)))
    return made


def _word(rng: random.Random) -> str:
    return "".join(rng.choices(_SYLLABLES, k=rng.randint(2, 4)))


def sentences(known: Sequence[Skill], language: str, count: int) -> list[str]:
    """Different ones."""
    examples = {
        (intent.full_name, name): example
        for skill in known
        for intent in skill.intents
        for phrase in intent.phrases.get(language, ())
        for name, example in slots_in(phrase)
        if example
    }
    said = {
        " ".join(examples.get((intent.full_name, piece), "that") if slot else piece for piece, slot in parts_of(phrase))
        for skill in known
        for intent in skill.intents
        for phrase in intent.phrases.get(language, ())
    }
    drawn = sorted(said)
    random.Random(7).shuffle(drawn)
    return drawn[:count]


def misheard(texts: Sequence[str], alternatives: int) -> list[list[Alternative]]:
    """Each text with further ones that differ from it in one word."""
    rng = random.Random(11)
    words = [word for text in texts for word in text.split()]
    made = []
    for text in texts:
        own = [Alternative(text)]
        while len(own) < alternatives:
            other = text.split()
            other[rng.randrange(len(other))] = rng.choice(words)
            own.append(Alternative(" ".join(other)))
        made.append(own)
    return made


async def interpreter(client: OnnxClient, known: Sequence[Skill]) -> Interpreter:
    library = SkillLibrary(MemorySessionStore(), lambda wire: known[0], own=[conversation(), *known])
    engines = Remembering(await ThinEngine.load(client)), Remembering(await LabelEngine.load(client))
    return Interpreter(engines[0], Gazetteer.bundled(), library, engines[1:])


async def spent(
    reader: Interpreter, utterances: Sequence[Sequence[Alternative]], language: str
) -> tuple[list[float], list[float]]:
    """CPU and wall milliseconds of each, one after the other."""
    cpu, wall = [], []
    for alternatives in utterances:
        began, used = time.perf_counter(), time.process_time()
        await reader.interpret(alternatives, language, Options(), Situation())
        cpu.append((time.process_time() - used) * 1000)
        wall.append((time.perf_counter() - began) * 1000)
    return cpu, wall


def told(what: str, cpu: Sequence[float], wall: Sequence[float]) -> float:
    """Prints the distributions; returns the median of the CPU."""
    shown = [f"{statistics.median(one):5.2f} {_p95(one):6.2f}" for one in (cpu, wall)]
    print(f"  {what:<44} CPU p50, p95 {shown[0]} ms   wall {shown[1]} ms")
    return statistics.median(cpu)


def _p95(figures: Sequence[float]) -> float:
    return statistics.quantiles(figures, n=20, method="inclusive")[18]


async def languages(client: OnnxClient, known: Sequence[Skill], count: int) -> dict[int, float]:
    """Tells of every language; returns the English medians by alternatives."""
    medians = {}
    for language in LANGUAGES:
        texts = sentences(known, language, count + _WARM)
        for alternatives in LIMIT_MS:
            reader = await interpreter(client, known)
            await spent(reader, misheard(texts[count:], alternatives), language)
            what = f"{language}, {alternatives} alternative{'s' * (alternatives > 1)}"
            median = told(what, *await spent(reader, misheard(texts[:count], alternatives), language))
            if language == "en":
                medians[alternatives] = median
    return medians


async def crowded(client: OnnxClient, known: Sequence[Skill], count: int, crowds: Sequence[int]) -> None:
    """Tells of English with more skills, and of what was said before."""
    texts = sentences(known, "en", count + _WARM)
    for crowd in (*crowds, 0):
        reader = await interpreter(client, [*known, *made_up(crowd)])
        await spent(reader, misheard(texts[count:], 1), "en")
        first = await spent(reader, misheard(texts[:count], 1), "en")
        if crowd:
            told(f"en, 1 alternative, {crowd} more skills", *first)
        else:
            told("en, 1 alternative, said before", *await spent(reader, misheard(texts[:count], 1), "en"))


async def model_alone(client: OnnxClient) -> bool:
    """Accuracy and cost of the English model, sentence by sentence; whether both are as they should be."""
    if "ANTIPHON_DATA" not in os.environ:
        print("  the English model alone: skipped, $ANTIPHON_DATA is not set")
        return True
    known = [one for one in load(1).slurp if one.massive is not None]
    engine = await LabelEngine.load(client)
    right, cpu, wall = 0, [], []
    for one in known:
        tokens = [[Token(0, 0, word) for word in one.words]]
        began, used = time.perf_counter(), time.process_time()
        reading = (await engine.read(tokens, None))[0]
        cpu.append((time.process_time() - used) * 1000)
        wall.append((time.perf_counter() - began) * 1000)
        told_labels = [(share, label) for label, share in reading.labels.items() if label.startswith("massive:")]
        right += max(told_labels, default=(0.0, ""))[1] == f"massive:{one.massive}"
    median = told(f"the English model alone, {len(known)} sentences", cpu, wall)
    scores = json.loads((BUNDLED / "intents-en" / "scores.json").read_text(encoding="utf-8"))
    accuracy, baseline = 100 * right / len(known), 100 * scores["slurp"]["baseline"]["accuracy"]
    good = accuracy >= baseline + MARGIN, median <= LIMIT_MS[1]
    print(
        f"Intents of SLURP test: {accuracy:.1f} % baseline {baseline:.1f} % (+{accuracy - baseline:.1f}, "
        f"wanted +{MARGIN:.0f})  {_verdict(good[0])}"
    )
    print(f"CPU of the English model: p50 {median:.2f} ms limit {LIMIT_MS[1]:.2f} ms  {_verdict(good[1])}")
    return all(good)


def _verdict(good: bool) -> str:
    return "PASS" if good else "MISS"


async def measure(count: int, crowds: Sequence[int]) -> bool:
    client = OnnxClient(ModelStore.with_bundled(BUNDLED), threads=1)
    known = built_in()
    phrases = sum(len(intent.phrases.get("en", ())) for one in known for intent in one.intents)
    print(f"{len(known)} built-in skills, {phrases} English phrases, {count} sentences of each language:")
    medians = await languages(client, known, count)
    await crowded(client, known, count, crowds)
    good = await model_alone(client)
    await client.close()
    for alternatives, limit in LIMIT_MS.items():
        median = medians[alternatives]
        what = f"{alternatives} alternative{'s' * (alternatives > 1)}"
        verdict = _verdict(median <= limit)
        print(f"CPU of an English utterance, {what}: p50 {median:.2f} ms limit {limit:.2f} ms  {verdict}")
    return good and all(medians[alternatives] <= limit for alternatives, limit in LIMIT_MS.items())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=150, help="of each language (default 150)")
    parser.add_argument("--intents", default="500,1500", help="made-up skills beside the built-in ones")
    options = parser.parse_args(arguments)
    asyncio.run(measure(options.sentences, [int(one) for one in options.intents.split(",") if one]))


if __name__ == "__main__":
    main()
