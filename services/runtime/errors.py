"""One tree of errors, from the domain to the wire.

Domain code raises these; `guard.py` turns them into `google.rpc.Status` with ErrorInfo on either engine. Nothing else
reaches a client: an exception that is not in this tree becomes `Internal` with a correlation id and no text of its own.

    AntiphonError
      InvalidInput         INVALID_ARGUMENT      the request is wrong; says which field and what would be right
      Unauthenticated      UNAUTHENTICATED       no credentials, or unknown ones
      PermissionDenied     PERMISSION_DENIED     known caller without the scope
      NotFound             NOT_FOUND             also what another tenant's things look like
      AlreadyExists        ALREADY_EXISTS        it is there, and the request does not say to replace it
      Conflict             ABORTED               a compare-and-set lost; read again, then repeat
      FailedPrecondition   FAILED_PRECONDITION   a missing model or locale; repeating changes nothing
      Unsupported          UNIMPLEMENTED         the method has its place in the contract and no engine here yet
      Overloaded           RESOURCE_EXHAUSTED    admission; carries RetryInfo
      QuotaExceeded        RESOURCE_EXHAUSTED    the tenant's own limit; carries QuotaFailure
      DeadlineExceeded     DEADLINE_EXCEEDED
      Unavailable          UNAVAILABLE           a part is gone for now
        Draining           UNAVAILABLE           this replica takes no new sessions
        WorkerLost         UNAVAILABLE           the engine's process died under a session
      Internal             INTERNAL              a defect of ours

`code` values are those of google.rpc.Code (https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


class Code(IntEnum):
    """The canonical codes of gRPC that Antiphon uses."""

    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class AntiphonError(Exception):
    """An error that a client may see.

    Args:
        message: a sentence for a developer: what was wrong, where, what to do. Never user audio, text or a stack trace.
        reason: UPPER_SNAKE_CASE constant that a program can switch on (ErrorInfo.reason).
        field: path of the offending request field, for BadRequest; empty when none is to blame.
        retry_after: seconds after which a repeat makes sense, for RetryInfo; None when it does not.
        metadata: short facts for ErrorInfo.metadata; never user content.
    """

    code: Code = Code.INTERNAL
    reason: str = "INTERNAL"
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        field: str = "",
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or type(self).reason
        self.field = field
        self.retry_after = retry_after
        self.metadata: dict[str, str] = dict(metadata or {})


class InvalidInput(AntiphonError):
    code = Code.INVALID_ARGUMENT
    reason = "INVALID_INPUT"


class Unauthenticated(AntiphonError):
    code = Code.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDenied(AntiphonError):
    code = Code.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class NotFound(AntiphonError):
    code = Code.NOT_FOUND
    reason = "NOT_FOUND"


class AlreadyExists(AntiphonError):
    code = Code.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class Conflict(AntiphonError):
    code = Code.ABORTED
    reason = "CONFLICT"
    retryable = True


class FailedPrecondition(AntiphonError):
    code = Code.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"


class Unsupported(AntiphonError):
    code = Code.UNIMPLEMENTED
    reason = "UNSUPPORTED"


class Overloaded(AntiphonError):
    code = Code.RESOURCE_EXHAUSTED
    reason = "OVERLOADED"
    retryable = True


class QuotaExceeded(AntiphonError):
    code = Code.RESOURCE_EXHAUSTED
    reason = "QUOTA_EXCEEDED"
    retryable = True


class DeadlineExceeded(AntiphonError):
    code = Code.DEADLINE_EXCEEDED
    reason = "DEADLINE_EXCEEDED"


class Unavailable(AntiphonError):
    code = Code.UNAVAILABLE
    reason = "UNAVAILABLE"
    retryable = True


class Draining(Unavailable):
    reason = "DRAINING"


class WorkerLost(Unavailable):
    reason = "WORKER_LOST"


class Internal(AntiphonError):
    code = Code.INTERNAL
    reason = "INTERNAL"
