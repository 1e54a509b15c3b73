"""What a Triton server says about its models, compared with what the definitions say; and their reload.

`client.py` asks before the first call of a model, so that a server with other weights or other tensors is a clear error
and never a wrong answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import grpc
import grpc.aio

from services.runtime.errors import FailedPrecondition, Unavailable
from services.runtime.inference import ModelDefinition, TensorSpec
from services.runtime.triton.errors import model_missing, translate
from services.runtime.triton.sequences import Sequences
from services.runtime.triton.wire import Message, message, triton_type

_PATIENCE = 5.0  # seconds for one answer about a model
_LOAD_PATIENCE = 120.0  # seconds for loading one: TensorRT may have to build its engine
_OTHERS = 5  # versions that an error names


class ServedModels:
    """The models of one server.

    Args:
        stub: of the server.
        sequences: that this client has open there.
    """

    def __init__(self, stub: Any, sequences: Sequences) -> None:
        self._stub = stub
        self._sequences = sequences
        self._verified: dict[str, asyncio.Task[None]] = {}
        self._reloading: set[str] = set()

    async def verify(self, definition: ModelDefinition) -> None:
        """Asks the server once, however many callers come at once; a failure is asked again by the next.

        Raises:
            FailedPrecondition: `MODEL_MISSING`, `MODEL_DIGEST_MISMATCH`, `MODEL_DEFINITION_INVALID` (other tensors).
            Unavailable: no answer.
        """
        task = self._verified.get(definition.id)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._verified[definition.id] = asyncio.create_task(self._compare(definition))
        await asyncio.shield(task)

    def forget(self) -> None:
        """What was verified may be another server's by now."""
        self._verified = {model: task for model, task in self._verified.items() if not task.done()}

    def refuse_while_reloading(self, definition: ModelDefinition) -> None:
        """Raises Unavailable `MODEL_RELOADING`: a sequence that starts now would be cut."""
        if definition.id in self._reloading:
            raise Unavailable(
                f"Model {definition.id} is being reloaded on the Triton server.",
                reason="MODEL_RELOADING",
                retry_after=1.0,
            )

    async def reload(self, definition: ModelDefinition, drain_s: float, *, anew: bool = False) -> None:
        """Has the server read the model again, when the sequences of this client have ended or `drain_s` has passed.

        Any load ends the sequences of all clients, therefore the wait. A server does nothing where the files have not
        changed; `anew` unloads first, which also heals a model whose process has died.

        Raises:
            FailedPrecondition: `MODEL_RELOAD_REFUSED`: the server's models are not controlled by its clients, or it
                cannot load this one.
            Unavailable: no answer, or a reload is going on.
        """
        self.refuse_while_reloading(definition)
        self._reloading.add(definition.id)
        try:
            await self._sequences.drained(definition.id, drain_s)
            if anew and not await self._has_failed(definition):
                return  # another client was quicker: once more would cut the sequences that have begun since
            for name in _served_names(definition):
                if anew:
                    await self._control("RepositoryModelUnload", definition, name)
                await self._control("RepositoryModelLoad", definition, name)
        finally:
            self._reloading.discard(definition.id)
            self._verified.pop(definition.id, None)

    async def _has_failed(self, definition: ModelDefinition) -> bool:
        """Whether a call has failed since the model was loaded; not while somebody is loading it."""
        try:
            answer = await self._stub.ModelStatistics(
                message("ModelStatisticsRequest", name=definition.triton_name), timeout=_PATIENCE
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:  # what the server says of a model that is not loaded
                return False
            raise translate(error, definition) from None
        return any(model.inference_stats.fail.count for model in answer.model_stats)

    async def _control(self, method: str, definition: ModelDefinition, name: str) -> None:
        try:
            await getattr(self._stub, method)(message(f"{method}Request", model_name=name), timeout=_LOAD_PATIENCE)
        except grpc.aio.AioRpcError as error:
            text = (error.details() or "").lower()
            if "not allowed" in text or "failed to load" in text or "failed to poll" in text:
                raise FailedPrecondition(
                    f"The Triton server does not reload {name}: it must run with --model-control-mode=explicit, and "
                    "its log says what else may be wrong.",
                    reason="MODEL_RELOAD_REFUSED",
                ) from None
            raise translate(error, definition) from None

    async def _compare(self, definition: ModelDefinition) -> None:
        name = definition.triton_name
        try:
            config = await self._stub.ModelConfig(message("ModelConfigRequest", name=name), timeout=_PATIENCE)
            metadata = await self._stub.ModelMetadata(message("ModelMetadataRequest", name=name), timeout=_PATIENCE)
        except grpc.aio.AioRpcError as error:
            known = translate(error, definition)
            if known.reason == "MODEL_MISSING":
                known = model_missing(definition, await self._other_versions(definition))
            raise known from None
        _compare_digest(definition, config.config)
        _compare_tensors(definition, definition.inputs, metadata.inputs, exactly=True)
        _compare_tensors(definition, definition.outputs, metadata.outputs, exactly=False)

    async def _other_versions(self, definition: ModelDefinition) -> str:
        try:
            index = await self._stub.RepositoryIndex(message("RepositoryIndexRequest"), timeout=_PATIENCE)
        except grpc.aio.AioRpcError:
            return ""
        stem = definition.triton_name.rpartition("@")[0] + "@"
        versions = [one.name.removeprefix(stem) for one in index.models if one.name.startswith(stem)]
        own = sorted(version for version in versions if not version.endswith(".stream"))[:_OTHERS]
        return f"; of versions it has {', '.join(own)}" if own else ""


def _served_names(definition: ModelDefinition) -> Iterable[str]:
    yield definition.triton_name
    if definition.streaming is not None:
        yield streamed_name(definition)


def streamed_name(definition: ModelDefinition) -> str:
    """The model beside the first that takes a long input and answers piece by piece."""
    return f"{definition.triton_name}.stream"


def _compare_digest(definition: ModelDefinition, config: Message) -> None:
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    served = parameters.get("sha256", "")
    if served.lower() != definition.sha256:
        raise FailedPrecondition(
            f"The Triton server runs {definition.id} with the digest {served or 'none'}, and its definition says "
            f"{definition.sha256}: write the repository again (antiphon models repository) and reload the model.",
            reason="MODEL_DIGEST_MISMATCH",
            metadata={"model": definition.id, "served": served[:64], "declared": definition.sha256},
        )


def _compare_tensors(
    definition: ModelDefinition, declared: Iterable[TensorSpec], served: Iterable[Message], *, exactly: bool
) -> None:
    by_name = {tensor.name: tensor for tensor in served}
    wanted = {spec.name: spec for spec in declared}
    if (exactly and by_name.keys() != wanted.keys()) or not wanted.keys() <= by_name.keys():
        raise _other_tensors(definition, f"{sorted(wanted)} against {sorted(by_name)}")
    for name, spec in wanted.items():
        tensor = by_name[name]
        if tensor.datatype != triton_type(spec.dtype) or not _fits(spec, tuple(tensor.shape), fed=exactly):
            raise _other_tensors(definition, f"{name} is {tensor.datatype}{list(tensor.shape)} on the server")


def _fits(spec: TensorSpec, served: tuple[int, ...], *, fed: bool) -> bool:
    """Whether the server takes every shape that the definition allows; it says -1 for any length.

    What it gives may be less than the definition allows.
    """
    return len(served) == len(spec.shape) and all(
        have in (-1, want) or (want is None and not fed) for have, want in zip(served, spec.shape, strict=True)
    )


def _other_tensors(definition: ModelDefinition, what: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"The Triton server runs {definition.id} with other tensors than its definition: {what}.",
        reason="MODEL_DEFINITION_INVALID",
    )
