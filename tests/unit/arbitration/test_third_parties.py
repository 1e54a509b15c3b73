"""What a third party's skill is told of people: what its manifest may, under names that no other skill shares."""

from __future__ import annotations

import pytest

from antiphon.types.v1 import context_pb2
from services.arbitration.adapters.skills import _keep_back

pytestmark = pytest.mark.unit


def told(*permissions: str, skill_id: str = "coffee", tenant: str = "acme") -> context_pb2.TurnContext:
    message = context_pb2.TurnContext(
        session=context_pb2.SessionContext(
            user_id="ann", room="bedroom", time_zone="Europe/Vienna", region="AT",
            device=context_pb2.Device(device_id="lamp"),
            consent=context_pb2.Consent(precise_location=True),
        ),
        past_turns=[
            context_pb2.PastTurn(turn_id="1", skill_id="lists", text="add a pregnancy test"),
            context_pb2.PastTurn(turn_id="2", skill_id="coffee", text="a latte"),
        ],
        speaker_profile_id="voice-7",
    )  # fmt: skip
    message.session.location.latitude = 48.2
    _keep_back(message, skill_id, frozenset(permissions), tenant)
    return message


def test_without_permissions_nobody_is_known() -> None:
    message = told()
    session = message.session
    assert (session.user_id, session.room, session.device.device_id) == ("", "", "")
    assert (session.time_zone, session.region, session.HasField("location")) == ("", "", False)
    assert [turn.turn_id for turn in message.past_turns] == ["2"]
    assert message.speaker_profile_id == ""


def test_a_user_has_another_name_for_each_skill_and_tenant() -> None:
    names = {
        told("USER_IDENTITY", skill_id=skill, tenant=tenant).session.user_id
        for skill in ("coffee", "tea")
        for tenant in ("acme", "globex")
    }
    assert len(names) == 4
    assert "ann" not in names
    assert told("USER_IDENTITY").session.user_id == told("USER_IDENTITY").session.user_id


def test_a_place_is_told_as_precisely_as_is_permitted() -> None:
    coarse, precise = told("COARSE_LOCATION").session, told("PRECISE_LOCATION").session
    assert (coarse.time_zone, coarse.HasField("location")) == ("Europe/Vienna", False)
    assert (precise.time_zone, precise.HasField("location")) == ("Europe/Vienna", True)


def test_other_skills_turns_are_told_with_permission_alone() -> None:
    assert [turn.turn_id for turn in told("CONVERSATION").past_turns] == ["1", "2"]
