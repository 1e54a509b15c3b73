"""LambdaMART by lightgbm, and its trees as an ONNX TreeEnsemble."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import lightgbm
import numpy as np
import onnx
from onnx import TensorProto, helper

from services.arbitration.rankers.matrix import COLUMNS, FEATURES
from training.arbitration.lists import ROWS, SIGNS, Floats, Lists

TREES: Final = 400
PATIENCE: Final = 40
SETTINGS: Final[Mapping[str, Any]] = {
    "objective": "lambdarank",
    "metric": "ndcg",
    "eval_at": [1],
    "learning_rate": 0.06,
    "num_leaves": 15,
    "min_data_in_leaf": 50,
    "lambda_l2": 1.0,
    "feature_fraction": 0.8,
    "lambdarank_truncation_level": 3,
    "monotone_constraints": [*(SIGNS[name] for name in FEATURES), 0, 0],
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}


@dataclass(frozen=True)
class Boosted:
    """A trained ensemble."""

    booster: lightgbm.Booster

    def scores(self, lists: Lists) -> Floats:
        flat = lists.rows.reshape(-1, len(COLUMNS))
        made: Floats = np.asarray(self.booster.predict(flat), np.float32).reshape(-1, ROWS)
        return made

    @property
    def onnx(self) -> bytes:
        return _graph(self.booster.dump_model())


def fit(train: Lists, dev: Lists, seed: int) -> Boosted:
    """Stops when the development lists gain nothing for `PATIENCE` trees."""
    sets = [_dataset(lists) for lists in (train, dev)]
    booster = lightgbm.train(
        {**SETTINGS, "seed": seed},
        sets[0],
        TREES,
        valid_sets=sets[1:],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )
    return Boosted(booster)


def _dataset(lists: Lists) -> lightgbm.Dataset:
    there = lists.there
    meant = np.arange(ROWS) == lists.right[:, None]
    return lightgbm.Dataset(
        lists.rows[there], label=meant[there].astype(int), group=lists.sizes + 1, feature_name=list(COLUMNS)
    )


# --- ONNX -------------------------------------------------------------------------------------------------------------
@dataclass
class _Nodes:
    """The attributes of `ai.onnx.ml.TreeEnsembleRegressor`, node by node."""

    treeids: list[int] = field(default_factory=list)
    nodeids: list[int] = field(default_factory=list)
    featureids: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    truenodeids: list[int] = field(default_factory=list)
    falsenodeids: list[int] = field(default_factory=list)
    missing_value_tracks_true: list[int] = field(default_factory=list)
    leaves: list[tuple[int, int, float]] = field(default_factory=list)

    def add(self, tree: int, node: Mapping[str, Any], ids: Iterator[int]) -> int:
        """The node and all below it; returns its id."""
        own = next(ids)
        at = len(self.nodeids)
        self.treeids.append(tree)
        self.nodeids.append(own)
        leaf = "leaf_value" in node
        self.featureids.append(0 if leaf else int(node["split_feature"]))
        self.values.append(0.0 if leaf else _below(float(node["threshold"])))
        self.modes.append("LEAF" if leaf else "BRANCH_LEQ")
        self.missing_value_tracks_true.append(0)
        self.truenodeids.append(0)
        self.falsenodeids.append(0)
        if leaf:
            self.leaves.append((tree, own, float(node["leaf_value"])))
        else:
            if node["decision_type"] != "<=":
                raise ValueError(f"a split by {node['decision_type']} has no place in this export")
            self.truenodeids[at] = self.add(tree, node["left_child"], ids)
            self.falsenodeids[at] = self.add(tree, node["right_child"], ids)
        return own


def _below(threshold: float) -> float:
    """The largest float32 that is not above it: then the same float32 features go the same way."""
    near = np.float32(threshold)
    return float(near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf)))


def _graph(dumped: Mapping[str, Any]) -> bytes:
    nodes = _Nodes()
    for number, tree in enumerate(dumped["tree_info"]):
        nodes.add(number, tree["tree_structure"], iter(range(10**6)))
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["rows"],
        ["scores"],
        domain="ai.onnx.ml",
        n_targets=1,
        aggregate_function="SUM",
        nodes_treeids=nodes.treeids,
        nodes_nodeids=nodes.nodeids,
        nodes_featureids=nodes.featureids,
        nodes_values=nodes.values,
        nodes_modes=nodes.modes,
        nodes_truenodeids=nodes.truenodeids,
        nodes_falsenodeids=nodes.falsenodeids,
        nodes_missing_value_tracks_true=nodes.missing_value_tracks_true,
        target_treeids=[tree for tree, _, _ in nodes.leaves],
        target_nodeids=[leaf for _, leaf, _ in nodes.leaves],
        target_ids=[0] * len(nodes.leaves),
        target_weights=[value for _, _, value in nodes.leaves],
    )
    graph = helper.make_graph(
        [node],
        "rank-lambdamart",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["rows", len(COLUMNS)])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["rows", 1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="antiphon")
    model.ir_version = 8
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
