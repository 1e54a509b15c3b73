"""A small house to decide in: three skills and a turn's surroundings, with scripted services behind the ports."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.arbitration.alarms import AlarmBook
from services.arbitration.circuits import Circuits
from services.arbitration.contexts import Profile, TurnContext
from services.arbitration.desk import Desk
from services.arbitration.events import TurnEnded, TurnEvent
from services.arbitration.hypotheses import DIALOGUE_SKILL, Interpretation, Risk, Slot, Understanding
from services.arbitration.judging import Judge
from services.arbitration.ledger import LatencyLedger
from services.arbitration.manifests import IntentSpec, Manifest, SlotSpec
from services.arbitration.ports import ActivationPort, DialoguePort, Ports, RecogniserPort, SynthesisPort
from services.arbitration.registry_of_skills import EVERYONE, SkillRegistry, dialogue_manifest
from services.arbitration.speculation import SpeculationSettings
from services.arbitration.stages.fulfil import Fulfilments
from services.arbitration.turn import House, Turn, TurnResult
from services.runtime.store import MemorySessionStore
from tests.fakes.arbitration_ports import (
    NotedJournal,
    PlainDialogue,
    ScriptedRecogniser,
    ScriptedSkill,
    ScriptedUnderstanding,
    SkillsByName,
    TextAsSpeech,
    says,
    utterance,
)

TIME = Interpretation("clock.time", 0.95, skill_id="clock", text="what time is it")
TIME_IN_ROME = Interpretation(
    "clock.time", 0.95, (Slot("place", "rome", b"Europe/Rome"),), skill_id="clock", text="what time is it in rome"
)
TIME_BY_OTHER = Interpretation("watch.time", 0.4, skill_id="watch", text="what time is it")
LIGHT_OFF = Interpretation("light.off", 0.97, skill_id="light", text="lights off")
BUY = Interpretation("shop.buy", 0.97, (Slot("item", "milk"),), skill_id="shop", text="buy milk")
SET_ALARM = Interpretation("alarm.set", 0.97, skill_id="alarm", text="set an alarm")

MEANINGS = {
    "what time is it": Understanding((TIME,), 0.02),
    "what time is it in rome": Understanding((TIME_IN_ROME,), 0.02),
    "lights off": Understanding((LIGHT_OFF,), 0.02),
    "buy milk": Understanding((BUY,), 0.02),
    "set an alarm": Understanding((SET_ALARM,), 0.02),
    "either": Understanding((Interpretation("clock.time", 0.48, skill_id="clock"),
                             Interpretation("watch.time", 0.47, skill_id="watch")), 0.02),
    "hello": Understanding((Interpretation("dialogue.greeting", 0.95, skill_id=DIALOGUE_SKILL),), 0.02),
    "yes": Understanding(affirms=0.95, out_of_scope=0.9),
    "no": Understanding(denies=0.95, out_of_scope=0.9),
    "what time is it or so": Understanding((TIME, TIME_BY_OTHER), 0.02),
}  # fmt: skip


def manifests() -> tuple[Manifest, ...]:
    """clock and watch tell the time, light changes something, shop is of high risk, alarm has a required slot."""
    place = SlotSpec("place", "PLACE")
    return (
        Manifest("clock", "1.0.0", ("en",), (IntentSpec("clock.time", (place,)),)),
        Manifest("watch", "1.0.0", ("en",), (IntentSpec("watch.time"),)),
        Manifest("light", "1.0.0", ("en",), (IntentSpec("light.off", risk=Risk.MEDIUM, side_effects=True),)),
        Manifest(
            "shop",
            "1.0.0",
            ("en",),
            (IntentSpec("shop.buy", (SlotSpec("item", "TEXT"),), risk=Risk.HIGH, side_effects=True),),
        ),
        Manifest("alarm", "1.0.0", ("en",), (IntentSpec("alarm.set", (SlotSpec("time", "TIME", required=True),)),)),
        dialogue_manifest(("en",)),
    )


def registry() -> SkillRegistry:
    """All of them, built in and enabled for everyone."""
    skills = SkillRegistry()
    for manifest in manifests():
        skills.register(manifest, built_in=True)
        skills.enable(EVERYONE, manifest.id)
    return skills


@dataclass
class SmallHouse:
    """A house whose every part can be scripted."""

    skills: dict[str, ScriptedSkill] = field(default_factory=dict)
    recogniser: RecogniserPort = field(default_factory=lambda: ScriptedRecogniser([utterance("what time is it")]))
    understanding: ScriptedUnderstanding = field(default_factory=lambda: ScriptedUnderstanding(dict(MEANINGS)))
    dialogue: DialoguePort = field(default_factory=PlainDialogue)
    synthesis: SynthesisPort = field(default_factory=TextAsSpeech)
    activation: ActivationPort | None = None
    speculation: SpeculationSettings = field(default_factory=SpeculationSettings)
    circuits: Circuits = field(default_factory=Circuits)
    registry: SkillRegistry = field(default_factory=registry)
    alarms: AlarmBook = field(default_factory=lambda: AlarmBook(MemorySessionStore()))
    journal: NotedJournal = field(default_factory=NotedJournal)
    profile: Profile = field(default_factory=lambda: Profile("acme", "en"))
    events: list[TurnEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        usual = {
            "clock": ScriptedSkill(says("It is five.")),
            "watch": ScriptedSkill(says("Five o'clock.")),
            "light": ScriptedSkill(says("It is dark now.", receipt=True)),
            "shop": ScriptedSkill(says("Bought.", receipt=True)),
            "alarm": ScriptedSkill(says("Set.")),
        }
        self.skills = usual | self.skills

    def house(self) -> House:
        skills = SkillsByName(self.skills)
        ports = Ports(self.recogniser, self.understanding, skills, self.dialogue, self.synthesis, self.activation)
        judge = Judge(self.understanding, self.registry, Fulfilments(skills, self.registry, self.circuits))
        return House(ports, judge, Desk(ports, self.registry, self.circuits, self.alarms), self.speculation)

    def context(self) -> TurnContext:
        return TurnContext("session", "turn", self.profile, now=1_000.0)

    def turn(self, typed: str | None = None, context: TurnContext | None = None) -> Turn:
        return Turn(
            self.house(),
            context or self.context(),
            LatencyLedger(0.0, 1_000.0),
            self.take,
            self.journal,
            key="key",
            typed=typed,
        )

    async def take(self, event: TurnEvent) -> None:
        """Where the turn's events go: the list `events`."""
        self.events.append(event)

    async def run(self, typed: str | None = None, context: TurnContext | None = None) -> TurnResult:
        """One whole turn."""
        return await self.turn(typed, context).run()

    def of(self, kind: type[TurnEvent]) -> list[TurnEvent]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]


def ended(events: list[object]) -> list[TurnEnded]:
    """The ends of turns among events."""
    return [event for event in events if isinstance(event, TurnEnded)]
