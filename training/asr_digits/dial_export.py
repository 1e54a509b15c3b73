"""Writes services/asr/models/digits-dial; called by `dial --export`.

The graph is compared with torch before it is written: several budgets in one call, whole and in pieces.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import yaml
from numpy.typing import NDArray

from training.asr_digits.dial_graph import encoder_graph
from training.asr_digits.dial_network import DialEncoder
from training.asr_digits.dial_settings import DialSettings
from training.asr_digits.export import bundle, tensor
from training.asr_digits.networks import Transducer

NAME = "digits-dial"
FOLDER = Path("services/asr/models") / NAME
PIECE = 16
_CLOSE = 2e-5

Tensor = NDArray[np.float32]
Tensors = dict[str, Tensor]


def export(model: Transducer, least: float) -> None:
    """Below the budget `least` nothing was trained. Raises AssertionError if graph and network differ."""
    encoder: DialEncoder = model.encoder
    graph = graph_of(encoder)
    _compare(encoder, graph)
    bundle(NAME, model, graph.SerializeToString(), _definition(encoder.settings))
    _declare_least(least)


def graph_of(encoder: DialEncoder, *, gated: bool = True) -> onnx.ModelProto:
    weights = {name: value.detach().numpy() for name, value in encoder.state_dict().items()}
    return encoder_graph(encoder.settings, weights, gated=gated)


class Running:
    """A graph in onnxruntime on one thread."""

    def __init__(self, graph: onnx.ModelProto, settings: DialSettings) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._settings = settings
        self._session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._outputs = [one.name for one in self._session.get_outputs()]
        self._dial = any(one.name == "budget" for one in self._session.get_inputs())

    def begin(self, batch: int) -> Tensors:
        return {name: np.zeros((batch, *shape), np.float32) for name, shape in self._settings.states().items()}

    def piece(self, features: Tensor, budget: Tensor, states: Tensors) -> tuple[Tensors, Tensors]:
        """Outputs of one call, and the states for the next."""
        feeds = {"features": features, **states, **({"budget": budget} if self._dial else {})}
        found = dict(zip(self._outputs, self._session.run(None, feeds), strict=True))
        return found, {name: found.pop(f"{name}_next") for name in states}


def _definition(settings: DialSettings) -> dict[str, Any]:
    """A long input is not cut (`streaming`): the budget has no time axis. So what a health check sends is said here."""
    return {
        "inputs": [tensor("features", -1, -1, settings.mel_bins), tensor("budget", -1, 1)],
        "outputs": [tensor("encoded", -1, -1, settings.encoded), tensor("spent", -1, 1)],
        "states": [
            {"input": name, "output": f"{name}_next", "dtype": "float32", "shape": [1, *shape]}
            for name, shape in settings.states().items()
        ],
        "parameters": {"sample_shapes": {"features": [1, PIECE, settings.mel_bins]}},
    }


def _declare_least(least: float) -> None:
    """A caller who asks for less gets this."""
    path = FOLDER / "model.yaml"
    definition: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    definition["parameters"]["least_budget"] = least
    path.write_text(yaml.safe_dump(definition, sort_keys=False), encoding="utf-8")


def _compare(encoder: DialEncoder, graph: onnx.ModelProto) -> None:
    rng = np.random.default_rng(0)
    features = (encoder.mean.numpy() + rng.standard_normal((3, 160, 40)) / encoder.scale.numpy()).astype(np.float32)
    budgets = np.array([[1.0], [0.4], [0.7]], np.float32)
    with torch.inference_mode():
        wanted, opened = encoder(torch.from_numpy(features), torch.from_numpy(budgets))
    running = Running(graph, encoder.settings)
    whole, _ = running.piece(features, budgets, running.begin(3))
    spent = encoder.spent(opened).mean(dim=1, keepdim=True).numpy()
    _agree("whole", whole, {"encoded": wanted.numpy(), "spent": spent})
    pieces, states = list[Tensors](), running.begin(3)
    for at in range(0, features.shape[1], PIECE):
        found, states = running.piece(features[:, at : at + PIECE], budgets, states)
        pieces.append(found)
    encoded = np.concatenate([one["encoded"] for one in pieces], axis=1)
    _agree("in pieces", {"encoded": encoded, "spent": np.mean([one["spent"] for one in pieces], axis=0)}, whole)


def _agree(what: str, got: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    for name, value in wanted.items():
        apart = float(np.abs(got[name] - value).max())
        print(f"{what}: {name} differs by {apart:.1e} at most")
        assert apart < _CLOSE, (what, name, apart)
