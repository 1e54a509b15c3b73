"""Which engine a bundle is for, and the reader of each kind of neural model.

Used by `app.py`. `parameters.engine` of a definition names the engine, `parameters.graph` the family of its networks
where there are several.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.asr.engines.ctc.model import CtcModel
from services.asr.engines.neural.parameters import invalid
from services.asr.engines.neural.search import SpeechModel
from services.asr.engines.transducer.lstm import LstmTransducer
from services.asr.engines.transducer.model import Transducer
from services.asr.engines.transducer.networks import TransducerModel
from services.asr.engines.transducer.zipformer2 import Zipformer2Transducer
from services.asr.settings import AsrSettings
from services.runtime.errors import FailedPrecondition
from services.runtime.inference import ModelClient, ModelDefinition

POCKETSPHINX, TRANSDUCER, CTC = "pocketsphinx", "transducer", "ctc"
_ENGINE, _GRAPH = "engine", "graph"

_ENGINES = (CTC, POCKETSPHINX, TRANSDUCER)
_TRANSDUCERS: dict[str, Callable[[ModelDefinition, ModelClient, float], TransducerModel]] = {
    "lstm": LstmTransducer,
    "zipformer2": Zipformer2Transducer,
}


def engine_of(definitions: Sequence[ModelDefinition]) -> str:
    """The engine that serves these models.

    Raises FailedPrecondition: `MODEL_DEFINITION_INVALID` for an unknown engine, `ENGINES_MIXED` when they want several.
    """
    wanted = {definition.id: _engine(definition) for definition in definitions}
    if len(set(wanted.values())) > 1:
        told = ", ".join(f"{model} {engine}" for model, engine in sorted(wanted.items()))
        raise FailedPrecondition(
            f"one pool runs one engine, and its models want several: {told}", reason="ENGINES_MIXED"
        )
    return next(iter(wanted.values()))


def read_model(definition: ModelDefinition, client: ModelClient, settings: AsrSettings) -> SpeechModel:
    """A neural model, checked but not loaded.

    Raises FailedPrecondition: `MODEL_MISSING`, `MODEL_DIGEST_MISMATCH`, or `MODEL_DEFINITION_INVALID` naming file and
    key.
    """
    if _engine(definition) == CTC:
        return CtcModel(definition, client, settings.model_timeout, settings.beam)
    graph = definition.parameters.get(_GRAPH, "lstm")
    if graph not in _TRANSDUCERS:
        raise invalid(definition, f"parameters.{_GRAPH}", f"must be one of {sorted(_TRANSDUCERS)}")
    return Transducer(_TRANSDUCERS[graph](definition, client, settings.model_timeout), settings.beam)


def _engine(definition: ModelDefinition) -> str:
    engine = definition.parameters.get(_ENGINE, POCKETSPHINX)
    if engine not in _ENGINES:
        raise invalid(definition, f"parameters.{_ENGINE}", f"must be one of {list(_ENGINES)}")
    return str(engine)
