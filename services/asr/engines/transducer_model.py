"""The three networks of a transducer as a search sees them, and our own kind: an encoder and an LSTM predictor.

`transducer.py` reads bundles and runs `greedy.py` and `beam.py` over `TransducerModel`; other families implement it in
files of their own. Transducers: Graves, "Sequence transduction with recurrent neural networks", 2012 (arXiv 1211.3711).

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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from services.asr.engines.features import FRAMES_PER_SECOND, FeatureSettings, Frames
from services.asr.engines.pieces import Tokens
from services.asr.engines.search import StreamShape
from services.runtime.errors import FailedPrecondition, Internal
from services.runtime.inference import ModelClient, ModelDefinition, SequenceStep, Tensor, TensorSpec

Floats = NDArray[np.float32]

BLANK = 0
_UNLIMITED_ROWS = 1024
_MAX_WINDOW = 4_096  # frames, 41 s: no model that streams takes more
_MAX_SYMBOLS = 10
_MAX_PENALTY = 10.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the predictor made of the tokens so far: its output (P,), and its state, which only the model reads."""

    output: Floats
    state: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True)
class Encoded:
    """Frames of the encoder's output (n, D), and the share of its full cost that they took; None without a dial."""

    frames: Floats
    spent: float | None = None


class TransducerModel(Protocol):
    """A transducer's networks. All raise what `ModelClient.infer` does, and Internal `MODEL_FAILED`."""

    definition: ModelDefinition
    parts: tuple[str, ...]
    shape: StreamShape
    tokens: Tokens
    symbols_per_frame: int
    """Most tokens at one frame; after them a search moves on."""

    async def load(self) -> None:
        """Makes all parts ready."""
        ...

    async def encode(self, window: Frames, step: SequenceStep, budget: float | None) -> Encoded:
        """One window of features (window, mel bins) of a sequence; a budget is read by models with a dial only."""
        ...

    async def first(self) -> Prediction:
        """Before any token."""
        ...

    async def advance(self, before: Sequence[Prediction], tokens: Sequence[int]) -> list[Prediction]:
        """Each prediction after one more token, in as few calls as the model allows."""
        ...

    async def join(self, encoded: Floats, predicted: Floats) -> Floats:
        """Scores of all tokens, not normalised: (n, D) and (n, P) -> (n, tokens); blank is token 0."""
        ...


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
        self.shape, self._subsampling = given.shape()
        self.symbols_per_frame = given.number("symbols_per_frame", 3, least=1, most=_MAX_SYMBOLS)
        self._blank_penalty = np.float32(given.between("blank_penalty", 0.0, least=0.0, most=_MAX_PENALTY))
        self._least_budget = given.between("least_budget", 0.0, least=0.0, most=1.0)
        definition.verified_bytes()
        self.tokens = Tokens.read(definition.path, lowercase=bool(definition.parameters.get("lowercase", False)))
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


class Parameters:
    """Reads what a bundle declares. Raises FailedPrecondition `MODEL_DEFINITION_INVALID` naming file and key."""

    def __init__(self, definition: ModelDefinition) -> None:
        self._definition = definition
        self._given: Mapping[str, Any] = definition.parameters

    def text(self, key: str) -> str:
        value = self._given.get(key)
        if not isinstance(value, str):
            raise invalid(self._definition, f"parameters.{key}", "must be a text")
        return value

    def number(self, key: str, default: int | None, *, least: int, most: int) -> int:
        value = self._given.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise invalid(self._definition, f"parameters.{key}", f"must be a whole number from {least} to {most}")
        return value

    def between(self, key: str, default: float, *, least: float, most: float) -> float:
        value = self._given.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise invalid(self._definition, f"parameters.{key}", f"must be a number from {least:g} to {most:g}")
        return float(value)

    def features(self) -> FeatureSettings:
        try:
            settings = FeatureSettings.parse(self._given.get("features", {}))
        except (AttributeError, TypeError, ValueError) as error:
            raise invalid(self._definition, "parameters.features", f"cannot be read: {error}") from None
        if settings.rate_hz != 16_000:
            raise invalid(self._definition, "parameters.features.rate_hz", "must be 16000")
        return settings

    def shape(self) -> tuple[StreamShape, int]:
        """The shape of a model that does not look ahead, and its subsampling."""
        subsampling = self.number("subsampling", None, least=1, most=64)
        window = self.number("chunk_frames", None, least=1, most=_MAX_WINDOW)
        if window % subsampling:
            raise invalid(self._definition, "parameters.chunk_frames", "must be a multiple of subsampling")
        shape = StreamShape(
            self.features(),
            window,
            window,
            frame_seconds=subsampling / FRAMES_PER_SECOND,
            delay_seconds=self.number("delay_ms", 0, least=0, most=2_000) / 1000,
            tail=self.number("tail_ms", 0, least=0, most=2_000) * FRAMES_PER_SECOND // 1000,
        )
        return shape, subsampling


def rows(definition: ModelDefinition) -> int:
    """How many rows one call may have."""
    if definition.batching is not None:
        return definition.batching.max_size
    return 1 if any(spec.shape[:1] == (1,) for spec in definition.inputs) else _UNLIMITED_ROWS


def batches(count: int, size: int) -> list[slice]:
    return [slice(at, at + size) for at in range(0, count, size)]


def sound(model: str, value: Tensor, shape: tuple[int, ...]) -> Floats:
    """An output as it must be. Raises Internal `MODEL_FAILED` for another shape, or when it is not finite."""
    if value.shape != shape or value.dtype != np.float32:
        raise failed(model, f"an output is {value.dtype}{list(value.shape)}, not float32{list(shape)}")
    if not np.isfinite(value).all():
        raise failed(model, "an output is not finite")
    return value


def failed(model: str, what: str) -> Internal:
    return Internal(f"Model {model} failed: {what}.", reason="MODEL_FAILED")


def invalid(definition: ModelDefinition, key: str, what: str) -> FailedPrecondition:
    """The definition of a model is wrong at a key of its `model.yaml`."""
    return FailedPrecondition(
        f"{definition.path.parent / 'model.yaml'}: {key} {what}", reason="MODEL_DEFINITION_INVALID"
    )


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
