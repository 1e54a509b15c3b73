"""A streaming CTC model as a model of speech: one graph, its sequence, and the search over what it gives.

Made by `readers.py`; a session of `neural/engine.py` makes one search per utterance. Bundles come from
`published/importing.py`: a folder with `model.yaml` (`file: tokens.txt`, no tensors) and these parameters:

    engine: ctc
    graph: nemo_ctc, wenet_ctc or zipformer2_ctc
    model: id of the model in its subfolder
    blank: the token that stands for none
    features: of `features.py`
    subsampling: frames of features per frame of output
    chunk_frames: frames of features that the graph takes at once
    chunk_shift: frames of features that it moves on
    tail_ms: silence to hear after the last sound, 0 if not given
    lowercase: true where tokens are upper case and text shall not be
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import numpy as np

from services.asr.engines.ctc.graphs import FAMILIES, Inputs
from services.asr.engines.ctc.search import Greedy, LogProbs, PrefixBeam
from services.asr.engines.features import Frames
from services.asr.engines.neural.outputs import failed, sound
from services.asr.engines.neural.parameters import Parameters, invalid
from services.asr.engines.neural.pieces import Tokens
from services.asr.engines.neural.search import Asked, Hypothesis
from services.asr.engines.neural.sequence import Sequence
from services.runtime.errors import AntiphonError
from services.runtime.inference import ModelClient, ModelDefinition, SequenceStep

_LEAST_BEAM = 8  # where alternatives or phrases are asked for
_WIDEST = 32
_SLICE = 4  # frames searched before others have their turn: at most about 2 ms, of noise


class CtcModel:
    """Implements `search.SpeechModel`.

    Args:
        definition: of the whole.
        client: that runs its graph.
        patience: longest wait for one call, seconds.
        width: of the beam; 1 searches greedily unless alternatives or phrases are asked for.

    Raises:
        FailedPrecondition: `MODEL_MISSING`, or `MODEL_DEFINITION_INVALID` naming file and key.
    """

    engine = "ctc"

    def __init__(self, definition: ModelDefinition, client: ModelClient, patience: float, width: int) -> None:
        self.definition = definition
        self._client = client
        self._patience = patience
        self._width = width
        given = Parameters(definition)
        self._graph = client.definition(given.text("model"))
        self.parts: tuple[str, ...] = (self._graph.id,)
        self.shape, self._subsampling = given.shape(looks_ahead=True)
        definition.verified_bytes()
        self.tokens = Tokens.read(definition.path, lowercase=given.flag("lowercase"))
        self._blank = given.number("blank", None, least=0, most=len(self.tokens) - 1)
        self._inputs = self._family(given.text("graph"))

    async def load(self) -> None:
        await self._client.load(self._graph.id)

    def search(self, asked: Asked) -> CtcSearch:
        return CtcSearch(self, self._path(asked))

    async def log_probs(self, window: Frames, done: int, step: SequenceStep) -> LogProbs:
        """One window of features; `done` frames of output came before. Raises as `ModelClient.infer`."""
        outputs = await self._client.infer(
            self._graph.id, self._inputs(window, done), sequence=step, deadline=self._patience
        )
        value = outputs[self._graph.outputs[0].name]
        if value.ndim != 3 or not 1 <= value.shape[1] <= self.shape.window:
            raise failed(self._graph.id, f"an output has the shape {list(value.shape)}")
        found: LogProbs = sound(self._graph.id, value, (1, value.shape[1], len(self.tokens)))[0]
        return found

    def _path(self, asked: Asked) -> Path:
        if self._width == 1 and asked.alternatives == 1 and not asked.hotwords:
            return Greedy(self._blank)
        least = _LEAST_BEAM if asked.alternatives > 1 or asked.hotwords else 1
        width = max(self._width, least, 2 * asked.alternatives)
        return PrefixBeam(self._blank, min(width, _WIDEST), asked.hotwords)

    def _family(self, name: str) -> Inputs:
        if name not in FAMILIES:
            raise invalid(self.definition, "parameters.graph", f"must be one of {sorted(FAMILIES)}")
        vocabulary = self._graph.outputs[0].shape[-1:] if len(self._graph.outputs) == 1 else ()
        if vocabulary != (len(self.tokens),):
            raise invalid(self._graph, "outputs", f"must end in {len(self.tokens)}, as many as tokens.txt has")
        try:
            inputs = FAMILIES[name](self._graph)
            made = inputs(np.zeros((self.shape.window, self.shape.features.mel_bins), np.float32), 0)
            self._graph.check(made)
        except (AntiphonError, IndexError, ValueError) as error:
            raise invalid(self._graph, "inputs", f"are not those of {name}: {error}") from None
        return inputs


class Path(Protocol):
    """What a search makes of log-probabilities: `search.Greedy` and `search.PrefixBeam`."""

    def advance(self, log_probs: LogProbs) -> None: ...

    def best(self, count: int) -> list[Hypothesis]: ...


class CtcSearch:
    """One utterance; implements `search.Search`."""

    spent = None  # these models have no dial

    def __init__(self, model: CtcModel, path: Path) -> None:
        self._model = model
        self._path = path
        self._sequence = Sequence()
        self._done = 0  # frames of output

    async def advance(self, frames: Frames, *, last: bool) -> None:
        with self._sequence.step(last=last) as step:
            found = await self._model.log_probs(frames, self._done, step)
        self._done += len(found)
        for at in range(0, len(found), _SLICE):
            self._path.advance(found[at : at + _SLICE])
            await asyncio.sleep(0)

    def best(self, count: int) -> list[Hypothesis]:
        return self._path.best(count)

    async def close(self) -> None:
        with self._sequence.ending(self._model.shape) as end:
            if end is not None:
                nothing, step = end
                await self._model.log_probs(nothing, self._done, step)
