"""Published rewrites, and tables of them that fail."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.arbitration.stages.rewrite import Rewrite


@dataclass
class KnownRewrites:
    """Rewrites by text; notes who asked."""

    by_text: Mapping[str, str]
    seconds: float = 0.0
    asked: list[tuple[str, str, str, str]] = field(default_factory=list)

    def look_up(self, tenant: str, locale: str, text: str, session_id: str) -> Rewrite | None:
        self.asked.append((tenant, locale, text, session_id))
        time.sleep(self.seconds)
        found = self.by_text.get(text)
        return Rewrite(f"rw-{text}", found) if found is not None else None


class BrokenRewrites:
    """A table that cannot be read."""

    def look_up(self, tenant: str, locale: str, text: str, session_id: str) -> Rewrite | None:
        raise KeyError(text)
