"""Writes the bundle of a recogniser that `train` made:

    python -m training.asr_digits.export conv-yweweler     # -> services/asr/models/digits-conv

`bundle` is also called by the compute dial, whose encoder is a graph of its own. The graphs are checked against torch
on random input before they are written.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
import yaml
from torch import Tensor, nn

from training.asr_digits.data import FEATURES, SYMBOLS
from training.asr_digits.kept import MODELS, load
from training.asr_digits.networks import ENCODED, HIDDEN, MEL_BINS, PREDICTED, SUBSAMPLING, Transducer

NAME = "digits-conv"
OPSET = 17
CHUNK_FRAMES = 16
LICENCE = "CC-BY-SA-4.0"
TOLERANCE = 1e-4
_BUNDLES = Path("services/asr/models")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name of a file in build/asr_digits/models")
    parser.add_argument("--name", default=NAME, help="of the bundle")
    parser.add_argument("--blank-bias", type=float, default=0.0, help="taken off the logit of blank")
    parser.add_argument("--delay-ms", type=int, default=0, help="from the beginning of a digit to its token")
    asked = parser.parse_args()
    model = load(MODELS / f"{asked.model}.pt")
    with torch.no_grad():
        model.joiner.out.bias[0] -= asked.blank_bias
    bundle(asked.name, model, encoder_graph(model), encoder_definition(model), asked.delay_ms)


def bundle(name: str, model: Transducer, encoder: bytes, definition: Mapping[str, Any], delay_ms: int = 0) -> None:
    """Writes a recogniser's folder: tokens and parameters on top, a bundle for each of its three networks below.

    Args:
        name: of the recogniser; the networks are `<name>.encoder` and so on.
        model: predictor and joiner are taken from it.
        encoder: its graph.
        definition: the encoder's inputs, outputs, states and whatever else only it has.
        delay_ms: from the beginning of a digit to its token; it is taken off the times of words.
    """
    folder = _BUNDLES / name
    tokens = "".join(f"{symbol} {token}\n" for token, symbol in enumerate(SYMBOLS)).encode()
    parts = {part: f"antiphon/{name}.{part}@1" for part in ("encoder", "predictor", "joiner")}
    parameters = {
        "engine": "transducer",
        **parts,
        "features": {key: asdict(FEATURES)[key] for key in ("rate_hz", "mel_bins", "high_hz")},
        "subsampling": SUBSAMPLING,
        "chunk_frames": CHUNK_FRAMES,
        "delay_ms": delay_ms,
    }
    _write(folder, name, "tokens.txt", tokens, {"inputs": [], "outputs": [], "parameters": parameters})
    _write(folder / "encoder", f"{name}.encoder", "model.onnx", encoder, definition)
    for part, (graph, declared) in {"predictor": _predictor(model), "joiner": _joiner(model)}.items():
        _write(folder / part, f"{name}.{part}", "model.onnx", graph, declared)


def encoder_graph(model: Transducer) -> bytes:
    """Features and states in, encoded frames and new states out."""
    names = [one.name for one in model.encoder.shapes]
    examples = (torch.randn(2, CHUNK_FRAMES, MEL_BINS), *model.encoder.begin(2))
    dynamic = {"features": {1: "frames"}, "encoded": {1: "steps"}}
    return exported(
        model.encoder, examples, ["features", *names], ["encoded", *(f"{one}_next" for one in names)], dynamic
    )


def encoder_definition(model: Transducer) -> dict[str, Any]:
    return {
        "inputs": [tensor("features", -1, -1, MEL_BINS)],
        "outputs": [tensor("encoded", -1, -1, ENCODED)],
        "states": [
            {"input": one.name, "output": f"{one.name}_next", "dtype": "float32", "shape": [1, *one.shape]}
            for one in model.encoder.shapes
        ],
        "streaming": {"axis": 1, "size": CHUNK_FRAMES},
    }


def exported(
    module: nn.Module,
    examples: Sequence[Tensor],
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic: Mapping[str, Mapping[int, str]],
) -> bytes:
    """The graph of a module, any number of sequences at once, checked on as many as `examples` hold and on one."""
    axes = {name: {0: "batch", **dynamic.get(name, {})} for name in (*inputs, *outputs)}
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the batch of an LSTM may vary; it is checked below
        torch.onnx.export(
            module.eval(),
            tuple(examples),
            content,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    graph = content.getvalue()
    for batch in (len(examples[0]), 1):
        _check(module, graph, inputs, [example[:batch] for example in examples])
    return graph


def tensor(name: str, *shape: int, dtype: str = "float32") -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": list(shape)}


def _predictor(model: Transducer) -> tuple[bytes, dict[str, Any]]:
    class OneStep(nn.Module):
        def forward(self, token: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            predicted, hidden, cell = model.predictor(token, hidden, cell)
            return predicted[:, 0], hidden, cell

    step = OneStep()
    step.predictor = model.predictor
    examples = (torch.tensor([[0], [3]]), torch.randn(2, HIDDEN), torch.randn(2, HIDDEN))
    outputs = ("predicted", "hidden_next", "cell_next")
    declared = {
        "inputs": [tensor("token", -1, 1, dtype="int64"), tensor("hidden", -1, HIDDEN), tensor("cell", -1, HIDDEN)],
        "outputs": [tensor("predicted", -1, PREDICTED), *(tensor(one, -1, HIDDEN) for one in outputs[1:])],
    }
    return exported(step, examples, ("token", "hidden", "cell"), outputs, {}), declared


def _joiner(model: Transducer) -> tuple[bytes, dict[str, Any]]:
    inputs = ("encoded", "predicted")
    declared = {
        "inputs": [tensor("encoded", -1, ENCODED), tensor("predicted", -1, PREDICTED)],
        "outputs": [tensor("logits", -1, len(SYMBOLS))],
    }
    examples = (torch.randn(2, ENCODED), torch.randn(2, PREDICTED))
    return exported(model.joiner, examples, inputs, ("logits",), {}), declared


@torch.inference_mode()
def _check(module: nn.Module, graph: bytes, inputs: Sequence[str], examples: Sequence[Tensor]) -> None:
    wanted = module(*examples)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    got = session.run(None, {name: one.numpy() for name, one in zip(inputs, examples, strict=True)})
    for one, other in zip((wanted,) if isinstance(wanted, Tensor) else wanted, got, strict=True):
        np.testing.assert_allclose(one.numpy(), other, atol=1e-5, rtol=1e-4)


def _write(folder: Path, name: str, file: str, content: bytes, declared: Mapping[str, Any]) -> None:
    definition = {
        "publisher": "antiphon",
        "name": name,
        "version": "1",
        "file": file,
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": LICENCE,
        "locales": ["en"],
        **declared,
    }
    if file.endswith(".onnx"):
        definition |= {"batching": {"max_size": 32, "delay_ms": 2}, "tolerance": TOLERANCE}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content)
    (folder / "model.yaml").write_text(yaml.safe_dump(definition, sort_keys=False), encoding="utf-8")
    print(f"{folder}: {len(content)} bytes")


if __name__ == "__main__":
    main()
