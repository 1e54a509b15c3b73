"""HypRank in torch: a bidirectional LSTM over the list, and the same as an ONNX graph.

Kim et al. 2018 (arXiv 1804.08064) score each hypothesis by its own vector beside the LSTM's states at its place; so
does this. The loss is the cross-entropy of the list's softmax, "none of them" among the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from services.arbitration.rankers.matrix import COLUMNS
from training.arbitration.lists import ROWS, Floats, Lists, hits

WIDTH: Final = 32
HIDDEN: Final = 24
EPOCHS: Final = 30
PATIENCE: Final = 6
BATCH: Final = 64
RATE: Final = 3e-3
DROPPED: Final = 0.1
"""Share of the vectors' entries that training leaves out."""


class Network(nn.Module):
    """(n, rows, columns) -> (n, rows)."""

    def __init__(self) -> None:
        super().__init__()
        self.vector = nn.Linear(len(COLUMNS), WIDTH)
        self.lstm = nn.LSTM(WIDTH, HIDDEN, batch_first=True, bidirectional=True)
        self.joined = nn.Linear(WIDTH + 2 * HIDDEN, WIDTH)
        self.score = nn.Linear(WIDTH, 1)
        self.dropout = nn.Dropout(DROPPED)

    def forward(self, rows: Tensor) -> Tensor:
        vectors = self.dropout(torch.relu(self.vector(rows)))
        states, _ = self.lstm(vectors)
        joined = torch.relu(self.joined(torch.cat([vectors, states], dim=-1)))
        scores: Tensor = self.score(self.dropout(joined))[..., 0]
        return scores


@dataclass(frozen=True)
class Recurrent:
    """A trained network."""

    network: Network

    def scores(self, lists: Lists) -> Floats:
        made = np.zeros((len(lists), ROWS), np.float32)
        self.network.eval()
        with torch.no_grad():
            for size in np.unique(lists.sizes):
                chosen = np.flatnonzero(lists.sizes == size)
                made[chosen, : size + 1] = self.network(torch.from_numpy(lists.rows[chosen, : size + 1])).numpy()
        return made

    @property
    def onnx(self) -> bytes:
        return _graph({name: value.detach().numpy() for name, value in self.network.state_dict().items()})


def fit(train: Lists, dev: Lists, seed: int) -> Recurrent:
    """Keeps the epoch that was best on the development lists."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    network = Network()
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.9)
    best, kept, since = -1.0, network.state_dict(), 0
    for _ in range(EPOCHS):
        network.train()
        for chosen, size in _batches(train, rng):
            scores = network(torch.from_numpy(train.rows[chosen, : size + 1]))
            loss = nn.functional.cross_entropy(scores, torch.from_numpy(train.right[chosen]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
        reached = float(hits(dev, Recurrent(network).scores(dev)).mean())
        since += 1
        if reached > best:
            best, since = reached, 0
            kept = {name: value.clone() for name, value in network.state_dict().items()}
        if since >= PATIENCE:
            break
    network.load_state_dict(kept)
    return Recurrent(network)


def _batches(lists: Lists, rng: np.random.Generator) -> Iterator[tuple[Any, int]]:
    """Lists of one length together, so that nothing has to be padded."""
    batches = []
    for size in np.unique(lists.sizes).tolist():
        chosen = rng.permutation(np.flatnonzero(lists.sizes == size))
        batches += [(chosen[at : at + BATCH], size) for at in range(0, len(chosen), BATCH)]
    for number in rng.permutation(len(batches)):
        yield batches[number]


# --- ONNX -------------------------------------------------------------------------------------------------------------
def _gates(weights: Any) -> Any:
    """torch's order of gates is input, forget, cell, output; ONNX has input, output, forget, cell."""
    own, forget, cell, output = np.split(weights, 4, axis=0)
    return np.concatenate([own, output, forget, cell], axis=0)


def _graph(w: dict[str, Any]) -> bytes:
    directions = ("l0", "l0_reverse")
    constants = {
        "vector": w["vector.weight"].T,
        "vector_bias": w["vector.bias"],
        "input": np.stack([_gates(w[f"lstm.weight_ih_{one}"]) for one in directions]),
        "recurrence": np.stack([_gates(w[f"lstm.weight_hh_{one}"]) for one in directions]),
        "lstm_bias": np.stack(
            [np.concatenate([_gates(w[f"lstm.bias_ih_{one}"]), _gates(w[f"lstm.bias_hh_{one}"])]) for one in directions]
        ),
        "joined": w["joined.weight"].T,
        "joined_bias": w["joined.bias"],
        "score": w["score.weight"].T,
        "score_bias": w["score.bias"],
        "flat": np.array([0, 0, 2 * HIDDEN], np.int64),
        "last": np.array([2], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("MatMul", ["lists", "vector"], ["v1"]),
        node("Add", ["v1", "vector_bias"], ["v2"]),
        node("Relu", ["v2"], ["vectors"]),
        node("Transpose", ["vectors"], ["by_row"], perm=[1, 0, 2]),
        node(
            "LSTM",
            ["by_row", "input", "recurrence", "lstm_bias"],
            ["states_4"],
            hidden_size=HIDDEN,
            direction="bidirectional",
        ),
        node("Transpose", ["states_4"], ["states_by_list"], perm=[2, 0, 1, 3]),
        node("Reshape", ["states_by_list", "flat"], ["states"]),
        node("Concat", ["vectors", "states"], ["both"], axis=2),
        node("MatMul", ["both", "joined"], ["j1"]),
        node("Add", ["j1", "joined_bias"], ["j2"]),
        node("Relu", ["j2"], ["j3"]),
        node("MatMul", ["j3", "score"], ["s1"]),
        node("Add", ["s1", "score_bias"], ["s2"]),
        node("Squeeze", ["s2", "last"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "rank-bilstm",
        [helper.make_tensor_value_info("lists", TensorProto.FLOAT, ["lists", "rows", len(COLUMNS)])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["lists", "rows"])],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="antiphon")
    model.ir_version = 8
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
