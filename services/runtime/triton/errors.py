"""What a Triton server answers, as errors of the runtime's own tree.

`client.py` and its parts call `translate` for whatever failed. The code says too little (UNAVAILABLE is a full queue, a
late request, a model being loaded and a server that is gone) and on streams there is none, so the text is looked at;
none of it goes further.
"""

from __future__ import annotations

import re

import grpc
import grpc.aio

from services.runtime.errors import (
    AntiphonError,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidInput,
    Overloaded,
    Unavailable,
)
from services.runtime.inference import ModelDefinition

# Our own model program on the server begins its messages with the reason.
_OWN = re.compile(r"(?:\[request id: [^\]]*\] )?([A-Z]+(?:_[A-Z]+)+):")
_OWN_INPUT = frozenset({"TENSOR_MISMATCH", "TENSOR_NOT_FINITE"})

_NEVER_SENT = ("failed to connect", "connections to all backends failing", "dns resolution failed")
# What gRPC itself says, with other codes than UNAVAILABLE, of a connection that broke under a call.
_BROKEN = ("internal error from core", "received rst_stream", "stream removed", "goaway")
_SEQUENCE_UNKNOWN = ("must specify the start flag", "sequence_unknown:")
_NOT_READY = ("has no available versions", "is not ready", "not yet ready", "is not available", "being loaded")
# The code that comes with a text in a unary call, for the texts of streams: the first that fits.
_CODES = (
    (grpc.StatusCode.UNAVAILABLE, ("maximum queue size", "timeout expired", "server is stopping", "exiting")),
    (grpc.StatusCode.NOT_FOUND, ("unknown model",)),
    (grpc.StatusCode.CANCELLED, ("request was cancelled", "has been cancelled")),
    (grpc.StatusCode.INVALID_ARGUMENT, ("unexpected shape", "batch-size must be", "data-type is", "inference input")),
)
_SOON = 1.0  # seconds after which to come again


class StreamError(Exception):
    """One request on a stream failed, and the stream goes on; the text is the server's."""


FAILURES = (grpc.aio.AioRpcError, StreamError)


def translate(error: grpc.aio.AioRpcError | StreamError, definition: ModelDefinition) -> AntiphonError:
    """The error of a failed call of this model; names and reasons only, nothing of the server's text."""
    details = str(error) if isinstance(error, StreamError) else error.details() or ""
    text = details.lower()
    code = _code(text) if isinstance(error, StreamError) else error.code()
    if any(mark in text for mark in _SEQUENCE_UNKNOWN):
        return sequence_lost(definition)
    if own := _own(details, definition):
        return own
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceeded(f"Model {definition.id} did not answer in time.")
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return _unavailable(text, definition)
    if code is grpc.StatusCode.NOT_FOUND and "unknown model" in text:
        return _not_found(text, definition)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "message larger than max" not in text:
        return _overloaded(definition, "OVERLOADED")
    return _refused(code, text, definition)


def sequence_lost(definition: ModelDefinition) -> Unavailable:
    return Unavailable(
        f"The state of a sequence of model {definition.id} is gone; begin it again.",
        reason="SEQUENCE_LOST",
        retry_after=0.0,
    )


def never_ran(error: AntiphonError) -> bool:
    """Whether the model certainly did not see the call, so that a repeat cannot run it twice."""
    return error.reason in ("SERVER_UNREACHABLE", "MODEL_NOT_READY")


def region_unknown(error: grpc.aio.AioRpcError) -> bool:
    """Whether the call named shared memory that this server does not know: it was restarted."""
    return "shared memory region" in (error.details() or "").lower()


def model_missing(definition: ModelDefinition, others: str = "") -> FailedPrecondition:
    return FailedPrecondition(
        f"The Triton server has no model {definition.triton_name}{others}. Write its repository again "
        "(antiphon models repository) and load the model.",
        reason="MODEL_MISSING",
        metadata={"model": definition.id},
    )


def _code(text: str) -> grpc.StatusCode:
    return next((code for code, marks in _CODES if any(mark in text for mark in marks)), grpc.StatusCode.INTERNAL)


def _own(details: str, definition: ModelDefinition) -> AntiphonError | None:
    match = _OWN.match(details)
    reason = match.group(1) if match else ""
    if reason in _OWN_INPUT:
        return InvalidInput(f"Model {definition.id} does not take these tensors.", reason=reason)
    if reason == "SEQUENCES_FULL":
        return _overloaded(definition, reason)
    return _failed(definition) if reason == "MODEL_FAILED" else None


def _unavailable(text: str, definition: ModelDefinition) -> AntiphonError:
    if "maximum queue size" in text:
        return _overloaded(definition, "QUEUE_FULL")
    if "timeout expired" in text:
        return _overloaded(definition, "QUEUE_TIMEOUT")
    if any(mark in text for mark in _NEVER_SENT):
        return _gone("The Triton server cannot be reached.", "SERVER_UNREACHABLE")
    if any(mark in text for mark in _NOT_READY):
        return _gone(f"Model {definition.id} is not ready on the Triton server.", "MODEL_NOT_READY")
    return _gone("The Triton server went away during a call.", "SERVER_GONE")


def _not_found(text: str, definition: ModelDefinition) -> AntiphonError:
    if any(mark in text for mark in _NOT_READY):  # it is in the repository, and not loaded just now
        return _gone(f"Model {definition.id} is not loaded on the Triton server.", "MODEL_NOT_READY")
    return model_missing(definition)


def _refused(code: grpc.StatusCode, text: str, definition: ModelDefinition) -> AntiphonError:
    if any(mark in text for mark in _BROKEN):
        return _gone("The Triton server went away during a call.", "SERVER_GONE")
    if code is grpc.StatusCode.INTERNAL and "stub process" in text:
        return _gone(f"The process of model {definition.id} on the Triton server is dead.", "MODEL_UNHEALTHY")
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return InvalidInput(f"Model {definition.id} does not take these tensors.", reason="TENSOR_MISMATCH")
    return _failed(definition)


def _gone(message: str, reason: str) -> Unavailable:
    return Unavailable(message, reason=reason, retry_after=_SOON)


def _overloaded(definition: ModelDefinition, reason: str) -> Overloaded:
    return Overloaded(f"Too many calls wait for model {definition.id}.", reason=reason, retry_after=0.1)


def _failed(definition: ModelDefinition) -> Internal:
    return Internal(f"Model {definition.id} failed on the Triton server.", reason="MODEL_FAILED")
