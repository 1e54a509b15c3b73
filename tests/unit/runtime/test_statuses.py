"""Errors to the wire and back."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import status_pb2

from services.runtime import errors
from services.runtime.errors import AntiphonError
from services.runtime.statuses import DETAILS_KEY, from_rpc_error, grpc_code, to_status

pytestmark = pytest.mark.unit


def received(code: grpc.StatusCode, message: str = "", status: Message | None = None) -> grpc.aio.AioRpcError:
    """What a client gets."""
    trailing = [(DETAILS_KEY, status.SerializeToString())] if status is not None else []
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), message, "")


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidInput("bad rate", field="config.sample_rate_hertz", reason="RATE_WRONG"),
        errors.Unauthenticated("who?"),
        errors.PermissionDenied("no"),
        errors.NotFound("gone"),
        errors.Conflict("lost"),
        errors.FailedPrecondition("no model", field="locale"),
        errors.Unsupported("later"),
        errors.Overloaded("full", retry_after=1.5, metadata={"limit": "4"}),
        errors.QuotaExceeded("yours is full", retry_after=1.0, metadata={"subject": "sessions_per_tenant"}),
        errors.DeadlineExceeded("late"),
        errors.Unavailable("away"),
        errors.Draining("going", retry_after=0.5),
        errors.WorkerLost("died"),
        errors.Internal("ours", metadata={"correlation_id": "c0ffee"}),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_error_comes_back_as_what_it_was(error: AntiphonError) -> None:
    found = from_rpc_error(received(grpc_code(error), error.message, to_status(error)))
    assert isinstance(error, type(found))  # Draining comes back as Unavailable: who waits for it needs no more
    for name in ("code", "message", "reason", "field", "retry_after", "retryable", "metadata"):
        assert getattr(found, name) == getattr(error, name), name


@pytest.mark.parametrize("code", ["INTERNAL", "CANCELLED", "UNKNOWN", "UNAVAILABLE"])
def test_a_failure_without_our_details_is_a_lost_replica(code: str) -> None:
    found = from_rpc_error(received(grpc.StatusCode[code], "Stream removed"))
    assert isinstance(found, errors.Unavailable)
    assert (found.reason, found.retryable) == ("REPLICA_LOST", True)
    assert "Stream removed" not in found.message


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("UNIMPLEMENTED", errors.Unsupported),
        ("RESOURCE_EXHAUSTED", errors.Overloaded),
        ("DEADLINE_EXCEEDED", errors.DeadlineExceeded),
        ("DATA_LOSS", errors.Internal),
    ],
)
def test_other_failures_without_details_are_not_repeated(code: str, kind: type[AntiphonError]) -> None:
    found = from_rpc_error(received(grpc.StatusCode[code]))
    assert type(found) is kind
    assert not found.retryable


def test_codes_that_only_third_parties_use() -> None:
    status = to_status(errors.Internal("theirs", reason="OUT_OF_STOCK"))
    found = from_rpc_error(received(grpc.StatusCode.OUT_OF_RANGE, "theirs", status))
    assert (type(found), found.reason) == (errors.Internal, "OUT_OF_STOCK")


def test_details_that_do_not_parse_count_as_none() -> None:
    error = grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata((DETAILS_KEY, b"\xff\xff")), "", ""
    )
    assert from_rpc_error(error).reason == "REPLICA_LOST"


def test_the_status_names_field_retry_and_quota() -> None:
    status = to_status(errors.QuotaExceeded("full", field="config", retry_after=2.0, metadata={"subject": "s"}))
    kinds = [detail.type_url.rpartition(".")[2] for detail in status.details]
    assert kinds == ["ErrorInfo", "BadRequest", "RetryInfo", "QuotaFailure"]
    assert status_pb2.Status.FromString(status.SerializeToString()) == status
