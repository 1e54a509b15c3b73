"""Bundles of ours for the tests of the catalogue: the files are words, the definitions are right."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import yaml


def bundle(folder: Path, *, content: bytes = b"weights", **changes: Any) -> Path:
    """Writes one model into `folder` and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = {
        "publisher": "acme",
        "name": "hears",
        "version": "1",
        "file": "model.onnx",
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "MIT",
        "locales": ["en"],
        "inputs": [],
        "outputs": [],
    } | changes
    (folder / "model.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    (folder / str(raw["file"])).write_bytes(content)
    (folder / "CARD.md").write_text("# hears\n", encoding="utf-8")
    return folder


def recogniser(folder: Path) -> Path:
    """A whole with one part in it, as recognisers are."""
    bundle(folder, file="tokens.txt", content=b"a 0\n", parameters={"engine": "transducer"})
    bundle(folder / "encoder", name="hears.encoder")
    return folder
