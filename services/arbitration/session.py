"""What is remembered of a conversation while its stream lives, and stored after each turn.

`conversation` has one. A store that is away costs the way back after a lost replica, not the conversation.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

from services.arbitration.contexts import PastTurn, Profile
from services.arbitration.events import Outcome
from services.arbitration.memory import SessionMemory
from services.arbitration.opening import Opening, Premises
from services.arbitration.turn import TurnResult
from services.runtime.errors import AntiphonError, Conflict

log = logging.getLogger(__name__)

REMEMBERED: Final = frozenset({Outcome.ANSWERED, Outcome.ASKED, Outcome.NOT_UNDERSTOOD, Outcome.INTERRUPTED})
"""Turns that become part of the conversation; silence, other people's talk and failures do not."""


class Session:
    """The memory of one stream.

    Attributes:
        memory: as it was stored last.
        resume_token: opens the session again; known once it has begun.
        earlier_audio: seconds of audio on the streams before this one.
        safe_audio: seconds of this stream's audio that a lost replica does not lose.
    """

    def __init__(self, premises: Premises) -> None:
        self._premises = premises
        self.memory = SessionMemory("")
        self.resume_token = ""
        self.earlier_audio = 0.0
        self.safe_audio = 0.0

    async def begin(self, opening: Opening, tenant: str) -> PastTurn | None:
        """Begin, or go on where the token says. Returns the last turn if the client may have missed its answer.

        Raises:
            NotFound: the resume token opens nothing.
        """
        keeper, token = self._premises.keeper, opening.resume_token
        if not token:
            self.memory, self.resume_token = await keeper.begin(tenant)
            return None
        self.memory, self.resume_token = await keeper.resume(tenant, token)
        self.earlier_audio = self.memory.audio
        past = self.memory.state.past
        return past[0] if past and self.memory.sequence > opening.last_sequence else None

    async def take(
        self, profile: Profile, turn_id: str, result: TurnResult, *, sequence: int, received_audio: float
    ) -> None:
        """Take a turn into the memory, and store that. Raises Conflict when the session goes on in another stream."""
        delivery, state = result.delivery, self.memory.state
        if delivery.outcome in REMEMBERED:
            now = self._premises.now()
            goes_on = delivery.expects_follow_up or bool(delivery.skill_state)
            past = PastTurn(turn_id, result.text, delivery.text, delivery.served, now, delivery.focus, goes_on)
            state = state.after(past, delivery.prompt)
            if delivery.served is not None:
                book = self._premises.house.judge.feedback
                book.used(profile.tenant, profile.user_id, delivery.served.skill_id, now)
        else:
            state = replace(state, turns=state.turns + 1)
        self.memory = replace(
            self.memory,
            state=state,
            skill_state=delivery.skill_state,
            sequence=sequence,
            audio=self.earlier_audio + received_audio,
        )
        try:
            self.memory = await self._premises.keeper.save(profile.tenant, self.memory)
            self.safe_audio = received_audio
            await self._premises.keeper.prolong(profile.tenant, self.memory.session_id, self.resume_token)
        except Conflict:
            raise
        except AntiphonError as error:
            log.warning("session not saved: %s", error.reason)  # it goes on here, and cannot be resumed from this turn
