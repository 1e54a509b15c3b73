"""What a failed call tells, and when it is repeated."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from antiphon.channels import is_loopback
from antiphon.errors import DETAILS_KEY, AntiphonApiError, from_rpc_error, from_status
from antiphon.retries import NEVER, RetryPolicy

pytestmark = pytest.mark.unit

POLICY = RetryPolicy(attempts=3, lost_attempts=2, first_delay_s=0.1, longest_delay_s=2.0)


def rich(code: int, *details: Message) -> status_pb2.Status:
    status = status_pb2.Status(code=code, message="what was wrong")
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def info(retryable: str = "true") -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(
        reason="OVERLOADED", domain="antiphon", metadata={"retryable": retryable, "n": "4"}
    )


def rpc_error(code: grpc.StatusCode, status: status_pb2.Status | None = None) -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata((DETAILS_KEY, status.SerializeToString())) if status else grpc.aio.Metadata()
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details="plain")


def test_a_rich_error_is_read_in_full() -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(field="config.format", description="wrong")
    status = rich(
        code_pb2.RESOURCE_EXHAUSTED,
        info(),
        error_details_pb2.BadRequest(field_violations=[violation]),
        error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000)),
    )
    error = from_rpc_error(rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, status))
    assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (error.reason, error.field, error.retry_after) == ("OVERLOADED", "config.format", 1.5)
    assert error.retryable
    assert not error.lost
    assert error.metadata == {"n": "4"}
    assert str(error) == "RESOURCE_EXHAUSTED (OVERLOADED) [config.format]: what was wrong"


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE])
def test_without_error_info_the_replica_was_lost(code: grpc.StatusCode) -> None:
    assert from_rpc_error(rpc_error(code)).lost
    assert not from_rpc_error(rpc_error(code, rich(code.value[0], info("false")))).lost


@pytest.mark.parametrize("code", [grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_other_codes_without_error_info_are_no_loss(code: grpc.StatusCode) -> None:
    error = from_rpc_error(rpc_error(code))
    assert not error.lost
    assert POLICY.delay(error, 1) is None


def test_who_does_not_answer_is_named() -> None:
    assert "127.0.0.1:9000" in from_rpc_error(rpc_error(grpc.StatusCode.UNAVAILABLE), "127.0.0.1:9000").message


def test_details_that_do_not_parse_are_no_details() -> None:
    trailing = grpc.aio.Metadata((DETAILS_KEY, b"\xff\xff"))
    error = grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), trailing)
    assert from_rpc_error(error).lost


def test_a_retry_comes_only_where_the_server_says_so() -> None:
    yes = from_status(rich(code_pb2.UNAVAILABLE, info("true")))
    no = from_status(rich(code_pb2.UNAVAILABLE, info("false")))
    assert POLICY.delay(yes, 1) is not None
    assert POLICY.delay(yes, 3) is None
    assert POLICY.delay(no, 1) is None
    assert NEVER.delay(yes, 1) is None


def test_a_lost_replica_is_tried_once_more_and_only_what_is_repeatable() -> None:
    lost = AntiphonApiError(grpc.StatusCode.INTERNAL, "gone", lost=True)
    assert POLICY.delay(lost, 1) is not None
    assert POLICY.delay(lost, 2) is None
    assert POLICY.delay(lost, 1, repeatable=False) is None


def test_the_servers_time_is_kept() -> None:
    error = AntiphonApiError(grpc.StatusCode.RESOURCE_EXHAUSTED, "", retryable=True, retry_after=1.0)
    delays = [POLICY.delay(error, 1) for _ in range(50)]
    assert all(delay is not None and 1.0 <= delay <= 1.1 for delay in delays)
    error.retry_after = 60.0
    assert POLICY.delay(error, 1) is None


def test_waits_grow_and_differ() -> None:
    error = AntiphonApiError(grpc.StatusCode.UNAVAILABLE, "", retryable=True)
    delays = [POLICY.delay(error, tries) for tries in (1, 2) for _ in range(20)]
    assert all(delay is not None and 0.05 <= delay <= 0.3 for delay in delays)
    assert len(set(delays)) > 2


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("127.0.0.1:9000", True),
        ("localhost:9000", True),
        ("[::1]:9000", True),
        ("unix:/run/antiphon.sock", True),
        ("192.0.2.7:9000", False),
        ("voice.example.org:443", False),
        ("127.0.0.1.example.org:443", False),
    ],
)
def test_loopback(target: str, expected: bool) -> None:
    assert is_loopback(target) is expected
