"""Wires the understanding service; `services/registry.py` names its `SPEC`."""

from __future__ import annotations

from pathlib import Path

from antiphon.nlu.v1 import understanding_pb2
from antiphon.types.v1 import capability_pb2, provenance_pb2
from services.nlu.engines.engine import EngineInfo
from services.nlu.engines.thin import ThinEngine
from services.nlu.interpreter import Interpreter
from services.nlu.servicer import LanguageUnderstandingServicer
from services.nlu.settings import NluSettings
from services.nlu.values.places import Gazetteer
from services.runtime.inference import ModelStore
from services.runtime.onnx import OnnxClient
from services.runtime.settings import load
from services.runtime.spec import Application, Runtime, ServiceSpec

SERVICE = understanding_pb2.DESCRIPTOR.services_by_name["LanguageUnderstandingService"]
BUNDLED = Path(__file__).with_name("models")

_FEATURES = ("Interpret", "StreamingInterpret", "dialogue_acts", "n_best", "out_of_scope_threshold", "resolve_values")
_NOTES = (
    "A first small model: it knows the intents below and tells all else as out of scope.",
    "English was measured on public test sets; other languages know our own sentence patterns only.",
    "UpdateSkill and AddLocale are not served: the model is one fixed bundle. Catalogues and examples are not read.",
    "Yes and no are told by rule, the other dialogue acts follow from the intent.",
)


async def build(runtime: Runtime) -> Application:
    """Load the model and put the service together."""
    settings = load(NluSettings, runtime.options, "ANTIPHON_NLU")
    store = ModelStore.with_bundled(BUNDLED)
    client = OnnxClient(store, threads=settings.threads, max_waiting=settings.max_waiting)
    engine = await ThinEngine.load(client, settings.model)
    interpreter = Interpreter(engine, Gazetteer.bundled())
    servicer = LanguageUnderstandingServicer(interpreter, runtime.pool, runtime.limits, settings.out_of_scope_threshold)

    async def describe() -> capability_pb2.DescribeResponse:
        info = engine.info
        return capability_pb2.DescribeResponse(
            models=[_model(info)],
            locales=sorted(info.locales),
            features=_FEATURES,
            notes=(*_NOTES, f"Intents: {', '.join(info.intents)}."),
        )

    return Application({SERVICE.full_name: servicer}, describe, close=client.close)


def _model(info: EngineInfo) -> capability_pb2.ModelInfo:
    return capability_pb2.ModelInfo(
        model=info.model,
        digest=info.digest,
        licence=info.licence,
        locales=info.locales,
        backend=info.backend,
        engine=info.engine,
        mode=provenance_pb2.MODEL_MODE_FINETUNED,
        latency_class=provenance_pb2.LATENCY_CLASS_INTERACTIVE,
        description=info.description,
        size_bytes=info.size_bytes,
        scores=[
            capability_pb2.ModelScore(locale=locale, metric=metric, value=value, dataset=dataset)
            for locale, metric, value, dataset in info.scores
        ],
    )


SPEC = ServiceSpec(capability="nlu", services=(SERVICE,), build=build)
