"""The nouns of a decision: what was heard, what it may mean, who could serve it, and what was decided.

Every stage of arbitration takes and returns these. They are immutable, so that a decision can be explained after the
turn exactly as it was taken, and they hold no protobuf: the ports convert.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

DIALOGUE_SKILL: Final = "dialogue"
"""Serves the intents that belong to the conversation itself, `dialogue.*`: the dialogue service answers for it."""


class Risk(StrEnum):
    """What a wrong execution costs the user."""

    LOW = "low"
    """Told something they did not ask: an annoyance."""
    MEDIUM = "medium"
    """Something changed that can be changed back: a light, a timer."""
    HIGH = "high"
    """Money, locks, messages: always confirmed first."""


class Fulfilment(StrEnum):
    """A skill's answer to CanFulfill. MISSING is no answer in time, and is never read as NO."""

    NOT_ASKED = "not_asked"
    YES = "yes"
    MAYBE = "maybe"
    NO = "no"
    MISSING = "missing"


class Action(StrEnum):
    """What a turn may come to."""

    EXECUTE = "execute"
    CONFIRM = "confirm"
    CLARIFY = "clarify"
    FALLBACK = "fallback"
    REJECT = "reject"


class Reason(StrEnum):
    """Why the action was taken; the names are the contract's."""

    CONFIDENT = "CONFIDENT"
    RISK = "RISK"
    LOW_CONFIDENCE = "LOW_CONFIDENCE"
    AMBIGUOUS = "AMBIGUOUS"
    MISSING_SLOT = "MISSING_SLOT"
    OUT_OF_SCOPE = "OUT_OF_SCOPE"
    NONE_ELIGIBLE = "NONE_ELIGIBLE"
    NOT_DIRECTED = "NOT_DIRECTED"
    NO_SPEECH = "NO_SPEECH"
    OTHER_DEVICE = "OTHER_DEVICE"
    CONFIRMED_BY_USER = "CONFIRMED_BY_USER"
    DENIED_BY_USER = "DENIED_BY_USER"
    PROMPT_ANSWERED = "PROMPT_ANSWERED"
    LOCALE = "LOCALE"


class Rejection(StrEnum):
    """Why a candidate was not eligible, however well it scored; the names are the contract's."""

    NONE = ""
    NOT_SHORTLISTED = "NOT_SHORTLISTED"
    CANNOT_FULFILL = "CANNOT_FULFILL"
    NOT_ENABLED = "NOT_ENABLED"
    LOCALE = "LOCALE"
    DEVICE = "DEVICE"
    CIRCUIT_OPEN = "CIRCUIT_OPEN"
    CONSENT = "CONSENT"
    FAILED = "FAILED"
    """It was executed and failed; the next one was tried."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A value found in the words.

    Attributes:
        text: the words themselves.
        typed: the typed value as the contract serialises it; opaque here, passed on to the skill unread.
        confidence: probability in [0, 1] that the value is right.
        catalogue_hit: the value was found in the skill's own catalogue.
        carried: taken over from an earlier turn; `source_turn` is that turn's id, where it is known.
    """

    name: str
    text: str
    typed: bytes = b""
    confidence: float = 1.0
    catalogue_hit: bool = False
    carried: bool = False
    source_turn: str = ""


