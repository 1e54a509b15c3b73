"""Wires the recognition service; `services/registry.py` names its `SPEC`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from antiphon.asr.v1 import recognition_pb2
from antiphon.types.v1 import audio_pb2, capability_pb2, provenance_pb2
from services.asr.engines.neural.engine import NeuralEngine
from services.asr.engines.pocketsphinx.engine import PocketsphinxEngine
from services.asr.engines.protocol import Engine, EngineModel
from services.asr.engines.readers import POCKETSPHINX, engine_of, read_model
from services.asr.recognizer import Recognizer
from services.asr.servicer import SpeechRecognitionServicer
from services.asr.settings import AsrSettings
from services.runtime.admission import Limits
from services.runtime.backends import model_client
from services.runtime.inference import ModelDefinition
from services.runtime.model_store import ModelStore
from services.runtime.settings import load
from services.runtime.spec import Application, Runtime, ServiceSpec

SERVICE = recognition_pb2.DESCRIPTOR.services_by_name["SpeechRecognitionService"]

_ENCODINGS = (
    audio_pb2.AUDIO_ENCODING_LINEAR16,
    audio_pb2.AUDIO_ENCODING_MULAW,
    audio_pb2.AUDIO_ENCODING_ALAW,
    audio_pb2.AUDIO_ENCODING_WAV,  # these two in Recognize only
    audio_pb2.AUDIO_ENCODING_FLAC,
)
_FEATURES = (
    "biasing.phrases",
    "endpointing",
    "finalize",
    "grammar",
    "interim_results",
    "max_alternatives",
    "speech_activity",
    "words",
)
_POCKETSPHINX_NOTES = (
    "pocketsphinx with small n-gram models: it serves the commands it was made for, not dictation; see the cards.",
    "A grammar's model is mixed with the model's own at a share of 0.5; models over 8 MB hear it at share 1 only.",
    "Biasing chooses among the 30 best guesses; words outside of the model's dictionary are reported as unmatched.",
    "Confidence is the decoder's posterior, not calibrated. display_text is spoken_text.",
    "Speech of 8 kHz is accepted, but the acoustic models were trained on 16 kHz.",
    "Without effect: eager_threshold, adapt_dialect, compute_budget, rescore, latency_class, pronunciation of phrases.",
)
_NEURAL_NOTES = (
    "A neural model hears what it was trained on; see its card.",
    "Phrases and grammars make their words likelier while they are spoken; none makes others impossible, and what a "
    "slot's type stands for is not expected unless its class has entries.",
    "Words outside of what the model's tokens spell are reported as unmatched.",
    "Confidence is the search's posterior, not calibrated. display_text is spoken_text.",
    "A word's time is that of the frames, 40 ms each with our models, at which its tokens came.",
    "compute_budget is read by models with a dial, and compute_spent told by them: of the encoder's cost.",
    "Without effect: eager_threshold, adapt_dialect, rescore, latency_class, pronunciation of phrases.",
)


async def build(runtime: Runtime) -> Application:
    """Start the engine that the pool's models want, and put the service together."""
    settings = load(AsrSettings, runtime.options, "ANTIPHON_ASR")
    store = ModelStore.with_bundled(Path(__file__).parent / "models")
    definitions = {locale: store.get(model) for locale, model in settings.models.items()}
    loaded = {definition.id: definition for definition in definitions.values()}
    engine = await _engine(tuple(loaded.values()), store, settings, runtime.limits)
    try:
        await engine.start()
    except BaseException:
        await engine.close()
        raise
    recognizer = Recognizer(engine, {locale: found.id for locale, found in definitions.items()}, settings)
    servicer = SpeechRecognitionServicer(recognizer, runtime.pool, runtime.limits)

    async def describe() -> capability_pb2.DescribeResponse:
        return capability_pb2.DescribeResponse(
            models=[_model(model, engine) for model in engine.models],
            locales=recognizer.locales,
            input_formats=[audio_pb2.AudioFormat(encoding=encoding) for encoding in _ENCODINGS],
            features=_FEATURES,
            notes=_POCKETSPHINX_NOTES if engine.name == POCKETSPHINX else _NEURAL_NOTES,
        )

    async def check() -> None:
        engine.check()

    return Application({SERVICE.full_name: servicer}, describe, check, engine.close)


async def _engine(
    definitions: Sequence[ModelDefinition], store: ModelStore, settings: AsrSettings, limits: Limits
) -> Engine:
    if engine_of(definitions) == POCKETSPHINX:
        return PocketsphinxEngine(definitions, settings.workers or None, settings.grammar_cache)
    calls = limits.max_sessions + limits.max_unary  # a session waits for one at a time: none is refused for others
    client = await model_client(store, SPEC.capability, max_waiting=calls)
    return NeuralEngine([read_model(definition, client, settings) for definition in definitions], client)


def _model(model: EngineModel, engine: Engine) -> capability_pb2.ModelInfo:
    return capability_pb2.ModelInfo(
        model=model.id,
        digest=f"sha256:{model.digest}",
        licence=model.licence,
        locales=model.locales,
        backend=engine.backend(model.id),
        engine=engine.name,
        mode=provenance_pb2.MODEL_MODE_FINETUNED,
        description=model.description,
        size_bytes=model.size_bytes,
    )


SPEC = ServiceSpec(capability="asr", services=(SERVICE,), build=build)
