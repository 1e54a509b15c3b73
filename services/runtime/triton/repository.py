"""A Triton model repository, written from model definitions: one source, and both forms of every model in it.

`antiphon models repository` and `antiphon up --triton` call `write_repository`. For each model there is

    <triton name>/config.pbtxt            the form that serves by default: for a GPU, or for none (platform "cpu")
    <triton name>/configs/cpu.pbtxt       the form without a GPU, for `tritonserver --model-config-name=cpu`
    <triton name>/1/model.onnx            the bundle's own file, after its digest was compared
    <triton name>/1/model.py              the program of the CPU form (`programs/model.py`)
    <triton name>/1/definition.json       what that program reads

and, where a long input may be cut, the decoupled model `<triton name>.stream` beside it (`programs/stream.py`).
"""

from __future__ import annotations

import json
import logging
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from services.runtime.errors import FailedPrecondition
from services.runtime.graphs import GraphInfo, check_graph
from services.runtime.inference import ModelDefinition
from services.runtime.onnx import inspect
from services.runtime.triton import config
from services.runtime.triton.config import STREAM_SUFFIX
from services.runtime.triton.samples import sample_inputs

logger = logging.getLogger(__name__)

PLATFORMS = ("gpu", "cpu")
CPU_CONFIG = "cpu"
"""Name of the CPU form in a repository for GPUs."""

_PROGRAMS = Path(__file__).with_name("programs")
_THREADS = 1  # as in the embedded home: calls in parallel use a core better than one split call


def servable(definitions: Iterable[ModelDefinition]) -> list[ModelDefinition]:
    """Those that are ONNX graphs; a bundle may also be n-grams, a list of tokens, or parts of a larger whole."""
    return [definition for definition in definitions if definition.path.suffix == ".onnx"]


def write_repository(definitions: Iterable[ModelDefinition], out: Path, platform: str = "gpu") -> list[str]:
    """Writes the repository and returns the names of its models. Blocking.

    Everything is made aside and put in its place at the end: a failure leaves `out` as it was. A folder that is there
    already may be a mounted volume, which nothing can replace: then the models are moved into it.

    Args:
        definitions: what is to serve; bundles that are no ONNX graph are left out.
        out: folder that is not there yet, or empty.
        platform: "gpu" or "cpu", the form that serves by default.

    Raises:
        FailedPrecondition: `REPOSITORY_NOT_EMPTY`, `REPOSITORY_NOT_WRITABLE`, `REPOSITORY_NAME_TAKEN`; a bundle whose
            file is missing, has another digest or other tensors than its definition says, as `ModelClient.load`.
    """
    if platform not in PLATFORMS:
        raise FailedPrecondition(f"platform is {' or '.join(PLATFORMS)}, not {platform}", reason="SETTINGS_INVALID")
    chosen = servable(definitions)
    names = _names(chosen)
    _refuse_contents(out)
    place = out.absolute()
    draft = (place if place.exists() else place.parent) / f".{place.name}.{secrets.token_hex(4)}"
    try:
        draft.mkdir(parents=True)
        for definition in chosen:
            _write_model(definition, draft, platform)
            if definition.streaming is not None:
                _write_stream(definition, draft)
        if draft.parent == place:
            for model in draft.iterdir():
                model.rename(place / model.name)
        else:
            draft.rename(place)
    except OSError as error:
        raise FailedPrecondition(
            f"The repository {out} cannot be written: {error.strerror or error}.", reason="REPOSITORY_NOT_WRITABLE"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return names


def _names(definitions: Sequence[ModelDefinition]) -> list[str]:
    """One for each model, the streams among them; `a.b/c` and `a/b.c` would share theirs."""
    owners: dict[str, str] = {}
    for definition in definitions:
        suffixes = ("", STREAM_SUFFIX) if definition.streaming is not None else ("",)
        for name in (definition.triton_name + suffix for suffix in suffixes):
            if name in owners:
                raise FailedPrecondition(
                    f"Models {owners[name]} and {definition.id} would both be {name} on Triton: rename one.",
                    reason="REPOSITORY_NAME_TAKEN",
                )
            owners[name] = definition.id
    return list(owners)


def _refuse_contents(out: Path) -> None:
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise FailedPrecondition(
                f"{out} is not an empty folder: name another, or remove it.", reason="REPOSITORY_NOT_EMPTY"
            )
    except OSError as error:
        raise FailedPrecondition(
            f"{out} cannot be read: {error.strerror}.", reason="REPOSITORY_NOT_WRITABLE"
        ) from error


def _write_model(definition: ModelDefinition, root: Path, platform: str) -> None:
    content = definition.verified_bytes()
    graph = inspect(definition.path)
    check_graph(definition, graph)
    folder = root / definition.triton_name
    version = folder / "1"
    version.mkdir(parents=True)
    (folder / "configs").mkdir()
    if platform == "gpu" and config.mixes_states(definition):
        logger.warning(
            "Model %s serves without the GPU: Triton pairs states by the alphabet, and the names of its inputs and "
            "outputs are in different order.",
            definition.id,
        )
    forms = {"gpu": config.production(_as_in(graph, definition)), CPU_CONFIG: config.cpu(definition)}
    (folder / "config.pbtxt").write_text(forms[platform], encoding="utf-8")
    (folder / "configs" / f"{CPU_CONFIG}.pbtxt").write_text(forms[CPU_CONFIG], encoding="utf-8")
    (version / "model.onnx").write_bytes(content)
    _write_program(version, "model.py", _description(definition))


def _as_in(graph: GraphInfo, definition: ModelDefinition) -> ModelDefinition:
    """With the shapes of its outputs as the file states them; a definition may say more or less."""
    own = {spec.name: spec for spec in graph.outputs if spec.shape}
    return replace(definition, outputs=tuple(own.get(spec.name, spec) for spec in definition.outputs))


def _write_stream(definition: ModelDefinition, root: Path) -> None:
    folder = root / (definition.triton_name + STREAM_SUFFIX)
    (folder / "configs").mkdir(parents=True)
    (folder / "1").mkdir()
    text = config.stream(definition)
    (folder / "config.pbtxt").write_text(text, encoding="utf-8")
    (folder / "configs" / f"{CPU_CONFIG}.pbtxt").write_text(text, encoding="utf-8")
    _write_program(folder / "1", "stream.py", _description(definition))


def _write_program(folder: Path, program: str, description: Mapping[str, Any]) -> None:
    shutil.copyfile(_PROGRAMS / program, folder / "model.py")
    text = json.dumps(description, indent=1, ensure_ascii=False)
    (folder / "definition.json").write_text(text + "\n", encoding="utf-8")


def _description(definition: ModelDefinition) -> dict[str, Any]:
    samples = sample_inputs(definition)
    streaming = definition.streaming
    return {
        "id": definition.id,
        "model": definition.triton_name,
        "sha256": definition.sha256,
        "threads": _THREADS,
        "max_rows": definition.batching.max_size if definition.batching else 1,
        "inputs": [
            {"name": spec.name, "dtype": spec.dtype, "shape": _shape(spec.shape), "sample": samples[spec.name].shape}
            for spec in definition.inputs
        ],
        "outputs": [{"name": spec.name} for spec in definition.outputs],
        "states": [
            {
                "input": state.input,
                "output": state.output,
                "dtype": state.dtype,
                "shape": list(state.shape),
                "batch_axis": state.batch_axis,
            }
            for state in definition.states
        ],
        "streaming": {"axis": streaming.axis, "size": streaming.size} if streaming is not None else None,
    }


def _shape(shape: Sequence[int | None]) -> list[int]:
    return [-1 if size is None else size for size in shape]
