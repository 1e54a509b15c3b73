"""Errors to `google.rpc.Status` and back. `guard.py` sends them; arbitration's stubs read them.

Source: https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
"""

from __future__ import annotations

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

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

    A failure without our ErrorInfo is a lost replica when its code is INTERNAL, CANCELLED, UNKNOWN or UNAVAILABLE:
    `Unavailable` with reason REPLICA_LOST, worth one retry under an idempotency key.
    """
    status = _rich(error)
    info = error_details_pb2.ErrorInfo()
    retry_after: float | None = None
    known = False
    for detail in status.details if status is not None else ():
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
            known = True
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            detail.Unpack(retry)
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    code: grpc.StatusCode = error.code() if hasattr(error, "code") else grpc.StatusCode.UNKNOWN
    if not known and code in _LOST:
        return errors.Unavailable("the replica behind this call was lost", reason="REPLICA_LOST")
    kind = _BY_CODE.get(code, errors.Internal)
    if not known:  # a third party's server: its code counts, its words do not reach our clients
        return kind("a called service refused", reason=code.name)
    message: str | None = error.details() if hasattr(error, "details") else None
    metadata = {k: v for k, v in info.metadata.items() if k != "retryable"}
    found = kind(message or "", reason=info.reason, retry_after=retry_after, metadata=metadata)
    found.retryable = info.metadata.get("retryable") == "true"
    return found


def _rich(error: grpc.RpcError) -> status_pb2.Status | None:
    """`rpc_status.from_call` for sync and aio errors alike; None when the trailer is absent or does not parse."""
    if isinstance(error, grpc.aio.AioRpcError):
        for key, value in error.trailing_metadata() or ():
            if key == DETAILS_KEY and isinstance(value, bytes):
                try:
                    return status_pb2.Status.FromString(value)
                except ValueError:
                    return None
        return None
    if isinstance(error, grpc.Call):
        try:
            found: status_pb2.Status | None = rpc_status.from_call(error)
        except ValueError:
            return None
        return found
    return None
