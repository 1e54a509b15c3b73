"""Our own transducers: an encoder of any kind, and a predictor that is an LSTM. `readers.py` opens them.

A bundle is a folder with `model.yaml` (`file: tokens.txt`, no tensors) and these parameters:

    engine: transducer
    encoder, predictor, joiner: ids of the models in its subfolders
    features: of `features.py`
    subsampling: frames of features per frame of the encoder's output
    chunk_frames: frames of features that the encoder takes at once
    symbols_per_frame: most tokens at one frame, 3 if not given
    delay_ms: from the beginning of a word to its first token, 0 if not given
    tail_ms: silence to hear after the last sound, 0 if not given
    blank_penalty: taken off the score of a blank, natural log units, 0 if not given: for a model that misses words
    least_budget: smallest share of its cost that an encoder with a dial is asked for, 0 if not given
    lowercase: true where tokens are upper case and text shall not be
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.asr.engines.features import Frames
from services.asr.engines.neural.outputs import batches, failed, rows, sound
from services.asr.engines.neural.parameters import Parameters, invalid
from services.asr.engines.neural.pieces import Tokens
from services.asr.engines.transducer.networks import BLANK, Encoded, Floats, Prediction
from services.runtime.inference import ModelClient, ModelDefinition, SequenceStep, Tensor, TensorSpec

_MAX_SYMBOLS = 10
_MAX_PENALTY = 10.0


class LstmTransducer:
    """Ours: the predictor is an LSTM whose state is handed in and out, for a beam keeps several.

    Args:
        definition: of the whole.
        client: that runs the parts.
        patience: longest wait for one call, seconds.

    Raises:
        FailedPrecondition: `MODEL_MISSING`, or `MODEL_DEFINITION_INVALID` naming file and key.
    """

    def __init__(self, definition: ModelDefinition, client: ModelClient, patience: float) -> None:
        self.definition = definition
        self._client = client
        self._patience = patience
        given = Parameters(definition)
        self._encoder, self._predictor, self._joiner = (
            client.definition(given.text(part)) for part in ("encoder", "predictor", "joiner")
        )
        self.parts: tuple[str, ...] = (self._encoder.id, self._predictor.id, self._joiner.id)
        self.shape, self._subsampling = given.shape(looks_ahead=False)
        self.symbols_per_frame = given.number("symbols_per_frame", 3, least=1, most=_MAX_SYMBOLS)
        self._blank_penalty = np.float32(given.between("blank_penalty", 0.0, least=0.0, most=_MAX_PENALTY))
        self._least_budget = given.between("least_budget", 0.0, least=0.0, most=1.0)
        definition.verified_bytes()
        self.tokens = Tokens.read(definition.path, lowercase=given.flag("lowercase"))
        self._has_dial = any(spec.name == "budget" for spec in self._encoder.inputs)
        self._tells_cost = any(spec.name == "spent" for spec in self._encoder.outputs)
        self._check()
        hidden, cell = (_fixed(self._predictor, self._predictor.inputs, name, 1) for name in ("hidden", "cell"))
        self._zeros = (np.zeros(hidden, np.float32), np.zeros(cell, np.float32))
        self._first: Prediction | None = None

    async def load(self) -> None:
        for part in self.parts:
            await self._client.load(part)
        await self.first()

    async def encode(self, window: Frames, step: SequenceStep, budget: float | None) -> Encoded:
        inputs: dict[str, Tensor] = {"features": window[None]}
        if self._has_dial:
            share = 1.0 if budget is None else max(budget, self._least_budget)
            inputs["budget"] = np.full((1, 1), share, np.float32)
        outputs = await self._client.infer(self._encoder.id, inputs, sequence=step, deadline=self._patience)
        spent = float(outputs["spent"].reshape(-1)[0]) if self._tells_cost else None
        if spent is not None and not 0.0 <= spent <= 1.0:
            raise failed(self._encoder.id, "spent is no fraction")
        count = len(window) // self._subsampling
        return Encoded(sound(self._encoder.id, outputs["encoded"], (1, count, self._width))[0], spent)

    async def first(self) -> Prediction:
        if self._first is None:
            nothing = Prediction(np.zeros(self._predicted, np.float32), self._zeros)
            (self._first,) = await self.advance([nothing], [BLANK])
        return self._first

    async def advance(self, before: Sequence[Prediction], tokens: Sequence[int]) -> list[Prediction]:
        found: list[Prediction] = []
        for part in batches(len(tokens), rows(self._predictor)):
            states = [each.state for each in before[part]]
            inputs = {
                "token": np.array(tokens[part], np.int64)[:, None],
                "hidden": np.stack([state[0] for state in states]),
                "cell": np.stack([state[1] for state in states]),
            }
            outputs = await self._client.infer(self._predictor.id, inputs, deadline=self._patience)
            count = len(states)
            predicted = sound(self._predictor.id, outputs["predicted"], (count, self._predicted))
            hidden = sound(self._predictor.id, outputs["hidden_next"], inputs["hidden"].shape)
            cell = sound(self._predictor.id, outputs["cell_next"], inputs["cell"].shape)
            found += [Prediction(predicted[at], (hidden[at], cell[at])) for at in range(count)]
        return found

    async def join(self, encoded: Floats, predicted: Floats) -> Floats:
        found = [np.empty((0, len(self.tokens)), np.float32)]
        for part in batches(len(encoded), rows(self._joiner)):
            inputs = {"encoded": encoded[part], "predicted": predicted[part]}
            outputs = await self._client.infer(self._joiner.id, inputs, deadline=self._patience)
            found.append(sound(self._joiner.id, outputs["logits"], (len(inputs["encoded"]), len(self.tokens))))
        logits = np.concatenate(found)
        logits[:, BLANK] -= self._blank_penalty
        return logits

    def _check(self) -> None:
        """The parts must fit each other: what does not would only fail in the middle of somebody's speech."""
        encoder, predictor, joiner = self._encoder, self._predictor, self._joiner
        mel = self.shape.features.mel_bins
        _same(encoder, "features", _fixed(encoder, encoder.inputs, "features", 2), mel, "features.mel_bins")
        self._width = _fixed(encoder, encoder.outputs, "encoded", 2)
        self._predicted = _fixed(predictor, predictor.outputs, "predicted", 1)
        _same(joiner, "encoded", _fixed(joiner, joiner.inputs, "encoded", 1), self._width, "the encoder's output")
        _same(joiner, "predicted", _fixed(joiner, joiner.inputs, "predicted", 1), self._predicted, "the predictor's")
        _same(joiner, "logits", _fixed(joiner, joiner.outputs, "logits", 1), len(self.tokens), "tokens.txt")
        for state in ("hidden", "cell"):
            size = _fixed(predictor, predictor.outputs, f"{state}_next", 1)
            _same(predictor, f"{state}_next", size, _fixed(predictor, predictor.inputs, state, 1), state)


def _fixed(definition: ModelDefinition, specs: Sequence[TensorSpec], name: str, axis: int) -> int:
    """The declared size of a tensor along an axis, which must be the same in every call."""
    for spec in specs:
        if spec.name == name and spec.dtype in ("float32", "int64") and len(spec.shape) == axis + 1:
            size = spec.shape[axis]
            if size is not None:
                return size
    raise invalid(definition, name, f"must be a float32 tensor with {axis + 1} axes, the last of a fixed size")


def _same(definition: ModelDefinition, key: str, have: int, want: int, of: str) -> None:
    if have != want:
        raise invalid(definition, key, f"has {have} where {of} has {want}")
