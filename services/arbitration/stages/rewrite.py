"""Other words for what was said, learned from people who had to say it twice.

First stage of a decision. A rewrite is read as a further alternative beside the user's own words, never in their place
alone: when the words were right as they were, they still win. `learning` publishes rewrites and implements `Rewriter`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Other words for the same wish; `intent` is what they are known to mean, where that is known."""

    rewrite_id: str
    text: str
    intent: str = ""


class Rewriter(Protocol):
    """Published rewrites. A look-up is one of a dictionary: it neither waits nor fails."""

    def look_up(self, tenant: str, locale: str, text: str, session_id: str) -> Rewrite | None:
        """The rewrite of `text`; None when there is none, or this session is held out."""
