"""Enrolled voices, kept in the runtime's session store, apart by tenant.

Called by `verifier.py`. What is kept are voiceprints, never audio. A profile that is not used expires.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass

import numpy as np

from services.runtime.errors import AlreadyExists, Conflict, FailedPrecondition, NotFound
from services.runtime.store import ABSENT, SessionStore
from services.speaker.features import Floats
from services.speaker.voiceprints import unit

_PREFIX = "voice/"
MAX_VOICEPRINTS = 20
"""Utterances kept per profile; the oldest go first."""


@dataclass(frozen=True)
class Profile:
    """One enrolled voice.

    Attributes:
        model: publisher/name@version that made the voiceprints: only it can compare them.
        voiceprints: one unit vector per utterance.
        speech_s: seconds of speech that they were made from.
        display_name: what the user calls it; may be empty.
        language: BCP-47 tag; may be empty.
    """

    model: str
    voiceprints: list[list[float]]
    speech_s: float
    display_name: str = ""
    language: str = ""

    def centre(self) -> Floats:
        """Unit vector amid the voiceprints."""
        return unit(np.mean(np.array(self.voiceprints, np.float32), axis=0))

    def consistency(self) -> float:
        """Mean cosine of each two utterances, -1 to 1; 0 with one."""
        prints = np.array(self.voiceprints, np.float32)
        if len(prints) < 2:
            return 0.0
        return float((prints @ prints.T)[np.triu_indices(len(prints), 1)].mean())

    def extended(self, newer: Profile) -> Profile:
        """Both together. Raises FailedPrecondition when another model made the older one."""
        check_model(self, newer.model)
        return Profile(
            self.model,
            [*self.voiceprints, *newer.voiceprints][-MAX_VOICEPRINTS:],
            self.speech_s + newer.speech_s,
            newer.display_name or self.display_name,
            newer.language or self.language,
        )


def check_model(profile: Profile, model: str) -> None:
    """Raises FailedPrecondition when `profile` was made by another model than `model`."""
    if profile.model != model:
        raise FailedPrecondition(
            f"the profile was made by {profile.model} and {model} runs here; enrol again",
            reason="PROFILE_MODEL_GONE",
            metadata={"profile_model": profile.model},
        )


class ProfileStore:
    """Profiles of all tenants.

    Args:
        store: where they live.
        ttl_s: seconds after which an unused profile goes.
    """

    def __init__(self, store: SessionStore, ttl_s: float) -> None:
        self._store = store
        self._ttl_s = ttl_s

    async def create(self, tenant: str, profile_id: str, profile: Profile, turn: str) -> float:
        """Keep a new profile and return when it expires, seconds since 1970. A repeat of `turn` changes nothing.

        Raises AlreadyExists when there is one.
        """
        try:
            return await self._put(tenant, profile_id, profile, expected=ABSENT, turn=turn)
        except Conflict:
            raise AlreadyExists(
                "there is such a profile; set extend or replace", reason="PROFILE_EXISTS", field="config.profile_id"
            ) from None

    async def replace(self, tenant: str, profile_id: str, profile: Profile, turn: str) -> float:
        """Keep a profile in place of what there is; returns when it expires."""
        return await self._put(tenant, profile_id, profile, expected=None, turn=turn)

    async def extend(self, tenant: str, profile_id: str, newer: Profile, turn: str) -> tuple[Profile, float]:
        """Add to a profile, or create it; returns it and when it expires. Raises Conflict when two extend at once."""
        stored = await self._store.get(tenant, _PREFIX + profile_id)
        if stored is None:
            return newer, await self._put(tenant, profile_id, newer, expected=ABSENT, turn=turn)
        both = _read(stored.value).extended(newer)
        return both, await self._put(tenant, profile_id, both, expected=stored.version, turn=turn)

    async def get(self, tenant: str, profile_id: str) -> Profile:
        """The profile, which thereby lives on. Raises NotFound; another tenant's is not found either."""
        stored = await self._store.get(tenant, _PREFIX + profile_id)
        if stored is None:
            raise NotFound("there is no such profile", reason="PROFILE_NOT_FOUND", field="profile_ids")
        profile = _read(stored.value)
        with suppress(Conflict):  # then another call wrote it in this moment, and so it lives on
            await self._put(tenant, profile_id, profile, expected=stored.version, turn="")
        return profile

    async def delete(self, tenant: str, profile_id: str) -> bool:
        """True if there was one."""
        return await self._store.delete(tenant, _PREFIX + profile_id)

    async def _put(self, tenant: str, profile_id: str, profile: Profile, *, expected: int | None, turn: str) -> float:
        value = json.dumps(asdict(profile)).encode()
        key = _PREFIX + profile_id
        return (await self._store.put(tenant, key, value, ttl=self._ttl_s, expected=expected, turn=turn)).expires_at


def _read(value: bytes) -> Profile:
    return Profile(**json.loads(value))
