"""ONNX graphs small enough to be written by hand, so that tests of `onnx.py` need no package that makes graphs.

The bytes are the protobuf wire format of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto: a ModelProto with
ir_version (1), graph (7) and opset_import (8); the graph holds nodes (1), a name (2), inputs (11) and outputs (12).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

FLOAT = 1

Node = tuple[str, Sequence[str], Sequence[str]]


def graph(nodes: Sequence[Node], inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """A model over float matrices of any size; a node is (operator, inputs, outputs)."""
    body = b"".join(_bytes(1, _node(*node)) for node in nodes) + _bytes(2, b"tiny")
    body += b"".join(_bytes(11, _value(name)) for name in inputs)
    body += b"".join(_bytes(12, _value(name)) for name in outputs)
    return _number(1, 8) + _bytes(7, body) + _bytes(8, _bytes(1, b"") + _number(2, 17))


def write_bundle(
    folder: Path,
    content: bytes,
    inputs: Sequence[str],
    outputs: Sequence[str],
    states: Mapping[str, str] | None = None,
    **more: object,
) -> str:
    """Writes `test/<name of the folder>@1` and returns its id. States map input to output; each is a 1 x 2 matrix."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(content)
    definition = {
        "publisher": "test",
        "name": folder.name,
        "version": "1",
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "Apache-2.0",
        "locales": ["mul"],
        "inputs": [{"name": name, "dtype": "float32", "shape": [-1, -1]} for name in inputs],
        "outputs": [{"name": name, "dtype": "float32", "shape": [-1, -1]} for name in outputs],
        "states": [
            {"input": before, "output": after, "dtype": "float32", "shape": [1, 2]}
            for before, after in (states or {}).items()
        ],
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(definition | more))
    return f"test/{folder.name}@1"


def _node(operator: str, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    names = b"".join(_bytes(1, name.encode()) for name in inputs)
    return names + b"".join(_bytes(2, name.encode()) for name in outputs) + _bytes(4, operator.encode())


def _value(name: str) -> bytes:
    shape = _bytes(1, _bytes(2, b"rows")) + _bytes(1, _bytes(2, b"columns"))
    tensor = _number(1, FLOAT) + _bytes(2, shape)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, tensor))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
