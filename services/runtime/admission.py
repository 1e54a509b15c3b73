"""Who may come in: session slots per replica and per tenant, and the draining state. One `Admission` per application.

Called by `guard.py` around every session. Serve's own limits only back this up: under direct ingress Serve would queue
where a voice client needs an answer at once (ARCHITECTURE.md, How a turn flows).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from services.runtime.errors import Draining, Overloaded, QuotaExceeded
from services.runtime.identity import Principal


@dataclass(frozen=True)
class Limits:
    """What one replica bears.

    Attributes:
        max_sessions: open streams per replica.
        max_sessions_per_tenant: open streams per replica for one tenant; 0 means no limit of its own.
        max_unary: unary calls in flight per replica.
        idle_s: seconds without a message from the client before a stream is cut.
        session_s: longest session, seconds; a cut is announced `notice_s` before.
        notice_s: seconds between SessionEnding and the cut.
        session_bytes: most bytes that one session may send (10 minutes of 48 kHz PCM16 are 58 MB).
    """

    max_sessions: int = 64
    max_sessions_per_tenant: int = 0
    max_unary: int = 256
    idle_s: float = 30.0
    session_s: float = 600.0
    notice_s: float = 10.0
    session_bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        for name in ("max_sessions", "max_unary", "idle_s", "session_s", "session_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0")
        for name in ("max_sessions_per_tenant", "notice_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")


class Admission:
    """Counts what is open and refuses the rest, without waiting."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.active_sessions = 0
        self.active_unary = 0
        self.refused = 0
        self.draining = asyncio.Event()
        self.on_change: Callable[[int], None] = lambda delta: None
        self._tenants: Counter[str] = Counter()

    @contextmanager
    def session(self, principal: Principal) -> Iterator[None]:
        """One session's slot.

        Raises:
            Draining: this replica is going away; another one takes the session.
            Overloaded: all slots are taken.
            QuotaExceeded: the tenant's own slots are taken.
        """
        self._refuse_when_draining()
        per_tenant = self.limits.max_sessions_per_tenant
        if per_tenant and self._tenants[principal.tenant] >= per_tenant:
            self.refused += 1
            raise QuotaExceeded(
                f"this tenant already has {per_tenant} open sessions on this replica",
                retry_after=1.0,
                metadata={"limit": str(per_tenant), "subject": "sessions_per_tenant"},
            )
        if self.active_sessions >= self.limits.max_sessions:
            self.refused += 1
            raise Overloaded(
                f"all {self.limits.max_sessions} sessions of this replica are taken",
                retry_after=1.0,
                metadata={"limit": str(self.limits.max_sessions), "subject": "max_sessions"},
            )
        self.active_sessions += 1
        self._tenants[principal.tenant] += 1
        self.on_change(1)
        try:
            yield
        finally:
            self.active_sessions -= 1
            self._tenants[principal.tenant] -= 1
            if not self._tenants[principal.tenant]:
                del self._tenants[principal.tenant]
            self.on_change(-1)

    @contextmanager
    def unary(self) -> Iterator[None]:
        """One unary call's slot. Raises Draining or Overloaded."""
        self._refuse_when_draining()
        if self.active_unary >= self.limits.max_unary:
            self.refused += 1
            raise Overloaded(
                f"{self.limits.max_unary} calls are already in flight on this replica",
                retry_after=0.2,
                metadata={"limit": str(self.limits.max_unary), "subject": "max_unary"},
            )
        self.active_unary += 1
        self.on_change(1)
        try:
            yield
        finally:
            self.active_unary -= 1
            self.on_change(-1)

    def _refuse_when_draining(self) -> None:
        if self.draining.is_set():
            self.refused += 1
            raise Draining("this replica is shutting down; connect again", retry_after=0.5)
