"""`SkillService` of the installed skills on the runtime: their errors become the platform's, nothing else happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager

from antiphon.skill.v1 import skill_pb2
from antiphon.skills import SkillError, SkillHost
from antiphon.skills.skill import Trouble
from services.runtime.calls import Call
from services.runtime.errors import (
    AntiphonError,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidInput,
    NotFound,
)

_ERRORS: dict[Trouble, type[AntiphonError]] = {
    Trouble.INVALID: InvalidInput,
    Trouble.NOT_FOUND: NotFound,
    Trouble.TOO_LATE: DeadlineExceeded,
    Trouble.REFUSED: FailedPrecondition,
    Trouble.CRASHED: Internal,
}


class SkillServicer:
    """`antiphon.skill.v1.SkillService`."""

    def __init__(self, host: SkillHost) -> None:
        self._host = host

    async def GetManifest(self, request: skill_pb2.GetManifestRequest, call: Call) -> skill_pb2.GetManifestResponse:
        with _errors():
            return self._host.get_manifest(request)

    async def CanFulfill(self, request: skill_pb2.CanFulfillRequest, call: Call) -> skill_pb2.CanFulfillResponse:
        if not 1 <= len(request.interpretations) <= 10:
            raise InvalidInput("1 to 10 interpretations", reason="INTERPRETATIONS_COUNT", field="interpretations")
        with _errors():
            return await self._host.can_fulfill(request)

    async def Execute(self, request: skill_pb2.ExecuteRequest, call: Call) -> AsyncIterator[skill_pb2.ExecuteResponse]:
        with _errors():
            async with aclosing(self._host.execute(request, call.principal.tenant)) as events:
                async for event in events:
                    yield event


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except SkillError as error:
        metadata = {"effect": "true"} if error.effect else {}
        raise _ERRORS[error.kind](str(error), reason=error.reason, metadata=metadata) from error
