"""A published Zipformer2 transducer as `networks.py` wants one; `readers.py` opens it.

Its predictor has no state of its own: it looks at the last two tokens. The bundle comes from `published/importing.py`;
its parameters are those of `lstm.py`, with `graph: zipformer2`, and `chunk_shift`: frames that a window of
`chunk_frames` moves on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.asr.engines.features import Frames
from services.asr.engines.neural.outputs import batches, rows, sound
from services.asr.engines.neural.parameters import Parameters, invalid
from services.asr.engines.neural.pieces import Tokens
from services.asr.engines.transducer.networks import BLANK, Encoded, Floats, Prediction
from services.runtime.inference import ModelClient, ModelDefinition, SequenceStep, TensorSpec

_CONTEXT = 2
_UNKNOWN = "<unk>"
_NOTHING_YET = -1  # a token before the first; the network embeds it as zeros
_NEVER = np.float32(-1e9)  # a score, finite because all of them have to be


class Zipformer2Transducer:
    """Implements `TransducerModel`.

    Args:
        definition: of the whole.
        client: that runs the parts.
        patience: longest wait for one call, seconds.

    Raises:
        FailedPrecondition: `MODEL_MISSING`, or `MODEL_DEFINITION_INVALID` naming file and key.
    """

    symbols_per_frame = 1  # as these models are trained and, by sherpa-onnx, decoded

    def __init__(self, definition: ModelDefinition, client: ModelClient, patience: float) -> None:
        self.definition = definition
        self._client = client
        self._patience = patience
        given = Parameters(definition)
        self._encoder, self._predictor, self._joiner = (
            client.definition(given.text(part)) for part in ("encoder", "predictor", "joiner")
        )
        self.parts: tuple[str, ...] = (self._encoder.id, self._predictor.id, self._joiner.id)
        self.shape, self._subsampling = given.shape(looks_ahead=True)
        definition.verified_bytes()
        self.tokens = Tokens.read(definition.path, lowercase=given.flag("lowercase"))
        self._unknown = self.tokens.symbols.index(_UNKNOWN) if _UNKNOWN in self.tokens.symbols else None
        self._encoded = self._check()
        self._first: Prediction | None = None

    async def load(self) -> None:
        for part in self.parts:
            await self._client.load(part)
        await self.first()

    async def encode(self, window: Frames, step: SequenceStep, budget: float | None) -> Encoded:
        """A budget is not for this family."""
        inputs = {self._encoder.inputs[0].name: window[None]}
        outputs = await self._client.infer(self._encoder.id, inputs, sequence=step, deadline=self._patience)
        return Encoded(sound(self._encoder.id, outputs[self._encoder.outputs[0].name], (1, *self._encoded))[0])

    async def first(self) -> Prediction:
        if self._first is None:
            (self._first,) = await self._predict([(_NOTHING_YET, BLANK)])
        return self._first

    async def advance(self, before: Sequence[Prediction], tokens: Sequence[int]) -> list[Prediction]:
        return await self._predict(
            [(int(each.state[0][-1]), token) for each, token in zip(before, tokens, strict=True)]
        )

    async def join(self, encoded: Floats, predicted: Floats) -> Floats:
        """What the network calls unknown counts as nothing heard, as in sherpa-onnx's searches."""
        shape = len(self.tokens)
        found = [np.empty((0, shape), np.float32)]
        names = [spec.name for spec in self._joiner.inputs]
        for part in batches(len(encoded), rows(self._joiner)):
            inputs = dict(zip(names, (encoded[part], predicted[part]), strict=True))
            outputs = await self._client.infer(self._joiner.id, inputs, deadline=self._patience)
            found.append(sound(self._joiner.id, outputs[self._joiner.outputs[0].name], (len(encoded[part]), shape)))
        logits = np.concatenate(found)
        if self._unknown is not None:
            logits[:, BLANK] = np.maximum(logits[:, BLANK], logits[:, self._unknown])
            logits[:, self._unknown] = _NEVER
        return logits

    async def _predict(self, contexts: Sequence[tuple[int, int]]) -> list[Prediction]:
        found: list[Prediction] = []
        tokens = np.array(contexts, np.int64)
        for part in batches(len(tokens), rows(self._predictor)):
            inputs = {self._predictor.inputs[0].name: tokens[part]}
            outputs = await self._client.infer(self._predictor.id, inputs, deadline=self._patience)
            name, count = self._predictor.outputs[0].name, len(tokens[part])
            predicted = sound(self._predictor.id, outputs[name], (count, self._encoded[1]))
            found += [Prediction(row, (context,)) for row, context in zip(predicted, tokens[part], strict=True)]
        return found

    def _check(self) -> tuple[int, int]:
        """Frames and numbers of each that a window becomes. Bundles may have been edited since they were made."""
        frames = self.shape.shift // self._subsampling
        (encoded,) = _last(self._encoder, self._encoder.outputs, 1)
        width = encoded[-1] if encoded else None
        if width is None or encoded != (frames, width):
            raise invalid(self._encoder, "outputs", "are not as chunk_shift and subsampling make them")
        expected = (
            (self._encoder, self._encoder.inputs, [(self.shape.window, self.shape.features.mel_bins)]),
            (self._predictor, self._predictor.inputs, [(_CONTEXT,)]),
            (self._predictor, self._predictor.outputs, [(width,)]),
            (self._joiner, self._joiner.inputs, [(width,), (width,)]),
            (self._joiner, self._joiner.outputs, [(len(self.tokens),)]),
        )
        for definition, specs, shapes in expected:
            for spec, have, want in zip(specs, _last(definition, specs, len(shapes)), shapes, strict=True):
                if have != want:
                    raise invalid(definition, spec.name, f"has {list(have)} where {list(want)} is wanted")
        return frames, width


def _last(definition: ModelDefinition, specs: Sequence[TensorSpec], count: int) -> list[tuple[int | None, ...]]:
    """The shapes without their rows, of as many tensors as there have to be."""
    if len(specs) != count:
        raise invalid(definition, "inputs and outputs", "are not those of this family")
    return [spec.shape[1:] for spec in specs]
