"""Two versions of a skill at two addresses, over the front door: one serves, one is tried, and is taken back."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import grpc
import pytest

from antiphon.arbitration.v1 import assistant_pb2, assistant_pb2_grpc, registry_pb2, registry_pb2_grpc
from antiphon.skills import Event, Skill, Turn, read_manifest, serve
from antiphon.types.v1 import context_pb2
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.platform import PlatformSettings
from services.runtime.server import GrpcPlatform
from services.runtime.spec import load_spec
from tests.fixtures.front_door import END, Request
from tests.fixtures.toy_client import Failure

pytestmark = pytest.mark.integration

POOLS = tuple(pool for pool in DEFAULT_POOLS if pool.name in ("arbitration", "nlu", "dialogue", "skills"))
MANIFEST = """
skill_id: toaster
version: {version}
locales: [en]
intents:
  - name: toast
    risk: low
    side_effect: none
    slots:
      - {{name: shade, value_type: text, catalogue: shades}}
    phrases: {{en: ["toast some bread", "toast {{shade|dark}} bread", "{{shade|dark}} toast please"]}}
{more}
catalogues:
  - name: shades
    entries:
      - {{entity_id: dark, names: {{en: [dark]}}}}
"""
BAGEL = """
  - name: bagel
    risk: low
    side_effect: none
    phrases: {en: ["warm up the sesame bagel"]}
