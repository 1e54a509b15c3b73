"""Which of several devices answers: exactly one, whichever replica each of them has reached."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.arbitration.devices.claims import Account, Claims, Verdict
from services.arbitration.devices.fingerprints import SKETCH_BYTES, may_be_one_sound, sketch
from services.arbitration.devices.groups import (
    MAX_CLAIMS,
    MAX_GROUPS,
    MOST_SLACK_SECONDS,
    Group,
    decoded,
    encoded,
    joined,
)
from services.arbitration.devices.policies import Claim, Policy, chosen
from services.runtime.errors import AntiphonError, Internal, Overloaded, Unavailable
from services.runtime.store import MemorySessionStore, SessionStore, StoreLimits
from services.runtime.store_sqlite import SqliteSessionStore
from tests.fakes.absent_store import AbsentStore, SlowStore

pytestmark = pytest.mark.unit

HOME = Account("acme", "ann")
WINDOW = 0.05


def claim(device: str, *, snr: float, wake_time: float = 1000.0, activation: str = "", sound: bytes = b"") -> Claim:
    return Claim(
        activation_id=activation or f"a-{device}",
        device_id=device,
        room="kitchen",
        wake_time=wake_time,
        voice_db=-20.0,
        ambient_db=-20.0 - snr,
        wake_score=0.9,
        arrived=time.time(),
        sketch=sound,
    )


def replicas(store: SessionStore, count: int = 2) -> list[Claims]:
    return [Claims(store, window=WINDOW) for _ in range(count)]


@pytest.fixture
async def claims() -> AsyncIterator[Claims]:
    made = Claims(MemorySessionStore(), window=WINDOW)
    yield made
    await made.close()


def reasons(verdicts: Sequence[Verdict]) -> list[str]:
    return [verdict.reason for verdict in verdicts]


async def test_the_device_that_hears_best_is_granted_and_no_other(claims: Claims) -> None:
    heard = (("a", 3), ("b", 9), ("c", 6))
    verdicts = await asyncio.gather(
        *(claims.claim(HOME, "alexa", claim(name, snr=snr), Policy.SCORE) for name, snr in heard)
    )
    assert reasons(verdicts) == ["OTHER_DEVICE", "BEST_SCORE", "OTHER_DEVICE"]
    assert [verdict.granted for verdict in verdicts] == [False, True, False]
    assert {verdict.winner.device_id for verdict in verdicts} == {"b"}
    assert [other.device_id for other in verdicts[0].others] == ["b", "c", "a"]
    assert {one.policy: one.winner.device_id for one in verdicts[0].outcomes} == {
        Policy.FIRST: "a",
        Policy.SCORE: "b",
        Policy.LATE_REVOKE: "b",
    }


async def test_two_replicas_agree_through_a_file(tmp_path: Path) -> None:
    stores = [await SqliteSessionStore.open(tmp_path / "s.sqlite3") for _ in range(2)]
    pair = [Claims(store, window=WINDOW) for store in stores]
    for number in range(10):
        for policy in Policy:
            account = Account(f"t{number}", policy.value)
            verdicts = await asyncio.gather(
                *(
                    pair[at % 2].claim(account, "alexa", claim(str(at), snr=float((at * 7) % 5)), policy)
                    for at in range(6)
                )
            )
            standing = await asyncio.gather(
                *(
                    pair[(at + 1) % 2].claim(account, "alexa", claim(str(at), snr=0.0), policy)
                    for at, verdict in enumerate(verdicts)
                    if verdict.granted
                )
            )
            assert [verdict.granted for verdict in standing].count(True) == 1
            assert len({verdict.winner.device_id for verdict in standing}) == 1
    for one, store in zip(pair, stores, strict=True):
        await one.close()
        await store.close()


async def test_the_first_is_granted_at_once_and_later_ones_are_told() -> None:
    claims = Claims(MemorySessionStore(), window=60.0)
    first = await claims.claim(HOME, "alexa", claim("a", snr=1), Policy.FIRST)
    late = await claims.claim(HOME, "alexa", claim("b", snr=30), Policy.SCORE)
    assert reasons([first, late]) == ["FIRST", "OTHER_DEVICE"]
    assert first.waited < 30
    assert not first.provisional
    await claims.close()


async def test_after_the_window_it_is_too_late(claims: Claims) -> None:
    assert (await claims.claim(HOME, "alexa", claim("a", snr=1), Policy.SCORE)).granted
    late = await claims.claim(HOME, "alexa", claim("b", snr=30), Policy.SCORE)
    assert (late.granted, late.reason, late.winner.device_id) == (False, "TOO_LATE", "a")


async def test_a_better_device_takes_a_provisional_grant_and_the_loser_learns_of_it(claims: Claims) -> None:
    first = await claims.claim(HOME, "alexa", claim("a", snr=3), Policy.LATE_REVOKE)
    assert (first.granted, first.provisional, first.reason) == (True, True, "FIRST")
    assert first.waited < Policy.LATE_REVOKE.seconds
    asking = asyncio.create_task(claims.claim(HOME, "alexa", claim("a", snr=3), Policy.LATE_REVOKE))
    watching = asyncio.create_task(claims.lost(HOME, "alexa", "a-a", "a"))
    hardly = await claims.claim(HOME, "alexa", claim("b", snr=3.5), Policy.LATE_REVOKE)
    assert (hardly.granted, hardly.reason) == (False, "OTHER_DEVICE")
    better = await claims.claim(HOME, "alexa", claim("c", snr=9), Policy.LATE_REVOKE)
    assert (better.granted, better.reason) == (True, "BEST_SCORE")
    assert await watching
    again = await asking
    assert (again.granted, again.reason, again.winner.device_id) == (False, "REVOKED", "c")
    final = await claims.claim(HOME, "alexa", claim("c", snr=9), Policy.LATE_REVOKE)
    assert (final.granted, final.provisional) == (True, False)
    assert not await claims.lost(HOME, "alexa", "a-c", "c")
    late = await claims.claim(HOME, "alexa", claim("d", snr=40), Policy.LATE_REVOKE)
    assert (late.granted, late.reason) == (False, "TOO_LATE")


@pytest.mark.parametrize("watched", [True, False])
async def test_a_better_claim_that_is_long_on_its_way_takes_nothing_that_was_settled(watched: bool) -> None:
    store = SlowStore()
    slow, quick = replicas(store)
    first = claim("a", snr=3)
    assert (await quick.claim(HOME, "alexa", first, Policy.LATE_REVOKE)).granted
    store.held.clear()
    better = asyncio.create_task(slow.claim(HOME, "alexa", claim("b", snr=9), Policy.LATE_REVOKE))
    await store.waiting.wait()
    if watched:
        assert not await quick.lost(HOME, "alexa", "a-a", "a")
    again = await quick.claim(HOME, "alexa", first, Policy.LATE_REVOKE)
    assert (again.granted, again.provisional) == (True, False)
    store.held.set()
    late = await better
    assert (late.granted, late.winner.device_id) == (False, "a")
    assert (await quick.claim(HOME, "alexa", first, Policy.LATE_REVOKE)).granted
    for one in (slow, quick):
        await one.close()


async def test_a_grant_that_nobody_contests_stands(claims: Claims) -> None:
    await claims.claim(HOME, "alexa", claim("a", snr=3), Policy.LATE_REVOKE)
    assert not await claims.lost(HOME, "alexa", "a-a", "a")
    assert not await claims.lost(HOME, "alexa", "never", "a")


@pytest.mark.parametrize("policy", Policy)
async def test_a_repeat_gets_the_same_answer(claims: Claims, policy: Policy) -> None:
    for snr, granted in ((5.0, True), (1.0, False)):
        mine = claim(f"d{snr}", snr=snr)
        once = await claims.claim(HOME, "alexa", mine, policy)
        again = await claims.claim(HOME, "alexa", replace(mine, arrived=time.time()), policy)
        assert [once.granted, again.granted] == [granted, granted]
        assert len(once.others) == len(again.others)


async def test_a_replica_that_dies_within_the_window_leaves_one_winner() -> None:
    dying, other = replicas(MemorySessionStore())
    mine, late = claim("a", snr=9), claim("b", snr=1)
    asked = asyncio.create_task(dying.claim(HOME, "alexa", mine, Policy.SCORE))
    await asyncio.sleep(WINDOW / 5)
    asked.cancel()
    await dying.close()
    verdicts = await asyncio.gather(*(other.claim(HOME, "alexa", one, Policy.SCORE) for one in (late, mine)))
    assert [verdict.granted for verdict in verdicts] == [False, True]
    await other.close()


async def test_names_that_two_devices_share_grant_only_one(claims: Claims) -> None:
    verdicts = [
        await claims.claim(HOME, "alexa", claim(device, snr=1, activation="1"), Policy.FIRST) for device in "ab"
    ]
    assert [verdict.granted for verdict in verdicts] == [True, False]


async def test_accounts_words_moments_and_sounds_do_not_meet(claims: Claims) -> None:
    rng = np.random.default_rng(1)
    one, other = (rng.integers(0, 255, 200, dtype=np.uint8) for _ in range(2))
    noisy = np.clip(one.astype(int) + rng.integers(-30, 30, 200), 0, 255).astype(np.uint8)

    async def first(account: Account, phrase: str, mine: Claim) -> bool:
        return (await claims.claim(account, phrase, mine, Policy.FIRST)).granted

    assert await first(HOME, "alexa", claim("a", snr=1, sound=sketch(one.tobytes())))
    assert await first(Account("globex", "ann"), "alexa", claim("b", snr=9))
    assert await first(Account("acme", "bob"), "alexa", claim("b", snr=9))
    assert await first(HOME, "computer", claim("b", snr=9))
    assert await first(HOME, "alexa", claim("b", snr=9, wake_time=1003.0))
    assert await first(HOME, "alexa", claim("c", snr=9, sound=sketch(other.tobytes())))
    assert not await first(HOME, "Alexa", claim("d", snr=9, wake_time=1001.5, sound=sketch(noisy.tobytes())))
    # The same device for the same word, under another name: told what it was told.
    assert await first(HOME, "alexa", claim("a", snr=1, wake_time=1000.2, activation="again"))
    # And for the next word.
    assert await first(HOME, "alexa", claim("a", snr=1, wake_time=1010.0, activation="next"))


@pytest.mark.parametrize("policy", Policy)
async def test_a_store_that_is_away_grants_nobody(policy: Policy) -> None:
    store = AbsentStore()
    pair = replicas(store)
    store.away = "before"
    for at, device in enumerate("ab"):
        with pytest.raises(Unavailable):
            await pair[at].claim(HOME, "alexa", claim(device, snr=1), policy)
    store.away = ""
    verdicts = [await pair[at].claim(HOME, "alexa", claim(device, snr=1), policy) for at, device in enumerate("ab")]
    assert [verdict.granted for verdict in verdicts] == [True, False]
    for one in pair:
        await one.close()


@pytest.mark.parametrize("policy", Policy)
async def test_a_write_whose_answer_is_lost_grants_one(policy: Policy) -> None:
    store = AbsentStore()
    pair = replicas(store)
    store.away = "after"
    with pytest.raises(Unavailable):
        await pair[0].claim(HOME, "alexa", claim("a", snr=5), policy)
    store.away = ""
    other = await pair[1].claim(HOME, "alexa", claim("b", snr=1), policy)
    again = await pair[0].claim(HOME, "alexa", claim("a", snr=5), policy)
    assert [other.granted, again.granted] == [False, True]
    for one in pair:
        await one.close()


async def test_crowds_and_floods_are_bounded(claims: Claims) -> None:
    for device in range(MAX_CLAIMS):
        await claims.claim(HOME, "alexa", claim(str(device), snr=1), Policy.FIRST)
    with pytest.raises(Overloaded):
        await claims.claim(HOME, "alexa", claim("one more", snr=1), Policy.FIRST)

    def word(number: int) -> Claim:
        return claim("x", snr=1, wake_time=2000.0 + 10 * number, activation=str(number))

    groups = joined((), word(0), Policy.SCORE, WINDOW)
    for number in range(1, MAX_GROUPS):
        groups = joined(groups, word(number), Policy.SCORE, WINDOW)
    with pytest.raises(Overloaded):
        joined(groups, word(MAX_GROUPS), Policy.SCORE, WINDOW)
    settled = tuple(group.decided() for group in groups)
    later = replace(word(MAX_GROUPS), arrived=time.time() + 1)
    assert len(joined(settled, later, Policy.SCORE, WINDOW)) == MAX_GROUPS
    over = replace(later, arrived=time.time() + 60)
    assert len(joined(groups, over, Policy.SCORE, WINDOW)) == 1


def test_names_of_any_length_fit_into_one_value_of_a_store() -> None:
    groups: tuple[Group, ...] = ()
    for number in range(MAX_GROUPS * MAX_CLAIMS):
        utterance = number // MAX_CLAIMS
        name, activation = (f"{number:03}" + "🎙" * length for length in (125, 61))
        mine = claim(name, snr=1, wake_time=10.0 * utterance, activation=activation, sound=bytes(range(SKETCH_BYTES)))
        groups = joined(groups, replace(mine, room="🎙" * 128, arrived=number / 1000), Policy.FIRST, 0.0)
        assert groups[-1].heard_by(mine)
    StoreLimits().check("t", "k", encoded(groups), 1.0)
    assert len(groups) > 1


async def test_names_that_could_be_parted_in_two_ways_are_two(claims: Claims) -> None:
    first = await claims.claim(HOME, "alexa", claim("a\nb", snr=1, activation="c"), Policy.FIRST)
    other = await claims.claim(HOME, "alexa", claim("a", snr=1, activation="b\nc"), Policy.FIRST)
    assert (first.granted, other.granted) == (True, False)


@pytest.mark.parametrize("policy", Policy)
async def test_a_device_that_comes_seconds_late_finds_who_answers(claims: Claims, policy: Policy) -> None:
    assert (await claims.claim(HOME, "alexa", claim("a", snr=1), policy)).granted
    late = replace(claim("b", snr=30), arrived=time.time() + 8)
    assert not (await claims.claim(HOME, "alexa", late, policy)).granted


async def test_homes_that_share_credentials_do_not_meet(claims: Claims) -> None:
    mine, theirs = (Account("acme", "ann", home) for home in ("mine", "theirs"))
    near = await claims.claim(mine, "alexa", claim("a", snr=1), Policy.FIRST)
    far = await claims.claim(theirs, "alexa", claim("a", snr=9, activation="other"), Policy.FIRST)
    assert [near.granted, far.granted] == [True, True]
    assert [one.activation_id for one in far.others] == ["other"]
    assert not (await claims.claim(mine, "alexa", claim("b", snr=9), Policy.FIRST)).granted
    assert not await claims.lost(mine, "alexa", "a-a", "a")
    assert await claims.lost(mine, "alexa", "a-b", "b")
    assert not await claims.lost(theirs, "alexa", "a-b", "b")


async def test_a_claim_in_time_that_a_slow_store_delays_can_still_win() -> None:
    """Both arrive within the window; the better one is written when it is over."""
    store = SlowStore()
    slow, quick = replicas(store)
    opener = replace(claim("a", snr=1), arrived=time.time() - WINDOW)  # its own way through the store took as long
    waiting = asyncio.create_task(quick.claim(HOME, "alexa", opener, Policy.SCORE))
    await asyncio.sleep(0)
    store.held.clear()
    better = replace(claim("b", snr=9), arrived=opener.arrived + WINDOW / 2)
    asked = asyncio.create_task(slow.claim(HOME, "alexa", better, Policy.SCORE))
    await store.waiting.wait()
    store.held.set()
    assert [one.granted for one in await asyncio.gather(waiting, asked)] == [False, True]
    for one in (slow, quick):
        await one.close()


def test_a_group_waits_no_longer_than_its_slowest_claim_took_and_never_long() -> None:
    opener = claim("a", snr=1)
    (group,) = joined((), opener, Policy.SCORE, WINDOW, taken=0.004)
    assert group.due == pytest.approx(opener.arrived + WINDOW + 0.004)
    (group,) = joined((group,), replace(claim("b", snr=1), arrived=opener.arrived), Policy.SCORE, WINDOW, taken=9.0)
    assert group.due == group.closes + MOST_SLACK_SECONDS
    (fresh,) = joined((), opener, Policy.SCORE, WINDOW, taken=0.0)
    late = replace(claim("b", snr=1), arrived=fresh.closes + 0.001)
    (unmoved,) = joined((fresh,), late, Policy.SCORE, WINDOW, taken=9.0)
    assert unmoved.due == fresh.due


def test_groups_come_back_from_the_store() -> None:
    groups = joined((), claim("a", snr=1, sound=b"\x00\xff" * 10), Policy.LATE_REVOKE, 0.5)
    groups = joined(
        groups, replace(claim("b", snr=9, sound=b"\x00\xff" * 10), arrived=groups[0].closes), Policy.FIRST, 0
    )
    assert groups[0].revoked
    assert decoded(encoded(groups)) == groups
    for broken in (b"", b"{", b"[1]", b'[{"group_id":1}]'):
        with pytest.raises(Internal):
            decoded(broken)


def test_policies_choose_by_arrival_score_and_both() -> None:
    heard = [
        replace(claim(name, snr=snr), arrived=at) for name, snr, at in (("a", 3, 0.0), ("b", 3.5, 0.1), ("c", 9, 0.3))
    ]
    assert [chosen(policy, heard).device_id for policy in (Policy.FIRST, Policy.SCORE, Policy.LATE_REVOKE)] == list(
        "abc"
    )


def test_sketches_are_small_and_tell_sounds_apart() -> None:
    rng = np.random.default_rng(2)
    one, other = (rng.integers(0, 255, 4096, dtype=np.uint8).tobytes() for _ in range(2))
    assert len(sketch(one)) == SKETCH_BYTES
    assert may_be_one_sound(sketch(one), sketch(one))
    assert not may_be_one_sound(sketch(one), sketch(other))
    for nothing in (b"", b"\x01", bytes(SKETCH_BYTES)):
        assert may_be_one_sound(sketch(one), nothing)


async def test_what_other_policies_would_have_done_is_logged_without_names(
    claims: Claims, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="services.arbitration.devices.claims"):
        await asyncio.gather(
            *(
                claims.claim(HOME, "alexa", claim(name, snr=snr), Policy.SCORE)
                for name, snr in (("secret-a", 1), ("b", 9))
            )
        )
        for _ in range(200):
            await asyncio.sleep(0.05)
            if caplog.records:
                break
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == "activation: score chose claim 2 of 2, revoked 0; the same by score, late_revoke"


async def test_errors_say_when_to_try_again() -> None:
    store = AbsentStore()
    store.away = "before"
    with pytest.raises(AntiphonError) as caught:
        await Claims(store).lost(HOME, "alexa", "x", "y")
    assert caught.value.retryable
