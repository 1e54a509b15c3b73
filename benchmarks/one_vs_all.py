"""Binary models of skills: what they win over phrases, what staleness costs and when it shows, and 1,500 of them.

    ANTIPHON_DATA=... python -m benchmarks one_vs_all [--parts paraphrases,stale,crowd,questions]

Intents of CLINC150 are registered as skills, some of their `train` sentences as phrases; `val` is read.

- paraphrases: 40 skills of 12 phrases each, read by phrases alone and with their models.
- stale: each skill's sentences are parted into what was said before and what came since. The models of some skills are
  older than what came since, in two ways; the others know all. Divergence: pairwise, the difference of the sentences
  that two models were trained on (Jaccard), mean over all pairs; from current data, the share of sentences that came
  since which the models misjudge; and what `UpdateSkill` tells, the share of a skill's sentences that models of others
  which never saw them would take if they had to tell alone. It must rise with each share, and reach what marks a skill
  as stale before a point of accuracy is lost. Further: what skills are told that are wholly new.
- crowd: 1,500 made-up skills of one intent and ten phrases: time of a registration, memory, time of a sentence.
- questions: the questions of `benchmarks/data/questions.yaml`, read with and without models of the built-in skills.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from benchmarks.clinc import Clinc, as_skill
from benchmarks.questions import LANGUAGES, read
from benchmarks.understanding import built_in, interpreter, made_up, sentences
from services.nlu.app import BUNDLED
from services.nlu.interpreter import Interpreter
from services.nlu.one_vs_all.book import OneVsAll
from services.nlu.one_vs_all.divergence import LEAST_STALE, MAX_DIVERGENCE, diverged
from services.nlu.one_vs_all.features import rows_of
from services.nlu.one_vs_all.models import SkillModels
from services.nlu.one_vs_all.teaching import Surroundings, teach
from services.nlu.skills import Skill
from services.nlu.text import tokenise
from services.nlu.understanding import Alternative, Options, Situation
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient

LIMIT_MS = 2.0
"""Of a sentence among 1,500 intents, median."""

START_S = 12.0
"""CPU of teaching the built-in skills; a first start pays it once."""

PARTS = ("paraphrases", "stale", "crowd", "questions")
_SKILLS, _PHRASES = 40, 12
_UPDATES = 25  # skills whose update is judged for each share
_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
_CLAIMED = 0.5  # probability from which a model takes a sentence for its own
_LOST = 0.01  # of the accuracy
_NEW = 40
_REFUSED = 0.1  # of new skills at most: intents of CLINC150 are close to each other


def auc(higher: Sequence[float], lower: Sequence[float]) -> float:
    """Probability that one of the former is above one of the latter."""
    above, below = np.array(higher), np.array(lower)
    return float((above[:, None] > below[None, :]).mean() + 0.5 * (above[:, None] == below[None, :]).mean())


def taught(skills: Sequence[Skill]) -> dict[str, SkillModels]:
    """Each among all."""
    around = Surroundings(skills)
    return {one.skill_id: teach(one, around) for one in skills}


async def paraphrases(client: OnnxClient, clinc: Clinc) -> bool:
    rng = random.Random(5)
    names = rng.sample(list(clinc.train), _SKILLS)
    skills = [as_skill(name, rng.sample(clinc.train[name], _PHRASES)) for name in names]
    inside = [one for one in clinc.validation if one.intent in names]
    outside = [one for one in clinc.validation if one.intent not in names]
    said = rng.sample(inside, 300) + rng.sample(outside, 300)
    reader = await interpreter(client, skills)
    print(f"{_SKILLS} skills of {_PHRASES} phrases, 300 sentences for them and 300 for none:")
    accuracy = {}
    for what in ("phrases alone", "phrases and models"):
        if what != "phrases alone":
            reader.library.adopt(taught(skills))
        readings = [
            await reader.interpret([Alternative(one.text)], "en", Options(out_of_scope_threshold=1.0), Situation())
            for one in said
        ]
        best = [next((way.intent for way in one.interpretations if way.intent), "") for one in readings]
        right = [best[at] == f"{one.intent}.do" for at, one in enumerate(said) if one.intent in names]
        scores = [one.out_of_scope_score for one in readings]
        accuracy[what] = statistics.mean(right)
        known = auc(scores[300:], scores[:300])
        print(f"  {what:<24} right intent {accuracy[what]:6.1%}   out of scope, AUC {known:.3f}")
    return accuracy["phrases and models"] > accuracy["phrases alone"]


def parted(lines: list[str]) -> tuple[list[str], list[str]]:
    """What was said before and what came since: halves along the direction in which the sentences differ most."""
    rows = rows_of(lines)
    features, places = np.unique(rows.features, return_inverse=True)
    table = np.zeros((len(lines), len(features)), np.float32)
    table[rows.numbers, places] = rows.values
    table -= table.mean(axis=0)
    along = np.linalg.svd(table, full_matrices=False)[0][:, 0]
    order = np.argsort(along)
    half = len(lines) // 2
    return [lines[at] for at in order[:half]], [lines[at] for at in order[half:]]


def stale(clinc: Clinc) -> bool:
    before = [as_skill(name, parted(lines)[0]) for name, lines in clinc.train.items()]
    now = [as_skill(name, lines, "2.0.0") for name, lines in clinc.train.items()]
    then = Surroundings(before)
    new = taught(now)
    print("models that know of nobody, themselves neither, what came since:")
    both = _aged(clinc, before, now, taught(before), new)
    print("models that know their own new sentences, not the others':")
    theirs = _aged(clinc, before, now, {one.skill_id: teach(one, then) for one in now}, new)
    return additions(clinc) and both and theirs


def additions(clinc: Clinc) -> bool:
    """What skills are told that are wholly new, beside many that do not know them."""
    names = random.Random(1).sample(list(clinc.train), len(clinc.train))
    skills = [as_skill(name, clinc.train[name][:_PHRASES]) for name in names]
    there, come = skills[_NEW:], skills[:_NEW]
    models = taught(there)
    book = OneVsAll.of(models.values(), "en")
    told = sorted(diverged(one, None, {"en": book}, models).share for one in come)
    refused = statistics.mean(one > MAX_DIVERGENCE for one in told)
    print(
        f"{_NEW} new skills of {_PHRASES} phrases beside {len(there)}: median {told[_NEW // 2]:.3f}, "
        f"over the limit of {MAX_DIVERGENCE}: {refused:.0%}; one that says what another does: ",
        end="",
    )
    twin = diverged(as_skill("twin", clinc.train[names[-1]][:_PHRASES]), None, {"en": book}, models).share
    print(f"{twin:.3f}")
    return refused <= _REFUSED and twin > MAX_DIVERGENCE


def _aged(
    clinc: Clinc,
    before: Sequence[Skill],
    now: Sequence[Skill],
    old: Mapping[str, SkillModels],
    new: Mapping[str, SkillModels],
) -> bool:
    """Prints what a growing share of old models costs and what tells of it; True where `UpdateSkill` tells in time."""
    order = random.Random(2).sample(list(new), len(new))
    texts = [(one, tokenise(one.text)) for one in clinc.validation if one.intent]
    since = [(f"{name}.do", tokenise(line)) for name, lines in clinc.train.items() for line in parted(lines)[1][:4]]
    print("  stale models   accuracy   pairwise   from current data   UpdateSkill's, mean of updates")
    seen = []
    for share in _SHARES:
        aged = set(order[: round(share * len(order))])
        models = {name: old[name] if name in aged else new[name] for name in new}
        book = OneVsAll.of(models.values(), "en")
        right = statistics.mean(
            book.intents[int(book.scores(words).argmax())] == f"{one.intent}.do" for one, words in texts
        )
        told = _updates(before, now, book, models)
        missed = statistics.mean(book.read(words).intents.get(owner, 0.0) < _CLAIMED for owner, words in since)
        seen.append((right, told))
        apart = 2 * share * (1 - share) * 0.5  # of the pairs one is stale, and has seen half of what the other has
        print(f"  {share:>12.0%}   {right:8.1%}   {apart:8.3f}   {missed:17.3f}   {told:8.3f}", flush=True)
    lost = [told for right, told in seen if right < seen[0][0] - _LOST]
    rises = all(one[1] < other[1] for one, other in pairwise(seen))
    print(
        f"  UpdateSkill's rises with each share: {rises}; where a point was lost it is {min(lost, default=0):.3f} "
        f"or more, and marks a skill as stale from {LEAST_STALE} on"
    )
    return rises and all(told >= LEAST_STALE for told in lost)


def _updates(before: Sequence[Skill], now: Sequence[Skill], book: OneVsAll, models: Mapping[str, SkillModels]) -> float:
    """What skills are told on average that come with today's sentences."""
    pairs = list(zip(before, now, strict=True))[:: len(now) // _UPDATES]
    return statistics.mean(diverged(skill, held, {"en": book}, models).share for held, skill in pairs)


async def crowd(client: OnnxClient) -> bool:
    skills = made_up(1_500)
    began = time.process_time()
    around = Surroundings(skills)
    models = [teach(one, around) for one in skills[:100]]
    each = (time.process_time() - began) / len(models)
    few = Surroundings(skills[:5])
    models += [teach(one, few) for one in skills[100:]]  # need only be there
    began = time.process_time()
    book = OneVsAll.of(models, "en")
    made = time.process_time() - began
    kept = sum(len(one.packed) for one in models)
    print(
        f"1,500 skills: one is trained in {each * 1000:.0f} ms of CPU against all others, which stay as they are; ",
        end="",
    )
    print(f"index made in {made:.2f} s")
    print(
        f"memory: index {book.bytes / 1e6:.1f} MB, models {6 * sum(one.weights for one in models) / 1e6:.1f} MB; ",
        end="",
    )
    print(f"stored {kept / 1e6:.1f} MB")
    texts = sentences([*skills, *built_in()], "en", 1_000)
    cpu = []
    for text in texts:
        tokens = tokenise(text)
        used = time.thread_time()
        book.read(tokens)
        cpu.append((time.thread_time() - used) * 1000)
    p50, p99 = statistics.median(cpu), statistics.quantiles(cpu, n=100)[98]
    print(f"a sentence among 1,500 intents: CPU p50 {p50:.2f} ms, p99 {p99:.2f} ms; limit of p50 {LIMIT_MS} ms")
    return p50 <= LIMIT_MS


async def questions(client: OnnxClient) -> bool:
    known = built_in()
    plain, reader = await interpreter(client, known), await interpreter(client, known)
    began = time.process_time()
    models = taught(known)
    used = time.process_time() - began
    count = sum(len(own) for one in models.values() for own in one.by_locale.values())
    print(f"the built-in skills: {count} models in {used:.1f} s of CPU; limit {START_S} s")
    reader.library.adopt(models)
    print("questions without a predecessor, right intent: phrases and labels, and with models of the skills")
    lost = 0
    for language in LANGUAGES:
        asked = [one for one in read(language) if not one.before]
        right = [
            [await _first(one_of, one.text, language) in one.intents for one in asked] for one_of in (plain, reader)
        ]
        lost += sum(right[0]) - sum(right[1])
        print(f"  {language}: {sum(right[0])} and {sum(right[1])} of {len(asked)}")
    return lost <= 0 and used <= START_S


async def _first(reader: Interpreter, text: str, language: str) -> str:
    understood = await reader.interpret([Alternative(text)], language, Options(), Situation())
    return understood.interpretations[0].intent


async def measure(parts: Sequence[str]) -> bool:
    client = OnnxClient(ModelStore.with_bundled(BUNDLED), threads=1)
    verdicts: dict[str, bool] = {}
    for part in parts:
        began = time.perf_counter()
        match part:
            case "paraphrases":
                verdicts[part] = await paraphrases(client, Clinc())
            case "stale":
                verdicts[part] = stale(Clinc())
            case "crowd":
                verdicts[part] = await crowd(client)
            case "questions":
                verdicts[part] = await questions(client)
            case _:
                raise SystemExit(f"no part '{part}'; there are: {', '.join(PARTS)}")
        print(f"{part}: {'PASS' if verdicts[part] else 'MISS'} ({time.perf_counter() - began:.0f} s)\n", flush=True)
    await client.close()
    return all(verdicts.values())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS), help="which to run (default: all)")
    options = parser.parse_args(arguments)
    asyncio.run(measure([one for one in options.parts.split(",") if one]))


if __name__ == "__main__":
    main()
