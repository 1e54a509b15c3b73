"""What the words may mean, by the understanding service; from memory or by the letter where it is late or away.

Second stage of a decision. Nothing can be decided without a reading, so a late service is waited for; how long depends
on what there is instead:

    the same words were read a short while ago, and need no context  -> the budget of the stage, then that reading
    skills name just these words among their phrases                 -> `Budgets.understand_rules`, then those
    neither                                                          -> `Budgets.understand_limit`, then the fallback
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from services.arbitration.alarms import owner_of
from services.arbitration.budgets import Budgets, Stage
from services.arbitration.contexts import TurnContext
from services.arbitration.hypotheses import Alternative, Interpretation, Understanding
from services.arbitration.ports import UnderstandingPort
from services.arbitration.registry_of_skills import SkillRegistry
from services.arbitration.stages.timing import Running
from services.runtime.errors import AntiphonError, Code

log = logging.getLogger(__name__)

KEPT_SECONDS: Final = 600.0
MAX_KEPT: Final = 1_024

BY_THE_LETTER: Final = 0.9
"""Confidence of readings by the phrases of skills, shared among the skills that have the phrase."""

STAND_INS: Final = ("intent_confidence", "margin", "weakest_slot", "resolution")
"""Features that nobody measured when a reading stands in."""

LAST_GOOD: Final = "LAST_GOOD_MODEL"
RULES: Final = "RULES"
NOTHING: Final = "NONE"

_END: Final = re.compile(r"[\s.,;:!?¿¡…]+$|^[\s¿¡]+")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the words may mean; `stand_ins` names features whose values were not measured this time."""

    understanding: Understanding
    stand_ins: tuple[str, ...] = ()


@dataclass
class LastGood:
    """Readings of the last few minutes that hold without context: no slots, nothing asked, nothing ringing.

    In this process' memory alone, and found by whoever said just these words. Bounded; the least recently used is
    forgotten first.
    """

    now: Callable[[], float]
    _kept: OrderedDict[bytes, tuple[float, Understanding]] = field(default_factory=OrderedDict)

    def keep(self, key: bytes, understanding: Understanding) -> None:
        """Remember a reading, if it will hold."""
        if not understanding.interpretations or any(reading.slots for reading in understanding.interpretations):
            return
        self._kept[key] = (self.now(), understanding)
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def find(self, key: bytes) -> Understanding | None:
        """The reading, while it is fresh."""
        at, understanding = self._kept.get(key, (float("-inf"), None))
        return understanding if self.now() - at <= KEPT_SECONDS else None


@dataclass
class Interpreting:
    """The stage. One per replica."""

    port: UnderstandingPort
    registry: SkillRegistry
    budgets: Budgets = field(default_factory=Budgets)
    last_good: LastGood = field(default_factory=lambda: LastGood(lambda: asyncio.get_running_loop().time()))

    async def read(
        self, alternatives: tuple[Alternative, ...], context: TurnContext, running: Running, *, speculative: bool
    ) -> Reading:
        """What the words may mean. Never fails; `running` learns what was done on a miss."""
        key = self._key(alternatives, context)
        limit, instead, name = self._instead(key, alternatives, context)
        try:
            async with asyncio.timeout(limit):
                understanding = await self.port.interpret(alternatives, context, speculative=speculative)
        except (AntiphonError, TimeoutError) as error:
            reason = error.reason if isinstance(error, AntiphonError) else "TIMEOUT"
            log.warning("understanding failed: %s; instead: %s", reason, name)
            running.missed, running.fallback = True, name
            running.code = error.code if isinstance(error, AntiphonError) else Code.DEADLINE_EXCEEDED
            return Reading(instead, STAND_INS if instead.interpretations else ())
        running.models = understanding.models
        if key:
            self.last_good.keep(key, understanding)
        return Reading(understanding)

    def _instead(
        self, key: bytes, alternatives: tuple[Alternative, ...], context: TurnContext
    ) -> tuple[float, Understanding, str]:
        """How long to wait, in seconds, and what there is then."""
        if key and (known := self.last_good.find(key)) is not None:
            return self.budgets[Stage.UNDERSTAND].seconds, known, LAST_GOOD
        if key and (readings := self._by_the_letter(alternatives[0].text, context.profile.locale)):
            return self.budgets.understand_rules, Understanding(readings), RULES
        return self.budgets.understand_limit, Understanding(), NOTHING

    def _by_the_letter(self, text: str, locale: str) -> tuple[Interpretation, ...]:
        """Readings of skills that have just these words among their phrases."""
        said = _END.sub("", text)
        found = self.registry.phrased(locale, said) or self.registry.phrased(locale.partition("-")[0], said)
        sure = BY_THE_LETTER / max(1, len(found))
        return tuple(Interpretation(intent, sure, skill_id=skill_id, text=text) for skill_id, intent in found)

    def _key(self, alternatives: tuple[Alternative, ...], context: TurnContext) -> bytes:
        """Of words that mean the same whenever they are said; empty where the conversation decides."""
        if context.state.pending is not None or context.ringing or context.focus:
            return b""
        profile = context.profile
        owner = owner_of(profile.user_id, profile.device_id, context.session_id)
        parts = (profile.tenant, owner, profile.locale, *sorted(profile.only_skills))
        words = (alternative.text.casefold() for alternative in alternatives)
        whole = "\0".join((*parts, "", *words, str(self.registry.revision)))
        return hashlib.sha256(whole.encode(errors="surrogatepass")).digest()
