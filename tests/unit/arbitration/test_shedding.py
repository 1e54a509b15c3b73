"""What is left out under load, in which order, and when it comes back."""

from __future__ import annotations

import asyncio
import time

import pytest

from antiphon.arbitration.v1 import assistant_pb2
from services.arbitration.adapters.channels import Channels
from services.arbitration.adapters.grammar import Grammars
from services.arbitration.adapters.recognition import GrpcRecogniser
from services.arbitration.contexts import Profile, TurnContext
from services.arbitration.registry_of_skills import SkillRegistry
from services.arbitration.routing.traffic import Traffic
from services.arbitration.stages.shedding import LOOKS, Shed, Shedding, SheddingPolicy
from services.runtime.identity import Identity
from services.runtime.pools import PoolDirectory

pytestmark = pytest.mark.unit


def left_out(shedding: Shedding) -> list[str]:
    return [what.name for what in Shed if shedding.sheds(what)]


def lagging(shedding: Shedding, lag: float, now: float = 0.0) -> list[str]:
    for _ in range(LOOKS):
        shedding.observe(lag, now)
    return left_out(shedding)


def test_can_fulfill_goes_first_then_the_sequence_ranker_then_rescoring_then_the_n_best() -> None:
    shedding = Shedding()
    assert lagging(shedding, 0.01) == []
    order = ["CAN_FULFILL", "SEQUENCE_RANKER", "RESCORING", "N_BEST"]
    for number, lag in enumerate((0.05, 0.1, 0.2, 0.4), start=1):
        assert lagging(shedding, lag) == order[:number]


def test_one_long_step_is_no_load() -> None:
    shedding = Shedding()
    for lag in (0.0, 3.0, 0.0, 3.0, 3.0, 3.0, 3.0, 0.0):
        shedding.observe(lag, 0.0)
    assert left_out(shedding) == []


def test_open_turns_count_too_and_are_counted_down_whatever_happens() -> None:
    shedding = Shedding(SheddingPolicy(turns=(1, 2, 3, 4)))
    with shedding.turn(), shedding.turn():
        shedding.observe(0.0, 0.0)
        assert left_out(shedding) == ["CAN_FULFILL", "SEQUENCE_RANKER"]
    with pytest.raises(RuntimeError), shedding.turn():
        raise RuntimeError
    assert shedding.open_turns == 0


def test_it_comes_back_step_by_step_once_it_has_been_calm() -> None:
    shedding = Shedding()
    assert len(lagging(shedding, 0.2)) == 3
    seen = []
    for tick in range(1, 80):
        shedding.observe(0.0, tick * 0.1)
        seen.append(shedding.level)
    assert seen[:19] == [3] * 19
    assert [seen.count(level) for level in (2, 1)] == [20, 20]
    assert seen[-1] == 0


def test_load_that_comes_and_goes_takes_nothing_back() -> None:
    shedding = Shedding()
    lagging(shedding, 0.1)
    for tick in range(100):
        lagging(shedding, 0.1 if tick % 10 == 0 else 0.0, tick * 0.1)
    assert shedding.level == 2


def test_levels_must_rise() -> None:
    with pytest.raises(ValueError, match="rise"):
        SheddingPolicy(turns=(10, 5, 20, 30))


def _hold_up(seconds: float) -> None:
    """What must never be done on an event loop."""
    time.sleep(seconds)


def test_a_loop_that_is_held_up_is_noticed() -> None:
    shedding = Shedding(SheddingPolicy(lags=(0.02, 1.0, 2.0, 3.0)))

    async def scenario() -> None:
        following = asyncio.create_task(shedding.follow())
        for _ in range(2 * LOOKS + 2):
            await asyncio.sleep(0.05)
            _hold_up(0.15)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    asyncio.run(scenario())
    assert shedding.sheds(Shed.CAN_FULFILL)


def test_under_load_the_recogniser_is_asked_for_less() -> None:
    asked = assistant_pb2.ConverseConfig(language_codes=["en"])
    asked.recognition.rescore = True
    context = TurnContext("session", "turn", Profile("acme", "en"), now=0.0)
    seen = []
    for level in range(5):
        channels = Channels(PoolDirectory(), Identity(), Traffic())
        recogniser = GrpcRecogniser(channels, asked, Grammars(SkillRegistry()), Shedding(level=level))
        options = recogniser._first_message(context).config.config.options
        seen.append((options.rescore, options.max_alternatives))
    assert seen == [(True, 3), (True, 3), (True, 3), (False, 3), (False, 1)]
