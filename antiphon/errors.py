"""What a failed call tells its caller. Every client in `client.py` raises it; `cli.py` turns it into exit codes.

A server's own errors carry ErrorInfo with a reason that a program can switch on, and say whether a repeat makes sense.
INTERNAL, CANCELLED or UNAVAILABLE without ErrorInfo come from the transport: the replica behind the call is gone, or
nobody listens at the address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

DETAILS_KEY = "grpc-status-details-bin"
D = TypeVar("D", error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo)
_LOST = (grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class AntiphonApiError(Exception):
    """A call that failed.

    Attributes:
        code: canonical code of gRPC.
        reason: UPPER_SNAKE constant to switch on ("OVERLOADED", "LOCALE_NOT_SERVED"); empty if the server gave none.
        message: a sentence for a developer.
        field: path of the request field that is to blame; empty if none is.
        retryable: the server says that the same call may work later.
        retry_after: seconds to wait before that; None if the server named no time.
        metadata: short facts from ErrorInfo.
        lost: the failure came without ErrorInfo in the way a lost replica or connection shows.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        field: str = "",
        retryable: bool = False,
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
        lost: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason
        self.field = field
        self.retryable = retryable
        self.retry_after = retry_after
        self.metadata = dict(metadata or {})
        self.lost = lost

    def __str__(self) -> str:
        named = f"{self.code.name} ({self.reason})" if self.reason else self.code.name
        field = f" [{self.field}]" if self.field else ""
        return f"{named}{field}: {self.message}"


def from_rpc_error(error: grpc.RpcError, target: str = "") -> AntiphonApiError:
    """The error behind grpc's own; `target` is named where nobody answered there."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return AntiphonApiError(grpc.StatusCode.UNKNOWN, "the call failed in an unknown way")
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return from_status(status_pb2.Status.FromString(value))
            except DecodeError:
                break
    code = error.code()
    return AntiphonApiError(code, _plain_message(code, error.details() or "", target), lost=code in _LOST)


def from_status(status: status_pb2.Status) -> AntiphonApiError:
    """The error in a `google.rpc.Status`, as it ends a call or comes as an event within a stream."""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    info = _detail(status.details, error_details_pb2.ErrorInfo())
    bad_request = _detail(status.details, error_details_pb2.BadRequest())
    retry = _detail(status.details, error_details_pb2.RetryInfo())
    if info is None:
        return AntiphonApiError(code, status.message, lost=code in _LOST)
    return AntiphonApiError(
        code,
        status.message,
        reason=info.reason,
        field=bad_request.field_violations[0].field if bad_request and bad_request.field_violations else "",
        retryable=info.metadata.get("retryable") == "true",
        retry_after=retry.retry_delay.ToNanoseconds() / 1e9 if retry is not None else None,
        metadata={k: v for k, v in info.metadata.items() if k != "retryable"},
    )


def _detail(details: Iterable[AnyMessage], empty: D) -> D | None:
    """The first detail of the type of `empty`, unpacked into it."""
    for packed in details:
        if packed.Unpack(empty):
            return empty
    return None


def _plain_message(code: grpc.StatusCode, details: str, target: str) -> str:
    where = f" at {target}" if target else ""
    if code == grpc.StatusCode.UNAVAILABLE:
        return f"nobody answers{where}: is the platform up (antiphon up), and is this its address?"
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"no answer{where} in time"
    if code in _LOST:
        return f"the replica behind this call{where} was lost"
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return f"the service{where} does not know this call"
    return details or "the call failed"
