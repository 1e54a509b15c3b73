"""Versions of a skill side by side: which one serves whom, and who stays with the one they have begun with."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from antiphon.skill.v1 import manifest_pb2
from services.arbitration.adapters.decisions import merged, to_decision
from services.arbitration.contexts import ConversationState, PastTurn, PendingPrompt, PromptKind, TurnContext
from services.arbitration.delivery import Delivery
from services.arbitration.events import Outcome
from services.arbitration.feedback import FeedbackBook
from services.arbitration.hypotheses import (
    Action,
    Candidate,
    Decision,
    Hypothesis,
    Interpretation,
    Reason,
    Understanding,
)
from services.arbitration.ledger import LatencyLedger
from services.arbitration.manifests import MAX_INTENTS, IntentSpec, Manifest, problems
from services.arbitration.memory import SessionKeeper, SessionMemory
from services.arbitration.ports import Order, Receipt, SkillAnswer, SkillDone, SkillEvent
from services.arbitration.records import TurnClaim
from services.arbitration.registrations import MAX_VERSIONS, Registrations
from services.arbitration.registry_of_skills import SkillRegistry, newness
from services.arbitration.stages.execute import Execution
from services.arbitration.stages.shortlist import shortlist
from services.arbitration.teaching import Teaching
from services.runtime.errors import FailedPrecondition, NotFound, QuotaExceeded
from services.runtime.store import MemorySessionStore
from tests.fakes.arbitration_house import SmallHouse
from tests.fakes.arbitration_ports import NotedJournal, ScriptedSkill

pytestmark = pytest.mark.unit

ORDER = Interpretation("coffee.order", 0.95, skill_id="coffee", text="a coffee")


def manifest(version: str, *intents: str) -> Manifest:
    names = ("order", *intents)
    made = tuple(IntentSpec(f"coffee.{name}", phrases={"en": (f"a {name}",)}) for name in names)
    return Manifest("coffee", version, ("en",), made, "beans", wire=json.dumps([version, *intents]).encode())


def read(wire: bytes) -> Manifest:
    return manifest(*json.loads(wire))


def replica(store: MemorySessionStore) -> Registrations:
    return Registrations(SkillRegistry(), store, read)


def two_versions() -> SkillRegistry:
    """1.0.0 for all, 2.0.0 for who pins it; enabled for acme."""
    skills = SkillRegistry()
    skills.register(manifest("1.0.0"), endpoint="host:1")
    skills.register(manifest("2.0.0", "refill"), endpoint="host:2", trial=True)
    skills.enable("acme", "coffee")
    return skills


def serving(skills: SkillRegistry, tenant: str = "acme", user: str = "") -> str:
    found = skills.find_for(tenant, "coffee", user)
    return found.manifest.version if found else ""


# --- the registry --------------------------------------------------------------------------------------------------
def test_versions_are_ordered_as_semantic_versions() -> None:
    rising = ("0.9.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0",
              "1.2.0", "1.10.0", "9" * 60 + ".0.0")  # fmt: skip
    assert all(newness(older) < newness(newer) for older, newer in pairwise(rising))
    assert newness("1.0.0+a") == newness("1.0.0+b")
    assert [p.field for p in problems(manifest("1" * 63 + ".0.0"))] == ["version"]


def test_the_newest_that_is_for_all_serves_and_others_serve_who_pins_them() -> None:
    skills = two_versions()
    assert serving(skills) == "1.0.0"
    skills.enable("acme", "coffee", user="ann", version="2.0.0")
    assert [serving(skills), serving(skills, user="ann"), serving(skills, "globex")] == ["1.0.0", "2.0.0", "1.0.0"]
    assert [skill.endpoint for skill in skills.enabled("acme", "ann")] == ["host:2"]
    assert skills.pins("acme", "coffee", "2.0.0", "ann")
    skills.register(manifest("2.0.0", "refill"), endpoint="host:2")
    assert serving(skills) == "2.0.0"
    skills.enable("acme", "coffee", version="1.0.0")
    assert [serving(skills), serving(skills, user="ann"), serving(skills, "globex")] == ["1.0.0", "2.0.0", "2.0.0"]
    skills.enable("acme", "coffee", user="ann")
    assert serving(skills, user="ann") == "1.0.0"  # the account's, now that she has none of her own
    skills.remove("coffee", "1.0.0")
    assert serving(skills) == "2.0.0"
    with pytest.raises(NotFound):
        skills.remove("coffee", "1.0.0")
    with pytest.raises(NotFound):
        skills.enable("acme", "coffee", version="3.0.0")


def test_what_any_version_understands_is_found_once() -> None:
    skills = two_versions()
    assert skills.serving("coffee.order") == skills.serving("coffee.refill") == ("coffee",)
    assert skills.phrased("en", "a order") == (("coffee", "coffee.order"),)
    skills.remove("coffee", "2.0.0")
    assert skills.serving("coffee.refill") == ()
    assert skills.serving("coffee.order") == ("coffee",)


def wire(version: str, *intents: str) -> bytes:
    message = manifest_pb2.SkillManifest(skill_id="coffee", version=version, locales=["en"])
    for name in intents:
        message.intents.add(name=name).phrases.add(language_code="en", phrases=[f"{name} {version}"])
    return message.SerializeToString()


def test_one_manifest_of_all_versions_teaches_understanding() -> None:
    both = merged([wire("1.0.0", "order", "tip"), wire("2.0.0", "order", "refill")])
    made = manifest_pb2.SkillManifest.FromString(both)
    assert made.version == "1.0.0"
    told = {intent.name: list(intent.phrases[0].phrases) for intent in made.intents}
    assert told == {"order": ["order 1.0.0", "order 2.0.0"], "tip": ["tip 1.0.0"], "refill": ["refill 2.0.0"]}


def test_a_version_that_makes_no_sound_whole_is_not_taught() -> None:
    intents = [f"i{number}" for number in range(MAX_INTENTS)]
    assert merged([wire("1.0.0", *intents), wire("2.0.0", "one_more")]) == wire("1.0.0", *intents)


async def test_understanding_is_taught_what_serves_all_first() -> None:
    told = []

    async def teach(pool: str, taught: bytes, key: str) -> None:
        told.append(taught)

    await Teaching(two_versions(), ("nlu",), teach, b" ".join).tell()
    assert told == [manifest("1.0.0").wire + b" " + manifest("2.0.0", "refill").wire]


# --- kept for all replicas -----------------------------------------------------------------------------------------
async def test_all_replicas_know_all_versions_and_pins() -> None:
    store = MemorySessionStore()
    here, there = replica(store), replica(store)
    await here.register(manifest("1.0.0"), "host:1")
    await here.register(manifest("2.0.0"), "host:2", trial=True)
    await here.enable("acme", "coffee", user="ann", version="2.0.0")
    await there.catch_up()
    for registry in (here.registry, there.registry, (await restarted(store)).registry):
        assert [skill.manifest.version for skill in registry.versions("coffee")] == ["2.0.0", "1.0.0"]
        assert [serving(registry), serving(registry, user="ann")] == ["1.0.0", "2.0.0"]
    await there.register(manifest("2.0.0"), "host:2")
    await here.catch_up()
    assert serving(here.registry) == "2.0.0"
    await there.remove("coffee", "2.0.0")
    await here.catch_up()
    assert [skill.endpoint for skill in here.registry.versions("coffee")] == ["host:1"]
    assert serving(here.registry, user="ann") == "1.0.0"


async def restarted(store: MemorySessionStore) -> Registrations:
    again = replica(store)
    await again.catch_up()
    return again


async def test_a_version_at_the_address_of_another_takes_its_place_and_its_pins() -> None:
    store = MemorySessionStore()
    here, there = replica(store), replica(store)
    await here.register(manifest("1.0.0"), "host:1")
    await here.register(manifest("2.0.0"), "host:2")
    await here.enable("acme", "coffee", version="1.0.0")
    await there.catch_up()
    await here.register(manifest("1.0.1"), "host:1", trial=True)
    await there.catch_up()
    for registry in (here.registry, there.registry):
        assert [(s.manifest.version, s.trial) for s in registry.versions("coffee")] == [
            ("2.0.0", False),
            ("1.0.1", False),
        ]
        assert serving(registry) == "1.0.1"
    assert await store.get("@platform", "skill/coffee/1.0.0") is None


async def test_versions_are_bounded_and_the_oldest_that_nobody_uses_goes() -> None:
    here = replica(MemorySessionStore())
    for number in range(MAX_VERSIONS):
        await here.register(manifest(f"1.{number}.0"), f"host:{number}")
    await here.enable("globex", "coffee", user="bob", version="1.0.0")
    await here.register(manifest("2.0.0"), "host:9", trial=True)
    left = [skill.manifest.version for skill in here.registry.versions("coffee")]
    assert left == ["2.0.0", "1.3.0", "1.2.0", "1.0.0"]
    for user, version in (("ann", "1.2.0"), ("eve", "2.0.0")):
        await here.enable("acme", "coffee", user=user, version=version)
    with pytest.raises(QuotaExceeded, match="in use"):
        await here.register(manifest("3.0.0"), "host:10", trial=True)
    assert await here.store.get("@platform", "skill/coffee/3.0.0") is None
    assert len(here.registry.versions("coffee")) == MAX_VERSIONS


async def test_what_an_older_release_stored_is_read_and_replaced() -> None:
    store = MemorySessionStore()
    await store.put("@platform", "skill/coffee", manifest("1.0.0").wire, ttl=100)
    index = {"skills": {"coffee": ["host:1", "digest"]}, "enabled": {"acme": {"coffee": True}}}
    await store.put("@platform", "skills", json.dumps(index).encode(), ttl=100)
    here = await restarted(store)
    assert serving(here.registry) == "1.0.0"
    await here.register(manifest("1.0.0"), "host:2")
    assert [skill.endpoint for skill in here.registry.versions("coffee")] == ["host:2"]
    assert here.registry.is_enabled("acme", "coffee")


# --- a conversation ------------------------------------------------------------------------------------------------
def context(state: ConversationState | None = None, user: str = "") -> TurnContext:
    house = SmallHouse()
    profile = replace(house.profile, user_id=user, third_party_skills=True)
    return replace(house.context(), profile=profile, state=state or ConversationState())


def chosen(skills: SkillRegistry, where: TurnContext) -> str:
    (candidate,) = shortlist(Understanding((ORDER,)), (), where, skills, FeedbackBook())
    return candidate.hypothesis.version


def test_a_dialogue_stays_with_its_version_until_it_ends() -> None:
    skills = two_versions()
    begun = Hypothesis("coffee", ORDER, "2.0.0")
    asked = ConversationState(pending=PendingPrompt("p", PromptKind.ELICIT_SLOT, (begun,)))
    going_on = ConversationState((PastTurn("t", "", "", begun, 0.0, goes_on=True),))
    over = ConversationState((PastTurn("t", "", "", begun, 0.0),))
    assert [chosen(skills, context(state)) for state in (asked, going_on, over)] == ["2.0.0", "2.0.0", "1.0.0"]
    skills.remove("coffee", "2.0.0")
    assert chosen(skills, context(asked)) == "1.0.0"


def test_a_decision_tells_the_version() -> None:
    won = Candidate(Hypothesis("coffee", ORDER, "2.0.0"))
    told = to_decision("t", Decision(Action.EXECUTE, Reason.CONFIDENT, (won,)), features=False)
    assert [candidate.skill_version for candidate in told.candidates] == ["2.0.0"]


async def test_a_resumed_session_knows_the_version() -> None:
    keeper = SessionKeeper(MemorySessionStore())
    memory, token = await keeper.begin("acme")
    begun = Hypothesis("coffee", ORDER, "2.0.0")
    prompt = PendingPrompt("p", PromptKind.CONFIRM, (begun,))
    state = ConversationState((PastTurn("t", "", "", begun, 0.0, goes_on=True),), prompt)
    await keeper.save("acme", replace(memory, state=state))
    resumed, _ = await keeper.resume("acme", token)
    assert isinstance(resumed, SessionMemory)
    assert resumed.state == state


# --- executions ----------------------------------------------------------------------------------------------------
@dataclass
class Bar:
    """A skill with side effects in two versions behind one port, and the journal of a turn."""

    store: MemorySessionStore = field(default_factory=MemorySessionStore)
    skill: ScriptedSkill = field(default_factory=lambda: ScriptedSkill(_served))
    skills: SkillRegistry = field(default_factory=two_versions)

    async def claim(self) -> TurnClaim:
        claim = TurnClaim(self.store, "acme", "turn/key", "t")
        await claim.claim()
        return claim

    async def serve(
        self, version: str, journal: TurnClaim | NotedJournal, where: TurnContext | None = None, state: bytes = b""
    ) -> Order:
        house = SmallHouse(registry=self.skills, skills={"coffee": self.skill})
        ledger = LatencyLedger(0.0, 1_000.0)
        execution = Execution(house.house().desk, where or context(), ledger, journal, key="key", skill_state=state)
        candidate = Candidate(Hypothesis("coffee", ORDER, version), side_effects=True)
        async for _ in await execution.serve(candidate, 1, confirmed=False):
            pass
        return self.skill.executed[-1]


async def _served(order: Order) -> AsyncIterator[SkillEvent]:
    yield SkillAnswer("Here you are.")
    yield SkillDone(receipt=Receipt(order.idempotency_key, 1))


async def test_a_repeat_asks_the_version_that_was_asked() -> None:
    bar = Bar()
    lost = await bar.claim()
    first = await bar.serve("1.0.0", NotedJournal())
    await lost.begin(f"{first.idempotency_key} coffee.order", "1.0.0")  # and its replica was never heard of again
    repeat = await bar.claim()
    second = await bar.serve("2.0.0", repeat)
    assert (second.hypothesis.version, second.idempotency_key) == ("1.0.0", first.idempotency_key)
    assert not repeat.in_doubt


async def test_a_repeat_whose_version_is_gone_is_in_doubt() -> None:
    bar = Bar()
    lost = await bar.claim()
    first = await bar.serve("1.0.0", NotedJournal())
    await lost.begin(f"{first.idempotency_key} coffee.order", "1.0.0")
    bar.skills.remove("coffee", "1.0.0")
    repeat = await bar.claim()
    with pytest.raises(FailedPrecondition) as refused:
        await bar.serve("2.0.0", repeat)
    assert refused.value.reason == "TURN_OUTCOME_UNKNOWN"
    assert repeat.in_doubt
    assert len(bar.skill.executed) == 1


async def test_a_done_turn_is_answered_from_the_record() -> None:
    bar = Bar()
    claim = await bar.claim()
    await bar.serve("2.0.0", claim)
    await claim.finish(Delivery(Outcome.ANSWERED, "", "Here you are."))
    assert (await bar.claim()).stored is not None


async def test_what_one_version_has_left_is_nobody_elses() -> None:
    bar = Bar()
    begun = Hypothesis("coffee", ORDER, "2.0.0")
    prompt = PendingPrompt("p", PromptKind.ELICIT_SLOT, (begun,))
    where = context(ConversationState((PastTurn("t", "", "", begun, 0.0, goes_on=True),), prompt))
    same = await bar.serve("2.0.0", NotedJournal(), where, b"half a cup")
    assert (same.prompt_id, same.skill_state) == ("p", b"half a cup")
    bar.skills.remove("coffee", "2.0.0")
    other = await bar.serve("2.0.0", NotedJournal(), where, b"half a cup")
    assert (other.hypothesis.version, other.prompt_id, other.skill_state) == ("1.0.0", "", b"")
