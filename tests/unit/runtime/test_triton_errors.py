"""Every answer of a Triton server that is known, as the error that callers hear; the texts are the server's own."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

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
from services.runtime.triton.errors import StreamError, never_ran, region_unknown, translate
from tests.fakes.triton_stub import failure

pytestmark = pytest.mark.unit

DEFINITION = ModelDefinition("test", "sum", "1", Path("model.onnx"), "0" * 64, "Apache-2.0", ("mul",), (), ())
CODE = grpc.StatusCode
TOLD = [
    (CODE.UNAVAILABLE, "failed to connect to all addresses; last error: UNKNOWN", Unavailable, "SERVER_UNREACHABLE"),
    (CODE.UNAVAILABLE, "Socket closed", Unavailable, "SERVER_GONE"),
    (CODE.UNAVAILABLE, "", Unavailable, "SERVER_GONE"),
    (CODE.UNAVAILABLE, "[request id: <id_unknown>] Exceeds maximum queue size", Overloaded, "QUEUE_FULL"),
    (CODE.UNAVAILABLE, "Request timeout expired", Overloaded, "QUEUE_TIMEOUT"),
    (CODE.UNAVAILABLE, "Request for unknown model: 'x' is not ready", Unavailable, "MODEL_NOT_READY"),
    (CODE.NOT_FOUND, "Request for unknown model: 'x' has no available versions", Unavailable, "MODEL_NOT_READY"),
    (CODE.NOT_FOUND, "Request for unknown model: 'x' is not found", FailedPrecondition, "MODEL_MISSING"),
    (CODE.INVALID_ARGUMENT, "inference request for sequence 5 to model 'x' must specify the START flag on the first "
     "request of the sequence", Unavailable, "SEQUENCE_LOST"),
    (CODE.INVALID_ARGUMENT, "SEQUENCE_UNKNOWN: not started, ended or idle", Unavailable, "SEQUENCE_LOST"),
    (CODE.INVALID_ARGUMENT, "[request id: 7] unexpected shape for input 'x'", InvalidInput, "TENSOR_MISMATCH"),
    (CODE.INVALID_ARGUMENT, "TENSOR_NOT_FINITE: x", InvalidInput, "TENSOR_NOT_FINITE"),
    (CODE.UNAVAILABLE, "SEQUENCES_FULL: 4096 sequences are open", Overloaded, "SEQUENCES_FULL"),
    (CODE.INTERNAL, "MODEL_FAILED: Fail", Internal, "MODEL_FAILED"),
    (CODE.INTERNAL, "Stub process 'x_0_0' is not healthy.", Unavailable, "MODEL_UNHEALTHY"),
    (CODE.INTERNAL, "Failed to process the request(s) for model 'x', message: KeyError", Internal, "MODEL_FAILED"),
    (CODE.INTERNAL, "Internal error from Core", Unavailable, "SERVER_GONE"),
    (CODE.INTERNAL, "Received RST_STREAM with error code 2", Unavailable, "SERVER_GONE"),
    (CODE.UNKNOWN, "Stream removed", Unavailable, "SERVER_GONE"),
    (CODE.UNKNOWN, "secret", Internal, "MODEL_FAILED"),
    (CODE.UNIMPLEMENTED, "does not support models with decoupled transaction policy", Internal, "MODEL_FAILED"),
    (CODE.CANCELLED, "", Unavailable, "SERVER_GONE"),
    (CODE.DEADLINE_EXCEEDED, "Deadline Exceeded", DeadlineExceeded, "DEADLINE_EXCEEDED"),
    (CODE.RESOURCE_EXHAUSTED, "from a proxy", Overloaded, "OVERLOADED"),
    (CODE.RESOURCE_EXHAUSTED, "CLIENT: Received message larger than max (9 vs. 8)", Internal, "MODEL_FAILED"),
]  # fmt: skip
# Those whose text alone tells them: on a stream there is no code.
WITHOUT_CODE = [
    told
    for told in TOLD
    if told[1] not in {"", "Socket closed", "Deadline Exceeded", "from a proxy"} and "connect" not in told[1]
]


@pytest.mark.parametrize(("code", "details", "kind", "reason"), TOLD)
def test_answers_of_calls(code: grpc.StatusCode, details: str, kind: type[AntiphonError], reason: str) -> None:
    error = translate(failure(code, details), DEFINITION)
    assert (type(error), error.reason) == (kind, reason)
    assert not details or details not in error.message  # the server's words go no further


@pytest.mark.parametrize(("code", "details", "kind", "reason"), WITHOUT_CODE)
def test_answers_on_streams_mean_the_same_without_a_code(
    code: grpc.StatusCode, details: str, kind: type[AntiphonError], reason: str
) -> None:
    error = translate(StreamError(details), DEFINITION)
    assert (type(error), error.reason) == (kind, reason)


def test_what_comes_again_says_when() -> None:
    for code, details, kind, _ in TOLD:
        if kind in (Unavailable, Overloaded):
            assert translate(failure(code, details), DEFINITION).retry_after is not None


def test_only_what_the_model_cannot_have_seen_is_repeated() -> None:
    safe = {reason for code, details, _, reason in TOLD if never_ran(translate(failure(code, details), DEFINITION))}
    assert safe == {"SERVER_UNREACHABLE", "MODEL_NOT_READY"}


def test_unknown_memory_is_told_from_other_failures() -> None:
    assert region_unknown(failure(CODE.NOT_FOUND, "Unable to find shared memory region: 'antiphon-1'"))
    assert not region_unknown(failure(CODE.NOT_FOUND, "Request for unknown model: 'x' is not found"))
