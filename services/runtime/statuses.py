"""Errors to `google.rpc.Status` and back. `guard.py` sends them; arbitration's stubs read them.

Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
"""

from __future__ import annotations

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from services.runtime import errors
from services.runtime.errors import AntiphonError

DOMAIN = "antiphon"
DETAILS_KEY = "grpc-status-details-bin"

_GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}
_BY_CODE: dict[grpc.StatusCode, type[AntiphonError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: errors.InvalidInput,
    grpc.StatusCode.UNAUTHENTICATED: errors.Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: errors.PermissionDenied,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.ALREADY_EXISTS: errors.AlreadyExists,
    grpc.StatusCode.ABORTED: errors.Conflict,
    grpc.StatusCode.FAILED_PRECONDITION: errors.FailedPrecondition,
    grpc.StatusCode.UNIMPLEMENTED: errors.Unsupported,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Overloaded,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.DeadlineExceeded,
    grpc.StatusCode.UNAVAILABLE: errors.Unavailable,
}
_LOST = (
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.UNAVAILABLE,
)


def to_status(error: AntiphonError) -> status_pb2.Status:
    """The rich status of an error: ErrorInfo always; BadRequest, RetryInfo and QuotaFailure where they apply."""
    metadata = {**error.metadata, "retryable": "true" if error.retryable else "false"}
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)]
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=error.field, description=error.message)
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after is not None:
        delay = Duration()
        delay.FromNanoseconds(int(error.retry_after * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if isinstance(error, errors.QuotaExceeded):
        quota = error_details_pb2.QuotaFailure.Violation(
            subject=error.metadata.get("subject", ""), description=error.message
        )
        details.append(error_details_pb2.QuotaFailure(violations=[quota]))
    status = status_pb2.Status(code=int(error.code), message=error.message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def grpc_code(error: AntiphonError) -> grpc.StatusCode:
    """The grpcio status code of an error."""
    return _GRPC_CODES[int(error.code)]


def from_rpc_error(error: grpc.RpcError) -> AntiphonError:
    """An error that another service answered, as the tree knows it.

    INTERNAL, CANCELLED, UNKNOWN and UNAVAILABLE without ErrorInfo are a lost replica: `Unavailable` with reason
    REPLICA_LOST, which is worth one retry under an idempotency key. Any other code without ErrorInfo (unknown method,
    a message that is too large) keeps its kind; repeating changes nothing.
    """
    # An AioRpcError is no grpc.Call, though it has the same methods.
    answered = isinstance(error, grpc.Call | grpc.aio.AioRpcError)
    code = error.code() if answered else grpc.StatusCode.UNKNOWN
    message = (error.details() if answered else "") or ""
    details = _Details(rich_status(error))
    if details.info is None:
        if code in _LOST:
            return errors.Unavailable("the replica behind this call was lost", reason="REPLICA_LOST")
        kind = _BY_CODE.get(code, errors.Internal)
        found = kind(message)
        found.retryable = False
        return found
    kind = errors.QuotaExceeded if details.quota else _BY_CODE.get(code, errors.Internal)
    found = kind(
        message,
        reason=details.info.reason,
        field=details.field,
        retry_after=details.retry_after,
        metadata={k: v for k, v in details.info.metadata.items() if k != "retryable"},
    )
    found.retryable = details.info.metadata.get("retryable") == "true"
    return found


class _Details:
    """What `from_rpc_error` reads of a rich status."""

    def __init__(self, status: status_pb2.Status | None) -> None:
        self.info: error_details_pb2.ErrorInfo | None = None
        self.field = ""
        self.retry_after: float | None = None
        self.quota = False
        for detail in status.details if status is not None else ():
            if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                self.info = error_details_pb2.ErrorInfo.FromString(detail.value)
            elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
                violations = error_details_pb2.BadRequest.FromString(detail.value).field_violations
                self.field = violations[0].field if violations else ""
            elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
                delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
                self.retry_after = delay.ToNanoseconds() / 1e9
            elif detail.Is(error_details_pb2.QuotaFailure.DESCRIPTOR):
                self.quota = True


def rich_status(error: grpc.RpcError) -> status_pb2.Status | None:
    """The `google.rpc.Status` of sync and aio errors alike; None when the trailer is absent or does not parse."""
    trailers = error.trailing_metadata() if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else None
    for key, value in trailers or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None
