"""Claims of devices: from messages and back. `servicers/arbitration.py` calls it."""

from __future__ import annotations

import math
import time

from google.protobuf.timestamp_pb2 import Timestamp

from antiphon.arbitration.v1 import arbitration_pb2 as pb
from services.arbitration.adapters.values import set_seconds
from services.arbitration.devices.claims import Verdict
from services.arbitration.devices.fingerprints import MAX_BYTES, sketch
from services.arbitration.devices.policies import Claim, Policy
from services.runtime.errors import InvalidInput

_POLICIES = {
    pb.CLAIM_POLICY_UNSPECIFIED: None,
    pb.CLAIM_POLICY_FIRST: Policy.FIRST,
    pb.CLAIM_POLICY_SCORE: Policy.SCORE,
    pb.CLAIM_POLICY_LATE_REVOKE: Policy.LATE_REVOKE,
}
_NAMES = {policy: name for name, policy in _POLICIES.items() if policy is not None}
_MOST_CHARACTERS = 128
_LONGEST_ID = 64
_QUIETEST_DB = -100.0


def policy_of(request: pb.ClaimActivationRequest) -> Policy | None:
    """None leaves it to the server. Raises InvalidInput."""
    if request.policy not in _POLICIES:
        raise InvalidInput("policy must be one of ClaimPolicy", field="policy")
    return _POLICIES[request.policy]


def claim_of(request: pb.ClaimActivationRequest) -> Claim:
    """A claim that arrives now. Raises InvalidInput naming the field."""
    device = request.context.device.device_id
    _text(request.activation_id, _LONGEST_ID, "activation_id", needed=True)
    _text(device, _MOST_CHARACTERS, "context.device.device_id", needed=True)
    _text(request.context.room, _MOST_CHARACTERS, "context.room")
    _text(request.context.home, _MOST_CHARACTERS, "context.home")
    _text(request.phrase, _MOST_CHARACTERS, "phrase")
    if not request.HasField("wake_time"):
        raise InvalidInput("wake_time is required", field="wake_time")
    if len(request.audio_fingerprint) > MAX_BYTES:
        raise InvalidInput(f"audio_fingerprint has at most {MAX_BYTES} bytes", field="audio_fingerprint")
    return Claim(
        activation_id=request.activation_id,
        device_id=device,
        room=request.context.room,
        wake_time=_seconds(request.wake_time),
        voice_db=_between(request.voice_level_dbfs, _QUIETEST_DB, 0.0, "voice_level_dbfs"),
        ambient_db=_between(request.ambient_level_dbfs, _QUIETEST_DB, 0.0, "ambient_level_dbfs"),
        wake_score=_between(request.wake_score, 0.0, 1.0, "wake_score"),
        arrived=time.time(),
        sketch=sketch(request.audio_fingerprint),
    )


def response_of(verdict: Verdict) -> pb.ClaimActivationResponse:
    """What the device is told."""
    response = pb.ClaimActivationResponse(
        granted=verdict.granted,
        winner_device_id=verdict.winner.device_id,
        reason=verdict.reason,
        provisional=verdict.provisional,
    )
    set_seconds(response.waited, verdict.waited)
    for other in verdict.others:
        told = response.claims.add(device_id=other.device_id, room=other.room, score=other.score)
        set_seconds(told.delay, max(0.0, other.arrived - verdict.first.arrived))
    for outcome in verdict.outcomes:
        known = response.counterfactuals.add(policy=_NAMES[outcome.policy], winner_device_id=outcome.winner.device_id)
        set_seconds(known.waited, outcome.waited)
    return response


def _seconds(time_: Timestamp) -> float:
    try:
        return time_.ToNanoseconds() / 1e9
    except ValueError:
        raise InvalidInput("wake_time is no time of the years 1 to 9999", field="wake_time") from None


def _text(value: str, longest: int, field: str, *, needed: bool = False) -> None:
    if needed and not value:
        raise InvalidInput(f"{field} is required", field=field)
    if len(value) > longest:
        raise InvalidInput(f"{field} has at most {longest} characters", field=field)


def _between(value: float, least: float, most: float, field: str) -> float:
    if not (math.isfinite(value) and least <= value <= most):
        raise InvalidInput(f"{field} must be from {least:g} to {most:g}", field=field)
    return value
