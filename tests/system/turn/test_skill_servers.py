"""Skills of third parties on the real platform: added, changed under traffic, and misbehaving. The user hears sense."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import grpc
import pytest

from antiphon.arbitration.v1 import assistant_pb2
from antiphon.client import SkillsClient
from antiphon.errors import AntiphonApiError
from antiphon.skill.v1 import manifest_pb2
from antiphon.skills import Event, Skill, Turn, read_manifest, serve
from antiphon.types.v1 import context_pb2
from services.runtime.deployment import RayPlatform
from tests.fixtures.front_door import END, Outcome, Request, config, converse
from tests.fixtures.toy_pools import ACME, GLOBEX

pytestmark = pytest.mark.system

MANIFEST = """
skill_id: fortune
version: {version}
publisher: teahouse
locales: [en]
intents:
  - name: tell
    risk: low
    side_effect: {effect}
    timeout: 2
    phrases:
      en: ["{phrase}", "please {phrase}", "could you {phrase}"]
"""
PHRASE = "read the tea leaves"


class Fortune(Skill):
    """Says what it is told to say; notes how often it was executed."""

    def __init__(self, answer: str = "You will travel.", *, version: str = "1.0.0", phrase: str = PHRASE) -> None:
        self.manifest = read_manifest(MANIFEST.format(version=version, phrase=phrase, effect="none"))
        self.answer = answer
        self.turns: list[Turn] = []

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        self.turns.append(turn)
        async for event in self.say(turn):
            yield event

    async def say(self, turn: Turn) -> AsyncIterator[Event]:
        yield turn.say(self.answer)


class Late(Fortune):
    """Answers long after its time."""

    async def say(self, turn: Turn) -> AsyncIterator[Event]:
        await asyncio.sleep(20.0)
        yield turn.say(self.answer)


class Huge(Fortune):
    """Answers with a hundred megabytes."""

    async def say(self, turn: Turn) -> AsyncIterator[Event]:
        yield turn.say("x" * 100_000_000)


@dataclass
class Shop:
    """A third party's server, registered with the platform while it lasts."""

    client: SkillsClient
    servers: list[grpc.aio.Server] = field(default_factory=list)

    async def open(self, skill: Skill) -> str:
        server, port = await serve([skill])
        self.servers.append(server)
        address = f"127.0.0.1:{port}"
        await self.client.register(address)
        return address


@pytest.fixture
async def shop(platform: RayPlatform) -> AsyncIterator[Shop]:
    async with SkillsClient(platform.target, api_key=ACME) as client:
        opened = Shop(client)
        yield opened
        with contextlib.suppress(AntiphonApiError):
            await client.remove("fortune")
        for server in opened.servers:
            await server.stop(0)


async def asked(platform: RayPlatform, text: str, *, language: str = "en", key: str = ACME) -> Outcome:
    """One typed turn of a user who lets third parties have their words."""
    context = context_pb2.SessionContext(consent=context_pb2.Consent(third_party_skills=True))
    first = config(context=context, language_codes=[language])
    return await converse(
        platform.target, [first, Request(text=assistant_pb2.TextInput(text=text)), END], key=key, timeout=40
    )


async def understood(platform: RayPlatform, text: str, answer: str) -> Outcome:
    """The turn once the platform knows the skill: a newly registered one is understood about a second later."""
    said = ""
    for _ in range(20):
        outcome = await asked(platform, text)
        said = outcome.one("turn_completed").answer
        if answer in said:
            return outcome
        await asyncio.sleep(0.5)
    raise AssertionError(said)


async def test_a_new_skill_is_understood_by_its_phrases_and_only_where_it_is_enabled(
    platform: RayPlatform, shop: Shop
) -> None:
    await shop.open(Fortune())
    outcome = await understood(platform, PHRASE, "You will travel.")
    assert outcome.one("turn_completed").skill_id == "fortune"
    elsewhere = await asked(platform, PHRASE, key=GLOBEX)
    assert "travel" not in elsewhere.one("turn_completed").answer


