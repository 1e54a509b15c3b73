"""Other words for what was said, learned from people who had to say it twice.

First stage of a decision. A rewrite is read as a further alternative beside the user's own words, never in their place
alone: when the words were right as they were, they still win. `learning` publishes rewrites and implements `Rewriter`.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Final, Protocol

from services.arbitration.contexts import TurnContext
from services.arbitration.hypotheses import Alternative
from services.runtime.errors import AntiphonError

log = logging.getLogger(__name__)

MAX_TEXT: Final = 500
"""Code points of the longest rewrite that is read."""


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


@dataclass(frozen=True, slots=True)
class Reworded:
    """What was heard, with other words for it as the last alternative.

    Attributes:
        at: index of the rewrite among the alternatives; None without one.
        late: the look-up failed or took too long, so that its answer was not used.
    """

    alternatives: tuple[Alternative, ...]
    rewrite: Rewrite | None = None
    at: int | None = None
    late: bool = False


def reworded(
    rewriter: Rewriter | None, alternatives: tuple[Alternative, ...], context: TurnContext, *, limit: float
) -> Reworded:
    """The alternatives, with a rewrite of the best one if there is one.

    Not while a question is open: an answer is short, and means what the question makes of it.

    Args:
        limit: seconds that the look-up may take.
    """
    if rewriter is None or not alternatives or context.state.pending is not None:
        return Reworded(alternatives)
    best, profile, began = alternatives[0], context.profile, time.perf_counter()
    try:
        rewrite = rewriter.look_up(profile.tenant, profile.locale, best.text, context.session_id)
    except (AntiphonError, LookupError, ValueError) as error:  # a broken table must not take the turn with it
        log.warning("rewrites failed: %s", type(error).__name__)
        return Reworded(alternatives, late=True)
    if time.perf_counter() - began > limit:
        return Reworded(alternatives, late=True)
    if rewrite is None or not 0 < len(rewrite.text) <= MAX_TEXT or rewrite.text == best.text:
        return Reworded(alternatives)
    return Reworded((*alternatives, Alternative(rewrite.text, best.confidence)), rewrite, len(alternatives))