"""


class Toaster(Skill):
    """Asks how dark; says its version and whether that came to it."""

    def __init__(self, version: str, more: str = "") -> None:
        self.manifest = read_manifest(MANIFEST.format(version=version, more=more))
        self.prompts: list[str] = []

    async def handle(self, turn: Turn) -> AsyncIterator[Event]:
        self.prompts.append(turn.prompt_id)
        if turn.intent == "toast" and not turn.prompt_id:
            yield turn.ask(f"How dark, asks {self.manifest.version}?", "shade", f"of {self.manifest.version}")
        else:
            yield turn.say(f"Done by {self.manifest.version}.")


@dataclass
class Kitchen:
    """A front door and two servers of one skill.

    Attributes:
        addresses: by version.
    """

    channel: grpc.aio.Channel
    target: str
    addresses: dict[str, str]
    events: list[assistant_pb2.ConverseResponse] = field(default_factory=list)

    @property
    def registry(self) -> registry_pb2_grpc.SkillRegistryServiceStub:
        return registry_pb2_grpc.SkillRegistryServiceStub(self.channel)

    async def register(self, version: str, *, enable: bool) -> None:
        await self.registry.Register(registry_pb2.RegisterRequest(address=self.addresses[version], enable=enable))

    async def pin(self, version: str, user: str = "") -> registry_pb2.RegisteredSkill:
        request = registry_pb2.EnableRequest(skill_id="toaster", enabled=True, user_id=user, version=version)
        return (await self.registry.Enable(request)).skill

    async def listed(self) -> registry_pb2.RegisteredSkill:
        found = (await self.registry.List(registry_pb2.ListRequest())).skills
        return next(skill for skill in found if skill.manifest.skill_id == "toaster")

    async def talk(self, user: str, *inputs: str, between: Callable[[], Awaitable[object]] | None = None) -> list[str]:
        """What the assistant answers to each; `between` is done after the first."""
        consent = context_pb2.Consent(third_party_skills=True, retain_text=True)
        context = context_pb2.SessionContext(consent=consent, user_id=user)
        answered = asyncio.Event()
        answers: list[str] = []

        async def requests() -> AsyncIterator[Request]:
            yield Request(config=assistant_pb2.ConverseConfig(language_codes=["en"], context=context, continuous=True))
            for number, text in enumerate(inputs):
                answered.clear()
                yield Request(text=assistant_pb2.TextInput(text=text))
                await asyncio.wait_for(answered.wait(), 20.0)
                if between is not None and number == 0:
                    await between()
            yield END

        self.events.clear()
        async for event in assistant_pb2_grpc.AssistantServiceStub(self.channel).Converse(requests(), timeout=60):
            self.events.append(event)
            if event.HasField("turn_completed"):
                answers.append(event.turn_completed.answer)
                answered.set()
        return answers

    async def until(self, user: str, text: str, answer: str) -> None:
        """Understanding learns within seconds what is new."""
        async with asyncio.timeout(30.0):
            while (await self.talk(user, text))[0] != answer:
                pass  # a conversation takes its time

    async def command(self, *words: str) -> list[str]:
        """What `antiphon skills` prints of the toaster and of what stands beside it."""
        command = (sys.executable, "-m", "antiphon", "skills", "--target", self.target, *words)
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        printed, _ = await asyncio.wait_for(process.communicate(), 60.0)
        lines = [" ".join(line.split()) for line in printed.decode().splitlines()]
        return [line for line in lines if line.startswith(("toaster", "1.0.0", "2.0.0"))]

    def deciding(self) -> list[str]:
        """Versions of the toaster among the candidates of the decisions in the last conversation."""
        decisions = [event.decision for event in self.events if event.HasField("decision")]
        return [c.skill_version for d in decisions for c in d.candidates if c.skill_id == "toaster"]


@pytest.fixture
async def kitchen() -> AsyncIterator[Kitchen]:
    """1.0.0 serves all; 2.0.0 stands beside it and knows bagels."""
    specs = {pool.capability: load_spec(CAPABILITIES[pool.capability]) for pool in POOLS}
    async with (
        GrpcPlatform(PlatformSettings(port=0, pool_port=0, pools=POOLS), specs) as platform,
        grpc.aio.insecure_channel(platform.target) as channel,
    ):
        skills = (Toaster("1.0.0"), Toaster("2.0.0", BAGEL))
        served = [await serve([skill]) for skill in skills]
        addresses = {s.manifest.version: f"127.0.0.1:{port}" for s, (_, port) in zip(skills, served, strict=True)}
        kitchen = Kitchen(channel, platform.target, addresses)
        try:
            await kitchen.register("1.0.0", enable=True)
            await kitchen.register("2.0.0", enable=False)
            await kitchen.until("ada", "toast some bread", "How dark, asks 1.0.0?")
            yield kitchen
        finally:
            await asyncio.gather(*(server.stop(None) for server, _ in served))


async def test_a_version_is_tried_by_one_user_then_by_all_and_taken_back(kitchen: Kitchen) -> None:
    tried = await kitchen.pin("2.0.0", "ann")
    assert (tried.manifest.version, tried.pinned, tried.enabled) == ("2.0.0", True, True)
    assert await kitchen.talk("ann", "toast some bread") == ["How dark, asks 2.0.0?"]
    assert set(kitchen.deciding()) == {"2.0.0"}
    await kitchen.until("ann", "warm up the sesame bagel", "Done by 2.0.0.")
    assert (await kitchen.talk("bob", "warm up the sesame bagel"))[0] != "Done by 2.0.0."
    assert await kitchen.talk("bob", "toast some bread") == ["How dark, asks 1.0.0?"]
    assert set(kitchen.deciding()) == {"1.0.0"}
    await kitchen.register("2.0.0", enable=True)
    assert await kitchen.talk("bob", "toast some bread") == ["How dark, asks 2.0.0?"]
    await kitchen.pin("1.0.0")
    assert await kitchen.talk("bob", "toast some bread") == ["How dark, asks 1.0.0?"]
    assert await kitchen.talk("ann", "toast some bread") == ["How dark, asks 2.0.0?"]


async def test_a_dialogue_ends_with_the_version_that_began_it(kitchen: Kitchen) -> None:
    async def release() -> None:
        await kitchen.register("2.0.0", enable=True)

    said = await kitchen.talk("bob", "toast some bread", "dark", "toast some bread", between=release)
    assert said == ["How dark, asks 1.0.0?", "Done by 1.0.0.", "How dark, asks 2.0.0?"]


async def test_versions_are_listed_and_removed_one_by_one(kitchen: Kitchen) -> None:
    listed = await kitchen.listed()
    assert (listed.manifest.version, listed.address, listed.pinned) == ("1.0.0", kitchen.addresses["1.0.0"], False)
    (beside,) = listed.versions
    assert (beside.manifest.version, beside.address, beside.enabled) == ("2.0.0", kitchen.addresses["2.0.0"], False)
    assert not beside.manifest.intents
    removal = registry_pb2.RemoveRequest(skill_id="toaster", version="1.0.0")
    assert (await kitchen.registry.Remove(removal)).removed
    assert not (await kitchen.registry.Remove(removal)).removed
    assert ((await kitchen.listed()).manifest.version, len((await kitchen.listed()).versions)) == ("2.0.0", 0)
    for request, status in (
        (registry_pb2.EnableRequest(skill_id="toaster", enabled=True, version="1.0.0"), grpc.StatusCode.NOT_FOUND),
        (registry_pb2.EnableRequest(skill_id="toaster", version="2.0.0"), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await kitchen.registry.Enable(request)
        assert (Failure(refused.value).code, Failure(refused.value).bad_fields) == (status, ["version"])


async def test_the_command_line_pins_and_removes_versions(kitchen: Kitchen) -> None:
    one, two = (kitchen.addresses[version] for version in ("1.0.0", "2.0.0"))
    assert await kitchen.command() == [f"toaster 1.0.0 enabled, {one}, 1 intents, en", f"2.0.0 beside, {two}"]
    pinned = await kitchen.command("--enable", "toaster", "--version", "2.0.0", "--user", "ann")
    assert pinned == [f"toaster 2.0.0 enabled, pinned, {two}, 2 intents, en", f"1.0.0 beside, {one}"]
    assert await kitchen.talk("ann", "toast some bread") == ["How dark, asks 2.0.0?"]
    assert await kitchen.command("--remove", "toaster", "--version", "2.0.0") == ["toaster 2.0.0: removed"]
    assert await kitchen.talk("ann", "toast some bread") == ["How dark, asks 1.0.0?"]
    beside = await kitchen.command("--register", two, "--beside")
    assert beside == [f"toaster 2.0.0 not enabled, {two}, 2 intents, en"]