@dataclass(frozen=True, slots=True)
class Alternative:
    """One thing the user may have said; `confidence` in [0, 1], or 0 where the recogniser gives none."""

    text: str
    confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class Interpretation:
    """One thing the words may mean.

    Attributes:
        confidence: the understanding service's probability in [0, 1].
        alternative: which ASR alternative it reads; 0 is the best.
        skill_id: the only skill it is for; empty when any skill with this intent may serve it.
        resolution: how well the slots' values were resolved to entities, in [0, 1].
        text: the words it reads, NFC.
        wire: the reading as the contract serialises it; opaque here, passed on to skills and dialogue unread.
    """

    intent: str
    confidence: float
    slots: tuple[Slot, ...] = ()
    alternative: int = 0
    skill_id: str = ""
    resolution: float = 1.0
    text: str = ""
    wire: bytes = b""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which model did a step: `model` as publisher/name@version, `backend` as embedded, triton, process or rules."""

    model: str
    backend: str = ""
    engine: str = ""
    digest: str = ""
    pool: str = ""
    locale: str = ""
    arm: str = ""
    mode: str = ""


@dataclass(frozen=True, slots=True)
class Understanding:
    """All that the words may mean.

    Attributes:
        interpretations: best first.
        out_of_scope: probability in [0, 1] that no skill was meant at all.
        affirms: probability in [0, 1] that it says yes to what was asked; `denies` that it says no.
        social: probability in [0, 1] that it belongs to the conversation itself: a greeting, thanks, a goodbye.
        wire: the user's dialogue acts as the contract serialises them; opaque here, passed on to dialogue.
    """

    interpretations: tuple[Interpretation, ...] = ()
    out_of_scope: float = 0.0
    affirms: float = 0.0
    denies: float = 0.0
    social: float = 0.0
    models: tuple[Provenance, ...] = ()
    wire: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """An interpretation together with the skill that would serve it.

    Attributes:
        version: of the skill; empty where it does not matter which.
    """

    skill_id: str
    interpretation: Interpretation
    version: str = ""

    @property
    def intent(self) -> str:
        return self.interpretation.intent

    @property
    def slots(self) -> tuple[Slot, ...]:
        return self.interpretation.slots

    @property
    def effect(self) -> tuple[str, str, frozenset[tuple[str, str, bytes]]]:
        """What executing it would do: equal for hypotheses that differ in scores, spans or alternatives alone."""
        slots = frozenset((slot.name, slot.text.casefold(), slot.typed) for slot in self.slots)
        return self.skill_id, self.intent, slots

    def serves_same(self, other: Hypothesis) -> bool:
        """Whether executing the one does what executing the other would."""
        return self.effect == other.effect


@dataclass(frozen=True, slots=True)
class Features:
    """What the ranker sees of a candidate; all in [0, 1]. How much each counts is in `rankers.linear.WEIGHTS`.

    State of operations (circuits, latency) is no feature: an outage would teach that users stopped liking a skill.
    """

    asr_rank: float = 0.0
    """0 for the best alternative, 1/2 for the second, 2/3 for the third ..."""
    asr_confidence: float = 0.0
    intent_confidence: float = 0.0
    """Probability of the reading. Skills that are asked with the same words share theirs."""
    relative_confidence: float = 0.0
    """Over that of the best reading: 1 for all who share the words that fit best."""
    margin: float = 0.0
    """Confidence above the best reading with another intent."""
    incomplete: float = 0.0
    """1 when a required slot is missing."""
    weakest_slot: float = 1.0
    """Least confidence of a slot; 1 without slots."""
    resolution: float = 1.0
    catalogue_hit: float = 0.0
    carried_slots: float = 0.0
    """Share of slots taken over from earlier turns."""
    same_skill: float = 0.0
    """1 when the last turn was this skill's."""
    answers_prompt: float = 0.0
    """1 when the skill has asked something and waits for the answer."""
    locale_exact: float = 0.0
    """1 when the skill speaks the user's very locale, 0 when only a related one."""
    enabled_by_user: float = 0.0
    """1 when the user chose the skill, 0 when it came with the tenant."""
    used_recently: float = 0.0
    """1 when the user used it within 30 days."""
    used_often: float = 0.0
    """n / (n + 2) for n uses by the user, each counting half for every 30 days since."""
    feedback: float = 0.5
    """Smoothed share of turns that ended well with this skill and intent; 0.5 when nothing is known."""
    popularity: float = 0.0
    """n / (n + 20) for the n turns of the tenant whose end with this skill and intent is known."""
    rewritten: float = 0.0
    """1 when it reads a learned rewrite of the words instead of the words themselves."""
    fulfil_yes: float = 0.0
    fulfil_maybe: float = 0.0
    fulfil_no: float = 0.0
    fulfil_missing: float = 0.0


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one feature added to a candidate's score: `value` times its weight."""

    feature: str
    value: float
    points: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A hypothesis and all that was found out about it.

    Attributes:
        score: the ranker's, in log-odds points against the others of the same list.
        probability: calibrated, in [0, 1]; those of a list and of "none of them" add up to 1.
        missing_slots: names of required slots that were not said.
        fulfilment_ms: milliseconds CanFulfill took; None when nothing was asked.
        fulfilment_reason: the skill's reason, UPPER_SNAKE.
        rejected: why it was not eligible; NONE when it was.
        stand_ins: names of features that could not be had in time; their values stand in.
    """

    hypothesis: Hypothesis
    risk: Risk = Risk.LOW
    side_effects: bool = False
    missing_slots: tuple[str, ...] = ()
    shortlist_score: float = 0.0
    features: Features = field(default_factory=Features)
    score: float = 0.0
    probability: float = 0.0
    contributions: tuple[Contribution, ...] = ()
    fulfilment: Fulfilment = Fulfilment.NOT_ASKED
    fulfilment_ms: float | None = None
    fulfilment_reason: str = ""
    rejected: Rejection = Rejection.NONE
    stand_ins: tuple[str, ...] = ()

    @property
    def eligible(self) -> bool:
        return self.rejected is Rejection.NONE


@dataclass(frozen=True, slots=True)
class StageReport:
    """How a stage kept its deadline, in milliseconds.

    `fallback` (UPPER_SNAKE) is what was done instead; `shed` when it was left out under load.
    """

    stage: str
    budget_ms: float
    spent_ms: float
    missed: bool = False
    fallback: str = ""
    shed: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done about a turn, with all that led to it.

    Attributes:
        candidates: best first; those that were not eligible come last, with the reason.
        expected_costs: cost of each action that was weighed, in the units of `stages.decide.Costs`.
        threshold: probability that the winner had to reach for its risk; 0 without a winner.
        out_of_scope: probability that no skill was meant.
        directed: probability that the assistant was spoken to; None when nobody judged it in time.
        rewrite_id: the learned rewrite whose words the winner reads; empty when it reads the user's own.
        propensity: probability with which the policy chooses this winner; 1 without exploration.
        explored: the winner was chosen to learn, not because it was best.
        ranker: which ranker scored; None when none was needed.
        arms: arms of split traffic that served the turn, as "capability=arm".
    """

    action: Action
    reason: Reason
    candidates: tuple[Candidate, ...] = ()
    expected_costs: Mapping[Action, float] = field(default_factory=dict)
    threshold: float = 0.0
    out_of_scope: float = 0.0
    directed: float | None = None
    stages: tuple[StageReport, ...] = ()
    rewrite_id: str = ""
    propensity: float = 1.0
    explored: bool = False
    ranker: Provenance | None = None
    arms: tuple[str, ...] = ()

    @property
    def winner(self) -> Candidate | None:
        """The candidate the action is about: what is executed, or what the question to the user is about."""
        if self.action in (Action.FALLBACK, Action.REJECT):
            return None
        return next((candidate for candidate in self.candidates if candidate.eligible), None)

    @property
    def eligible(self) -> tuple[Candidate, ...]:
        return tuple(candidate for candidate in self.candidates if candidate.eligible)
