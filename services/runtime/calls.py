"""`Call`: what a servicer may know of the RPC it answers, the same on Ray Serve and on plain grpc.aio.

Made by `guard.py`, one per RPC. Servicers take it where grpc.aio would pass its ServicerContext.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.runtime.errors import DeadlineExceeded, PermissionDenied
from services.runtime.identity import Identity, Principal


@dataclass
class Call:
    """One RPC.

    Attributes:
        method: full name, `/antiphon.asr.v1.SpeechRecognitionService/StreamingRecognize`.
        principal: the authenticated caller.
        metadata: request metadata, text values only; the last one wins when a key repeats.
        deadline: `time.monotonic()` instant at which the caller gives up; None without a deadline.
        trace: W3C trace headers of this call's span, to be passed on.
        correlation_id: random id that an INTERNAL error names, so that its log line can be found.
        resume_token: set by a servicer that can resume; the runtime puts it in `SessionEnding`.
        received_audio_s: seconds of audio taken so far; set by servicers, used for `SessionEnding`.
        complete_ending: set by a servicer whose events carry more than `SessionEnding` itself, such as a number; called
            with the message before it is sent.
    """

    method: str
    principal: Principal
    metadata: Mapping[str, str] = field(default_factory=dict)
    deadline: float | None = None
    trace: Mapping[str, str] = field(default_factory=dict)
    correlation_id: str = ""
    resume_token: str = ""
    received_audio_s: float = 0.0
    identity: Identity = field(default_factory=Identity)
    complete_ending: Callable[[Any], None] = field(default=lambda message: None)

    def remaining(self) -> float | None:
        """Seconds left before the caller's deadline; None when it set none.

        Raises:
            DeadlineExceeded: nothing is left.
        """
        if self.deadline is None:
            return None
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("the call's deadline has passed")
        return left

    def outgoing(self) -> tuple[tuple[str, str], ...]:
        """Metadata for a call to another service of this platform: the principal and the trace."""
        return (*self.identity.forward(self.principal), *self.trace.items())

    def require(self, scope: str) -> None:
        """Raises PermissionDenied unless the caller's credentials carry `scope`."""
        if scope not in self.principal.scopes:
            raise PermissionDenied(f"this API key lacks the scope '{scope}'", reason="SCOPE_MISSING")
