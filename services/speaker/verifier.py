"""The domain of speaker recognition: utterances become a profile, and later speech is compared with profiles.

`servicer.py` calls it. Audio is analysed as it arrives (0.1 ms per 100 ms message); nothing of it is kept.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass

from services.runtime.audio import Pcm
from services.runtime.errors import FailedPrecondition, InvalidInput
from services.runtime.language import canonical
from services.speaker.features import RATE_HZ, VoiceFrames
from services.speaker.profiles import MAX_VOICEPRINTS, Profile, ProfileStore, check_model
from services.speaker.settings import SpeakerSettings
from services.speaker.voiceprints import VoiceModel

MAX_PROFILES = 20
_MIN_UTTERANCE_S = 1.0
_PROFILE_ID = re.compile(r"[\w.:-]{1,128}")
_BLOCK = RATE_HZ


@dataclass(frozen=True)
class EnrolRequest:
    """Whose voice, and how it is kept. `profile_id` empty lets the service name it; `key` makes a repeat harmless."""

    profile_id: str = ""
    display_name: str = ""
    language: str = ""
    extend: bool = False
    replace: bool = False
    key: str = ""
    consent: bool = False


@dataclass(frozen=True)
class Enrolled:
    """What became of an enrolment; `expires_at` in seconds since 1970."""

    profile_id: str
    speech_s: float
    utterances: int
    consistency: float
    expires_at: float


@dataclass(frozen=True)
class CompareRequest:
    """With which profiles, and from which probability on a voice counts as the same."""

    profile_ids: tuple[str, ...]
    threshold: float = 0.5
    consent: bool = False


@dataclass(frozen=True)
class Compared:
    """`scores` are (profile, probability), likeliest first; `profile_id` is empty if none reached the threshold."""

    scores: tuple[tuple[str, float], ...]
    profile_id: str
    threshold: float
    speech_s: float


class Verifier:
    """One per service.

    Args:
        model: what compares.
        profiles: where voices are kept.
    """

    def __init__(self, model: VoiceModel, profiles: ProfileStore, settings: SpeakerSettings) -> None:
        self.model = model
        self.settings = settings
        self._profiles = profiles

    def enrolment(self, tenant: str, request: EnrolRequest) -> Enrolment:
        """Begin to enrol. Raises FailedPrecondition without consent, InvalidInput for what is malformed."""
        check_consent(request.consent)
        if request.profile_id:
            check_profile_id(request.profile_id, "config.profile_id")
        for field, value in (("display_name", request.display_name), ("idempotency_key", request.key)):
            if len(value) > 128:
                raise InvalidInput(
                    f"{field} has at most 128 characters", reason="TEXT_TOO_LONG", field=f"config.{field}"
                )
            if not value.isprintable():
                raise InvalidInput(
                    f"{field} has no control characters", reason="TEXT_UNPRINTABLE", field=f"config.{field}"
                )
        if request.language:
            canonical(request.language, field="config.language_code")
        if request.extend and request.replace:
            raise InvalidInput(
                "a profile is extended or replaced, not both", reason="EXTEND_AND_REPLACE", field="config.extend"
            )
        return Enrolment(self, self._profiles, tenant, request)

    async def comparison(self, tenant: str, request: CompareRequest) -> Comparison:
        """Begin to compare.

        Raises:
            InvalidInput: no profile, too many, a malformed name, or a threshold out of range.
            NotFound: a profile is unknown, or of another tenant.
            FailedPrecondition: no consent, or a profile of another model.
        """
        check_consent(request.consent)
        if not 0 < len(request.profile_ids) <= MAX_PROFILES:
            raise InvalidInput(
                f"1 to {MAX_PROFILES} profiles are compared at once, not {len(request.profile_ids)}",
                reason="PROFILE_COUNT",
                field="options.profile_ids",
            )
        if not 0 <= request.threshold <= 1:
            raise InvalidInput("threshold is from 0 to 1", reason="OUT_OF_RANGE", field="options.threshold")
        profiles: dict[str, Profile] = {}
        for profile_id in request.profile_ids:
            check_profile_id(profile_id, "options.profile_ids")
            profiles[profile_id] = await self._profiles.get(tenant, profile_id)
            check_model(profiles[profile_id], self.model.name)
        return Comparison(self, profiles, request.threshold)

    async def delete(self, tenant: str, profile_id: str) -> bool:
        """True if there was such a profile. Raises InvalidInput for a malformed name."""
        check_profile_id(profile_id, "profile_id")
        return await self._profiles.delete(tenant, profile_id)


class Enrolment:
    """One enrolment: `feed` audio, `end_utterance` between utterances, then `finish`."""

    def __init__(self, verifier: Verifier, profiles: ProfileStore, tenant: str, request: EnrolRequest) -> None:
        self._verifier = verifier
        self._profiles = profiles
        self._tenant = tenant
        self._request = request
        self._frames = VoiceFrames()
        self._audio_s = 0.0
        self._speech_s = 0.0
        self._voiceprints: list[list[float]] = []

    def feed(self, pcm: Pcm) -> None:
        """Audio at 16 kHz. Raises InvalidInput beyond what one stream may hold."""
        self._audio_s = _count(self._audio_s, pcm, self._verifier.settings)
        self._frames.feed(pcm)

    def end_utterance(self) -> None:
        """The utterance is complete. One with less than a second of speech is left out."""
        speech_s = self._frames.speech_s
        if speech_s >= _MIN_UTTERANCE_S:
            self._voiceprints.append([float(x) for x in self._verifier.model.voiceprint(self._frames.cepstra())])
            self._voiceprints = self._voiceprints[-MAX_VOICEPRINTS:]
            self._speech_s += speech_s
        self._frames = VoiceFrames()

    async def finish(self) -> Enrolled:
        """Keep the profile.

        Raises:
            FailedPrecondition: too little speech; metadata `missing_seconds` says how much more is needed.
            AlreadyExists: there is such a profile and the request neither extends nor replaces.
        """
        self.end_utterance()
        missing = self._verifier.settings.min_enrol_s - self._speech_s
        if missing > 0 or not self._voiceprints:
            raise too_little_speech(max(missing, _MIN_UTTERANCE_S))
        request = self._request
        profile_id = request.profile_id or _new_id(self._tenant, request.key)
        profile = Profile(
            self._verifier.model.name, self._voiceprints, self._speech_s, request.display_name, request.language
        )
        if request.extend:
            profile, expires_at = await self._profiles.extend(self._tenant, profile_id, profile, request.key)
        elif request.replace:
            expires_at = await self._profiles.replace(self._tenant, profile_id, profile, request.key)
        else:
            expires_at = await self._profiles.create(self._tenant, profile_id, profile, request.key)
        return Enrolled(profile_id, self._speech_s, len(self._voiceprints), profile.consistency(), expires_at)


class Comparison:
    """One comparison: `feed` audio, and ask for the `result` as often as you like."""

    def __init__(self, verifier: Verifier, profiles: dict[str, Profile], threshold: float) -> None:
        self._verifier = verifier
        self._centres = {name: profile.centre() for name, profile in profiles.items()}
        self._threshold = threshold
        self._frames = VoiceFrames()
        self._audio_s = 0.0

    @property
    def speech_s(self) -> float:
        """Seconds of speech heard."""
        return self._frames.speech_s

    def feed(self, pcm: Pcm) -> None:
        """Audio at 16 kHz. Raises InvalidInput beyond what one stream may hold."""
        self._audio_s = _count(self._audio_s, pcm, self._verifier.settings)
        for start in range(0, pcm.size, _BLOCK):
            self._frames.feed(pcm[start : start + _BLOCK])

    def result(self) -> Compared:
        """How alike, with the speech so far. Raises FailedPrecondition when that is too little."""
        missing = self._verifier.settings.min_verify_s - self.speech_s
        if missing > 0:
            raise too_little_speech(missing)
        model = self._verifier.model
        voiceprint = model.voiceprint(self._frames.cepstra())
        scores = {name: model.probability(float(centre @ voiceprint)) for name, centre in self._centres.items()}
        ranked = tuple(sorted(scores.items(), key=lambda item: -item[1]))
        best = ranked[0][0] if ranked[0][1] >= self._threshold else ""
        return Compared(ranked, best, self._threshold, self.speech_s)


def check_consent(given: bool) -> None:
    """Raises FailedPrecondition unless the user agreed to be recognised."""
    if not given:
        raise FailedPrecondition(
            "the user has not agreed to speaker recognition (context.consent.speaker_recognition)",
            reason="CONSENT_MISSING",
            field="context.consent.speaker_recognition",
        )


def check_profile_id(profile_id: str, field: str) -> None:
    """Raises InvalidInput for a malformed name."""
    if not _PROFILE_ID.fullmatch(profile_id):
        raise InvalidInput(
            "a profile's name has 1 to 128 letters, digits or any of . _ : -",
            reason="PROFILE_ID_MALFORMED",
            field=field,
        )


def too_little_speech(missing_s: float) -> FailedPrecondition:
    """The error of audio with too little speech in it."""
    return FailedPrecondition(
        f"too little speech: {missing_s:.1f} s more are needed",
        reason="TOO_LITTLE_SPEECH",
        metadata={"missing_seconds": f"{missing_s:.1f}"},
    )


def _count(audio_s: float, pcm: Pcm, settings: SpeakerSettings) -> float:
    audio_s += pcm.size / RATE_HZ
    if audio_s > settings.max_audio_s:
        raise InvalidInput(
            f"more than {settings.max_audio_s:g} s of audio in one stream", reason="AUDIO_TOO_LONG", field="audio"
        )
    return audio_s


def _new_id(tenant: str, key: str) -> str:
    """A random name; with a key the same again for a repeat."""
    return hashlib.sha256(f"{tenant}\0{key}".encode()).hexdigest()[:32] if key else uuid.uuid4().hex
