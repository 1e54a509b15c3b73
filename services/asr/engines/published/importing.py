"""Recognisers as others publish them -> bundles of ours, which then work as every other one does.

Called by the catalogue's `antiphon models import` and `pull`. Streaming Zipformer2 transducers and CTC models, and the
streaming CTC models of WeNet and NeMo, in the ONNX forms that sherpa-onnx publishes. The graphs are taken as they are,
byte for byte: their digests stay those of the publisher. Everything that a file says of itself is checked first, so
that a bad one is an error that names file and key, and never reaches a session.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from services.asr.engines.published import nemo, tokens, wenet, zipformer2
from services.asr.engines.published.parts import File, Form, Part
from services.runtime.errors import AlreadyExists, FailedPrecondition
from services.runtime.inference import StateSpec, TensorSpec
from services.runtime.model_store import read_definition

_TOKENS = "tokens.txt"
_CARD = "CARD.md"
_REDUCED = ("int8", "fp16")  # smaller copies, taken only where there is no other
_QUANTISED_TOLERANCE = 0.05  # rounding to whole numbers depends on the processor


def import_public(
    folder: Path,
    *,
    publisher: str,
    name: str,
    version: str,
    licence: str,
    locales: Sequence[str],
    out: Path,
) -> Path:
    """Writes `out/<publisher>/<name>/<version>` from a folder with tokens.txt and ONNX files, and returns it. Blocking.

    Raises:
        FailedPrecondition: `MODEL_MISSING` (a file is not there), `MODEL_INVALID` (no usable graph, or not that of its
            kind), `MODEL_METADATA_INVALID`, `MODEL_TOKENS_INVALID`, `MODEL_UNSUPPORTED` (a kind that is not served),
            `MODEL_DEFINITION_INVALID` (publisher, name or version could not name a folder).
        AlreadyExists: there is such a bundle.
    """
    form = _form(folder)
    symbols = tokens.read(_plain(folder / _TOKENS), form.vocabulary, form.blank)
    bundle = out / publisher / name / version
    head = {"publisher": publisher, "version": version, "licence": licence, "locales": list(locales)}
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".import-") as made:
        written = Path(made) / "bundle"
        _write(written, form, symbols, {"name": name, **head})
        _check(written)  # before any part of its id becomes a path
        if bundle.exists():
            raise AlreadyExists(f"{bundle} is there already.", reason="MODEL_EXISTS")
        bundle.parent.mkdir(parents=True, exist_ok=True)
        written.rename(bundle)
    return bundle


def _form(folder: Path) -> Form:
    """What kind of recogniser lies in a folder."""
    if any(folder.glob("joiner*.onnx")):
        encoder, decoder, joiner = (
            File.open(_chosen(folder, f"{part}*.onnx")) for part in ("encoder", "decoder", "joiner")
        )
        if (kind := encoder.notes.text("model_type")) != "zipformer2":
            raise _unsupported(encoder, kind)
        return zipformer2.transducer(encoder, decoder, joiner)
    streaming = any(folder.glob("*streaming*.onnx"))  # WeNet's lie beside the one that takes whole recordings
    return _ctc_form(File.open(_chosen(folder, "*streaming*.onnx" if streaming else "*.onnx")))


def _ctc_form(file: File) -> Form:
    kind = file.notes.text("model_type")
    if kind == "zipformer2":
        return zipformer2.ctc(file)
    if kind == "wenet_ctc":
        return wenet.ctc(file)
    if nemo.is_nemo(kind):
        return nemo.ctc(file)
    raise _unsupported(file, kind)


def _unsupported(file: File, kind: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"{file.path.name}: its metadata model_type is {kind[:40]!r}. Served are streaming zipformer2 (transducer or "
        "CTC), wenet_ctc, and NeMo's EncDec… (CTC).",
        reason="MODEL_UNSUPPORTED",
        metadata={"file": file.path.name, "key": "model_type"},
    )


def _chosen(folder: Path, pattern: str) -> Path:
    """The one file that fits; the full copy if there are smaller ones beside it."""
    found = sorted(folder.glob(pattern))
    full = [path for path in found if not any(mark in path.name for mark in _REDUCED)]
    few = full or [path for path in found if "int8" in path.name] or found
    if len(few) != 1:
        what = f"has {', '.join(path.name for path in few)}: which one is meant" if few else "has none"
        raise FailedPrecondition(f"One {pattern} is wanted; {folder.name} {what}.", reason="MODEL_MISSING")
    return _plain(few[0])


def _plain(path: Path) -> Path:
    """Links lead who knows where."""
    if path.is_symlink() or not path.is_file():
        raise FailedPrecondition(f"{path.name} is not there, or no plain file.", reason="MODEL_MISSING")
    return path


def _write(bundle: Path, form: Form, symbols: tuple[str, ...], head: dict[str, Any]) -> None:
    bundle.mkdir()
    (bundle / _TOKENS).write_text(tokens.written(symbols), encoding="utf-8")
    parts = {part.name: f"{head['publisher']}/{head['name']}.{part.name}@{head['version']}" for part in form.parts}
    own = {"blank": form.blank, "lowercase": tokens.are_capitals(symbols)}
    parameters = {**form.parameters, **own, **parts}
    _write_definition(bundle, _TOKENS, {**head, "inputs": [], "outputs": [], "parameters": parameters})
    (bundle / _CARD).write_text(_card(form, head), encoding="utf-8")
    for part in form.parts:
        (bundle / part.name).mkdir()
        shutil.copyfile(part.file.path, bundle / part.name / "model.onnx")
        _write_definition(
            bundle / part.name, "model.onnx", {**head, **_tensors(part), "name": f"{head['name']}.{part.name}"}
        )


def _write_definition(folder: Path, file: str, rest: dict[str, Any]) -> None:
    with (folder / file).open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    text = yaml.safe_dump({**rest, "file": file, "sha256": digest}, allow_unicode=True, sort_keys=False)
    (folder / "model.yaml").write_text(text, encoding="utf-8")


def _tensors(part: Part) -> dict[str, Any]:
    raw: dict[str, Any] = {
        "inputs": [_tensor(one) for one in part.inputs],
        "outputs": [_tensor(one) for one in part.outputs],
        "states": [_state(one) for one in part.states],
    }
    if part.batching:
        raw["batching"] = {"max_size": part.batching.max_size, "delay_ms": part.batching.delay_ms}
    if part.file.quantised:
        raw["tolerance"] = _QUANTISED_TOLERANCE
    return raw


def _tensor(one: TensorSpec) -> dict[str, Any]:
    return {"name": one.name, "dtype": one.dtype, "shape": [-1 if size is None else size for size in one.shape]}


def _state(one: StateSpec) -> dict[str, Any]:
    return {
        "input": one.input,
        "output": one.output,
        "dtype": one.dtype,
        "shape": list(one.shape),
        "batch_axis": one.batch_axis,
    }


def _check(bundle: Path) -> None:
    for path in _definitions(bundle):
        read_definition(path)


def _definitions(bundle: Path) -> Iterable[Path]:
    return sorted(bundle.rglob("model.yaml"))


def _card(form: Form, head: dict[str, Any]) -> str:
    files = "\n".join(f"- {part.name}: `{part.file.path.name}`" for part in form.parts)
    notes = {key: text for part in form.parts for key, text in part.file.notes.values.items()}
    told = "\n".join(
        f"- {key}: {' '.join(notes[key][:200].split())}"
        for key in ("model_author", "comment", "url", "model_type")
        if notes.get(key)
    )
    return (
        f"# {head['publisher']}/{head['name']} {head['version']}\n\nA published recogniser, imported as it was: "
        f"its graphs are unchanged. Licence: {head['licence']}.\n\n{files}\n\nIts files say of themselves:\n\n{told}\n"
    )
