"""What one replica of the front door holds, wired together. `app.py` builds it, the servicers use it."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.arbitration.adapters.channels import Channels
from services.arbitration.adapters.decisions import encode_explanation, from_manifest, merged, read_manifest
from services.arbitration.adapters.dialogue import GrpcDialogue
from services.arbitration.adapters.grammar import Grammars
from services.arbitration.adapters.recognition import Warming
from services.arbitration.adapters.session import SessionPorts
from services.arbitration.adapters.skills import GrpcSkills
from services.arbitration.adapters.understanding import GrpcUnderstanding
from services.arbitration.alarms import AlarmBook
from services.arbitration.circuits import Circuits
from services.arbitration.desk import Desk
from services.arbitration.devices.claims import Claims
from services.arbitration.devices.policies import Policy
from services.arbitration.explanations import Explanations
from services.arbitration.judging import Judge
from services.arbitration.learning.exploration import CloseExplorer
from services.arbitration.learning.school import Learning, School
from services.arbitration.manifests import MAX_BYTES
from services.arbitration.memory import SessionKeeper
from services.arbitration.opening import Premises
from services.arbitration.ports import Ports
from services.arbitration.rankers.choice import RankerKind
from services.arbitration.rankers.loading import BUNDLED, load_rankers
from services.arbitration.registrations import Registrations
from services.arbitration.registry_of_skills import EVERYONE, SkillRegistry, dialogue_manifest
from services.arbitration.routing.shared import SharedTraffic
from services.arbitration.routing.traffic import Traffic
from services.arbitration.settings import ArbitrationSettings
from services.arbitration.speculation import SpeculationSettings
from services.arbitration.stages.fulfil import Fulfilments
from services.arbitration.teaching import Teaching
from services.arbitration.turn import House
from services.runtime.admission import Limits
from services.runtime.errors import AntiphonError, Unavailable
from services.runtime.inference import ModelClient
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from services.runtime.spec import Runtime
from services.runtime.store import SessionStore, StoreLimits, sweep_regularly
from services.runtime.stores import open_store

log = logging.getLogger(__name__)


TAUGHT_S = 10.0
"""Longest wait of a conversation for understanding to take the skills in."""

WARM_S = 1.0
"""Between two looks for what the recognisers have to learn."""

_LIMITS = StoreLimits(max_value_bytes=MAX_BYTES)
"""The largest value is the manifest of a registered skill."""


@dataclass
class FrontDoor:
    """The parts that all conversations of a replica share."""

    settings: ArbitrationSettings
    limits: Limits
    channels: Channels
    store: SessionStore
    registry: SkillRegistry
    registrations: Registrations
    grammars: Grammars
    teaching: Teaching
    traffic: SharedTraffic
    skills: GrpcSkills
    understanding: GrpcUnderstanding
    dialogue: GrpcDialogue
    judge: Judge
    fulfilments: Fulfilments
    alarms: AlarmBook
    explanations: Explanations
    circuits: Circuits
    school: School
    models: ModelClient
    claims: Claims
    ready: bool = False
    _taught: bool = False
    _effects: set[asyncio.Task[Any]] = field(default_factory=set)
    _chores: tuple[asyncio.Task[None], ...] = ()

    @classmethod
    async def build(cls, runtime: Runtime, settings: ArbitrationSettings) -> FrontDoor:
        """Wires the parts and begins to look for the built-in skills."""
        traffic = Traffic()
        channels = Channels(runtime.directory, runtime.identity, traffic)
        registry = SkillRegistry()
        registry.register(dialogue_manifest(settings.locales), built_in=True)
        registry.enable(EVERYONE, "dialogue")
        store = await open_store(runtime, "sessions.sqlite3", _LIMITS)
        circuits = Circuits()
        alarms = AlarmBook(store)
        skills = GrpcSkills(channels, registry, alarms)
        understanding = GrpcUnderstanding(channels, registry)
        fulfilments = Fulfilments(skills, registry, circuits)
        explanations = Explanations(store, encode_explanation)
        # Never on a Triton server: the way there and back would take longer than the ranking.
        models = OnnxClient(ModelStore.with_bundled(BUNDLED), threads=1)
        rankers = await load_rankers(models, RankerKind(settings.ranker.upper()), learned=settings.learned_weights)
        judge = Judge(understanding, registry, fulfilments, feedback=explanations.book, rankers=rankers)
        explanations.explain = judge.explained
        judge.arms = channels.arms
        school = await School.open(store, explanations.book, judge.rankers, _learning(settings, runtime))
        judge.rewriter, judge.trial = school.rewrites, school.trial
        if school.log.place is not None:
            judge.explorer = CloseExplorer(settings.exploration)
        door = cls(
            settings=settings,
            limits=runtime.limits,
            channels=channels,
            store=store,
            registry=registry,
            registrations=Registrations(registry, store, read_manifest),
            grammars=Grammars(registry),
            teaching=Teaching(registry, understanding.pools, understanding.teach, merged),
            traffic=SharedTraffic(traffic, store),
            skills=skills,
            understanding=understanding,
            dialogue=GrpcDialogue(channels),
            judge=judge,
            fulfilments=fulfilments,
            alarms=alarms,
            explanations=explanations,
            circuits=circuits,
            school=school,
            models=models,
            claims=Claims(store, Policy(settings.claim_policy), settings.claim_window),
        )
        chores = (
            door._learn_skills(),
            door.registrations.follow(),
            door.traffic.follow(),
            judge.shedding.follow(),
            door.teaching.follow(),
            sweep_regularly(store),
            school.follow(),
            school.log.follow(),
            door._warm_recognisers(Warming(channels, door.grammars, settings.locales)),
        )
        door._chores = tuple(asyncio.create_task(chore) for chore in chores)
        return door

    def premises(self, session: SessionPorts, end_silence: float | None = None) -> Premises:
        """What one conversation needs; `end_silence` in seconds where the client has set it, which is then kept."""
        ports = Ports(
            recogniser=session.recogniser,
            understanding=self.understanding,
            skills=self.skills,
            dialogue=self.dialogue,
            synthesis=session.synthesis,
            activation=session.activation if self.settings.activation else None,
        )
        # Effects outlive their conversation, so all desks keep them in one set.
        desk = Desk(ports, self.registry, self.circuits, self.alarms, _effects=self._effects)
        ours = self.settings
        speculation = SpeculationSettings(
            usual_silence=end_silence or ours.usual_silence,
            open_silence=end_silence or ours.open_silence,
            short_silence=end_silence or ours.short_silence,
        )
        house = House(ports, self.judge, desk, speculation)
        keeper = SessionKeeper(self.store)
        return Premises(house, self.store, keeper, self.explanations, self.alarms, school=self.school)

    async def check(self) -> None:
        """Raises Unavailable until the built-in skills are known."""
        if not self.ready:
            raise Unavailable("the skill host has not answered yet", reason="SKILLS_UNKNOWN")

    async def until_taught(self) -> None:
        """The first conversations after a start wait until understanding knows the skills, but not for ever.

        It is no matter of health: a replica that is not healthy while it starts is thought to have failed.
        """
        deadline = time.monotonic() + TAUGHT_S
        while not self._taught:
            self._taught = (self.ready and self.teaching.done) or time.monotonic() > deadline
            await asyncio.sleep(0 if self._taught else 0.05)

    async def close(self) -> None:
        """Waits for effects under way, then lets go of everything."""
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._effects, return_exceptions=True)
        await self.claims.close()
        await self.school.close()
        await self.channels.close()
        await self.models.close()
        await self.store.close()

    async def _warm_recognisers(self, warming: Warming) -> None:
        """Again whenever skills have changed, once they stay as they are for a while."""
        warm = -1
        while True:
            await asyncio.sleep(WARM_S)
            revision = self.registry.revision
            if self.ready and self.teaching.done and revision != warm:
                await warming.warm()
                warm = revision

    async def _learn_skills(self) -> None:
        """Registers the built-in skills as soon as their host answers; the platform's pools start in any order."""
        while not self.ready:
            try:
                for message in await self.skills.built_in():
                    manifest = from_manifest(message)
                    self.registry.register(manifest, built_in=True)
                    self.registry.enable(EVERYONE, manifest.id)
                self.ready = True
            except AntiphonError as error:
                log.info("built-in skills: %s; trying again", error.reason)
                await asyncio.sleep(0.5)


def _learning(settings: ArbitrationSettings, runtime: Runtime) -> Learning:
    url = settings.learning_log
    if url == "state":
        url = str(Path(runtime.state_dir) / "interactions") if runtime.state_dir else ""
    return Learning(url, settings.learning_key, settings.learning_days)
