"""When a failed call is worth repeating. Asked by `channels.py` for unary calls and by `conversation.py` for streams.

The rules: an error of the server's own is repeated only if it says so, after the time it names. INTERNAL, CANCELLED or
UNAVAILABLE without ErrorInfo is a lost replica: one repeat, and only of what is safe to repeat.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from antiphon.errors import AntiphonApiError


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how late.

    Attributes:
        attempts: tries in all where the server says that a repeat makes sense.
        lost_attempts: tries in all where the replica was lost.
        first_delay_s: wait before the first repeat where the server names no time, seconds; doubles each time.
        longest_delay_s: longest wait, seconds; a server that asks for more is not waited for.
        patience_s: how long a running conversation waits for a replica in the place of one that was lost, seconds.
    """

    attempts: int = 3
    lost_attempts: int = 2
    first_delay_s: float = 0.1
    longest_delay_s: float = 5.0
    patience_s: float = 20.0

    def delay(self, error: AntiphonApiError, tries: int, repeatable: bool = True) -> float | None:
        """Seconds to wait before the next try, or None to give up.

        Args:
            error: how the last try failed.
            tries: tries made so far, at least 1.
            repeatable: the call changes nothing, or carries an idempotency key.
        """
        backoff = min(self.first_delay_s * 2.0 ** (tries - 1), self.longest_delay_s)
        spread = backoff * random.uniform(0.5, 1.5)
        if error.lost:
            return spread if repeatable and tries < self.lost_attempts else None
        if not error.retryable or tries >= self.attempts:
            return None
        if error.retry_after is None:
            return spread
        if error.retry_after > self.longest_delay_s:
            return None
        # Everybody who was refused at the same moment is told the same time.
        return error.retry_after + random.uniform(0.0, self.first_delay_s)


NEVER = RetryPolicy(attempts=1, lost_attempts=1)
