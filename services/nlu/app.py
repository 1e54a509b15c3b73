"""Wires the understanding service; `services/registry.py` names its `SPEC`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from antiphon.nlu.v1 import understanding_pb2
from antiphon.skill.v1 import manifest_pb2
from antiphon.skills.manifest import load_manifest
from antiphon.types.v1 import capability_pb2, provenance_pb2
from services.nlu.engines.engine import EngineInfo
from services.nlu.engines.labels import LabelEngine, LabelReader
from services.nlu.engines.languages import LanguageEngine
from services.nlu.engines.remembering import Remembering
from services.nlu.engines.thin import ThinEngine
from services.nlu.in_context import ExampleReader
from services.nlu.interpreter import Interpreter
from services.nlu.library import Shelf, SkillLibrary
from services.nlu.locales.adding import Locales
from services.nlu.manifests import MAX_BYTES, skill_of
from services.nlu.one_vs_all.lessons import Lessons
from services.nlu.one_vs_all.updating import SkillUpdates
from services.nlu.servicer import LanguageUnderstandingServicer
from services.nlu.settings import NluSettings
from services.nlu.skills import Skill
from services.nlu.sources import PHRASES
from services.nlu.text import tokenise
from services.nlu.understanding import Situation
from services.nlu.values.finder import Finder
from services.nlu.values.places import Gazetteer
from services.runtime.backends import model_client
from services.runtime.model_store import ModelStore
from services.runtime.settings import load
from services.runtime.spec import Application, Runtime, ServiceSpec
from services.runtime.store import StoreLimits
from services.runtime.stores import open_store

SERVICE = understanding_pb2.DESCRIPTOR.services_by_name["LanguageUnderstandingService"]
BUNDLED = Path(__file__).with_name("models")
CONVERSATION = Path(__file__).with_name("conversation.yaml")

_FEATURES = (
    "AddLocale",
    "Interpret",
    "StreamingInterpret",
    "UpdateSkill",
    "catalogues",
    "dialogue_acts",
    "examples",
    "modes",
    "n_best",
    "out_of_scope_threshold",
    "resolve_values",
)
_NOTES = (
    "Skills are read by the phrases of their manifests (UpdateSkill), in every locale that they have phrases for.",
    "UpdateSkill: phrases serve when it answers; the skill's own models are trained within seconds beside the others', "
    "which stay as they are. Until then it answers RUNNING, and SERVING when it is repeated. Models made before "
    "most of the skills came are made once more.",
    "Divergence is the share of a skill's sentences that models of others, not trained with them, would take alone.",
    "AddLocale makes a locale of a bilingual lexicon and the phrases of the skills there are; its mode is ZERO_SHOT.",
    "Examples of a request are retrieved by a model's embedding; their mode is IN_CONTEXT.",
    "There is one model of each lineage, of the class INTERACTIVE; latency_class may ask for no other.",
    "Yes and no are told by rule, the other dialogue acts follow from the intent.",
)
_STORE_LIMITS = StoreLimits(max_value_bytes=MAX_BYTES + 65_536)


async def build(runtime: Runtime) -> Application:
    """Load the models and put the service together."""
    settings = load(NluSettings, runtime.options, "ANTIPHON_NLU")
    models = ModelStore.with_bundled(BUNDLED)
    client = await model_client(models, SPEC.capability, threads=settings.threads, max_waiting=settings.max_waiting)
    engine = Remembering(await ThinEngine.load(client, settings.model))
    labels: list[LabelReader] = []
    if settings.label_model:
        labels.append(Remembering(await LabelEngine.load(client, settings.label_model)))
    examples = None
    if settings.language_model:
        many = await LanguageEngine.load(client, settings.language_model)
        labels.append(Remembering(many))
        examples = ExampleReader(many)
    store = await open_store(runtime, "nlu.sqlite3", _STORE_LIMITS)
    library = SkillLibrary(store, _read, own=[conversation()])
    await library.follow_once()
    lessons = Lessons(store, library)
    await lessons.take_over()
    locales = Locales(store, library, engine.info.locales)
    await locales.follow_once()
    following = [asyncio.create_task(one) for one in (library.follow(), lessons.run(), locales.follow())]
    interpreter = Interpreter(engine, Gazetteer.bundled(), library, labels, examples, locales)
    await asyncio.to_thread(_warm, interpreter.locales)
    updates = SkillUpdates(library, lessons)
    threshold = settings.out_of_scope_threshold
    servicer = LanguageUnderstandingServicer(interpreter, updates, locales, runtime.pool, runtime.limits, threshold)

    async def describe() -> capability_pb2.DescribeResponse:
        return capability_pb2.DescribeResponse(
            models=[*map(_model, interpreter.infos), _phrases(library.shelf)],
            locales=interpreter.locales,
            features=_FEATURES,
            notes=(*_NOTES, *_held(library.shelf), *map(_known, interpreter.infos)),
        )

    async def close() -> None:
        for one in following:
            one.cancel()
        await asyncio.wait(following)
        await locales.close()
        await store.close()
        await client.close()

    return Application({SERVICE.full_name: servicer}, describe, close=close)


def _warm(locales: Sequence[str]) -> None:
    """Read the grammars of values now, not while the first user waits."""
    for locale in locales:
        Finder(locale, Situation(), Gazetteer.bundled(), {}).find("TIME", tokenise("12:00"))


def conversation() -> Skill:
    """The intents of the conversation itself, `dialogue.*`."""
    return skill_of(load_manifest(CONVERSATION))


def _read(wire: bytes) -> Skill:
    return skill_of(manifest_pb2.SkillManifest.FromString(wire))


def _known(info: EngineInfo) -> str:
    return f"{info.model} tells {len(info.intents)} intents or labels: {', '.join(info.intents)}."


def _phrases(shelf: Shelf) -> capability_pb2.ModelInfo:
    return capability_pb2.ModelInfo(
        model=PHRASES,
        digest=f"sha256:{shelf.digest}",
        licence="Apache-2.0",
        locales=shelf.locales,
        backend="rules",
        engine="antiphon",
        mode=provenance_pb2.MODEL_MODE_RULES,
        latency_class=provenance_pb2.LATENCY_CLASS_INTERACTIVE,
        description="Lays an utterance beside the phrases of all skills; no training.",
    )


def _held(shelf: Shelf) -> tuple[str, ...]:
    skills = ", ".join(f"{one.skill_id} {one.version}" for one in shelf.skills.values()) or "none"
    phrases = sum(one.phrase_count for one in shelf.skills.values())
    taught = ", ".join(f"{one.skill_id} {one.version}" for one in shelf.taught.values()) or "none"
    return (
        f"Skills read by phrases: {skills}; {len(shelf.intents)} intents, {phrases} phrases.",
        f"Skills with models of their own: {taught}.",
    )


def _model(info: EngineInfo) -> capability_pb2.ModelInfo:
    return capability_pb2.ModelInfo(
        model=info.model,
        digest=info.digest,
        licence=info.licence,
        locales=info.locales,
        backend=info.backend,
        engine=info.engine,
        mode=provenance_pb2.MODEL_MODE_ZERO_SHOT if info.untrained else provenance_pb2.MODEL_MODE_FINETUNED,
        latency_class=provenance_pb2.LATENCY_CLASS_INTERACTIVE,
        description=info.description,
        lineage=info.lineage,
        size_bytes=info.size_bytes,
        scores=[
            capability_pb2.ModelScore(locale=locale, metric=metric, value=value, dataset=dataset)
            for locale, metric, value, dataset in info.scores
        ],
    )


SPEC = ServiceSpec(capability="nlu", services=(SERVICE,), build=build)