async def test_a_manifest_that_changes_under_traffic_loses_no_turn(platform: RayPlatform, shop: Shop) -> None:
    await shop.open(Fortune())
    await understood(platform, PHRASE, "You will travel.")
    outcomes: list[Outcome] = []
    stop = asyncio.Event()

    async def traffic() -> None:
        while not stop.is_set():
            outcomes.append(await asked(platform, PHRASE))

    running = [asyncio.create_task(traffic()) for _ in range(2)]
    for version in range(1, 4):
        await shop.open(Fortune(f"Answer {version}.", version=f"1.{version}.0"))
        await asyncio.sleep(0.5)
    await understood(platform, PHRASE, "Answer 3.")
    stop.set()
    await asyncio.gather(*running)
    answers = {outcome.one("turn_completed").answer for outcome in outcomes}
    assert all(outcome.failure is None for outcome in outcomes)
    assert answers <= {"You will travel.", "Answer 1.", "Answer 2.", "Answer 3."}, answers


async def test_another_publisher_cannot_take_a_skill_over(platform: RayPlatform, shop: Shop) -> None:
    await shop.open(Fortune())
    thief = Fortune("Stolen.")
    thief.manifest.publisher = "thief"
    with pytest.raises(AntiphonApiError) as refused:
        await shop.open(thief)
    assert refused.value.reason == "SKILL_TAKEN"


@pytest.mark.parametrize("lie", ["intents", "publisher", "risk"])
async def test_a_manifest_that_lies_is_refused_with_what_is_wrong(platform: RayPlatform, shop: Shop, lie: str) -> None:
    skill = Fortune()
    if lie == "intents":
        skill.manifest.intents.add().CopyFrom(skill.manifest.intents[0])
    elif lie == "publisher":
        skill.manifest.skill_id = "clock"
    else:
        skill.manifest.intents[0].risk = manifest_pb2.RISK_HIGH
    with pytest.raises(AntiphonApiError) as refused:
        await shop.open(skill)
    assert refused.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.reason in {"MANIFEST_INVALID", "SKILL_BUILT_IN"}


async def test_a_server_that_dies_leaves_an_apology_and_comes_back(platform: RayPlatform, shop: Shop) -> None:
    address = await shop.open(Fortune())
    await understood(platform, PHRASE, "You will travel.")
    await shop.servers[0].stop(0)
    gone = (await asked(platform, PHRASE)).one("turn_completed")
    assert gone.answer
    assert "travel" not in gone.answer
    again, _ = await serve([Fortune("I am back.")], address)
    shop.servers.append(again)
    await understood(platform, PHRASE, "I am back.")


async def test_one_that_answers_late_is_not_waited_for(platform: RayPlatform, shop: Shop) -> None:
    await shop.open(Late("Too late."))
    started = asyncio.get_running_loop().time()
    outcome = await _told(platform, "Late")
    assert asyncio.get_running_loop().time() - started < 15.0
    assert "Too late" not in outcome.one("turn_completed").answer


async def test_one_that_answers_with_100_mb_harms_nobody(platform: RayPlatform, shop: Shop) -> None:
    await shop.open(Huge())
    outcome = await _told(platform, "Huge")
    assert len(outcome.one("turn_completed").answer) < 1_000
    well = await asked(platform, "what is eight plus nine")
    assert "17" in well.one("turn_completed").answer


async def _told(platform: RayPlatform, what: str) -> Outcome:
    """A turn in which the skill was chosen, and failed."""
    said = ""
    for _ in range(20):
        outcome = await asked(platform, PHRASE)
        said = outcome.one("turn_completed").answer
        if outcome.all("error"):
            assert said, f"{what}: nothing was said"
            return outcome
        await asyncio.sleep(0.5)
    raise AssertionError(said)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("wie spät ist es in tokio", "en"),
        ("what time is it in tokyo", "de"),
        ("qué\u202e hora es", "fr"),
        ("\x00\x07set a timer\x1b[31m for ten minutes\u200b", "en"),
        ("🙂🙃" * 50, "it"),
        ("time " * 700, "es"),
    ],
)
async def test_words_of_another_language_or_of_none_get_a_sensible_answer(
    platform: RayPlatform, text: str, language: str
) -> None:
    outcome = await asked(platform, text, language=language)
    assert outcome.failure is None
    assert outcome.one("turn_completed").answer.strip()
