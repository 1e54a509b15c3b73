"""Which of several devices answers."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.arbitration.devices.claims import Claim, Claims, Policy

pytestmark = pytest.mark.unit


def claim(device: str, *, snr: float, wake_time: float = 1000.0) -> Claim:
    return Claim(
        activation_id=f"a-{device}",
        device_id=device,
        room="kitchen",
        wake_time=wake_time,
        voice_db=-20.0,
        ambient_db=-20.0 - snr,
        wake_score=0.9,
        arrived=time.monotonic(),
    )


async def test_the_device_that_hears_best_is_granted_and_no_other() -> None:
    claims = Claims(window=0.05)
    verdicts = await asyncio.gather(
        *(
            claims.claim("acme", "alexa", claim(name, snr=snr), Policy.SCORE)
            for name, snr in (("a", 3), ("b", 9), ("c", 6))
        )
    )
    assert [verdict.granted for verdict in verdicts] == [False, True, False]
    assert {verdict.winner.device_id for verdict in verdicts} == {"b"}
    assert verdicts[0].first.device_id == "a"


async def test_exactly_one_answers_in_a_thousand_trials() -> None:
    claims = Claims(window=0.02)

    async def trial(number: int) -> int:
        policy = Policy.FIRST if number % 2 else Policy.SCORE
        heard = (claim(device, snr=float(number % 5)) for device in "abc")
        verdicts = await asyncio.gather(*(claims.claim(f"t{number}", "alexa", one, policy) for one in heard))
        return sum(verdict.granted for verdict in verdicts)

    assert await asyncio.gather(*map(trial, range(1000))) == [1] * 1000


async def test_the_first_is_granted_at_once_and_later_ones_are_told() -> None:
    claims = Claims(window=5.0)
    first = await claims.claim("acme", "alexa", claim("a", snr=1), Policy.FIRST)
    late = await claims.claim("acme", "alexa", claim("b", snr=30), Policy.SCORE)
    assert (first.granted, late.granted, late.reason) == (True, False, "LATE_CLAIM")
    assert first.waited < 0.5


async def test_a_repeat_gets_the_same_answer() -> None:
    claims = Claims(window=0.01)
    once = await claims.claim("acme", "alexa", claim("a", snr=1), Policy.SCORE)
    again = await claims.claim("acme", "alexa", claim("a", snr=1), Policy.SCORE)
    assert once.granted
    assert again.granted
    assert len(again.others) == 1


async def test_accounts_and_moments_do_not_meet() -> None:
    claims = Claims(window=0.01)
    verdicts = [
        await claims.claim("acme", "alexa", claim("a", snr=1), Policy.SCORE),
        await claims.claim("globex", "alexa", claim("b", snr=9), Policy.SCORE),
        await claims.claim("acme", "alexa", claim("c", snr=9, wake_time=1010.0), Policy.SCORE),
        await claims.claim("acme", "computer", claim("d", snr=9), Policy.SCORE),
    ]
    assert all(verdict.granted for verdict in verdicts)
