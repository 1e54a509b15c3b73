"""Decisions, ledgers and manifests in the words of the contract. The servicers and `explanations` call it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import fields

from google.protobuf.message import DecodeError
from google.rpc import code_pb2

from antiphon.arbitration.v1 import arbitration_pb2, decision_pb2
from antiphon.skill.v1 import manifest_pb2
from antiphon.types.v1 import latency_pb2, provenance_pb2, understanding_pb2, value_pb2
from services.arbitration.adapters.values import (
    seconds,
    set_seconds,
    skill_interpretation,
    timestamp,
    to_provenance,
    without_prefix,
)
from services.arbitration.budgets import Stage
from services.arbitration.hypotheses import Candidate, Decision, Fulfilment, Rejection, Risk
from services.arbitration.ledger import LatencyLedger, LedgerEntry, Mark
from services.arbitration.manifests import IntentSpec, Manifest, SlotSpec, problems
from services.arbitration.rankers.linear import GROUPS

RANKER = provenance_pb2.ModelProvenance(
    model="antiphon/linear-ranker@1", backend="rules", engine="python", mode=provenance_pb2.MODEL_MODE_RULES
)

_RISKS = {
    Risk.LOW: manifest_pb2.RISK_LOW,
    Risk.MEDIUM: manifest_pb2.RISK_MEDIUM,
    Risk.HIGH: manifest_pb2.RISK_HIGH,
}
_FULFILMENTS = {
    Fulfilment.YES: understanding_pb2.FULFILMENT_YES,
    Fulfilment.NO: understanding_pb2.FULFILMENT_NO,
    Fulfilment.MAYBE: understanding_pb2.FULFILMENT_MAYBE,
    Fulfilment.MISSING: understanding_pb2.FULFILMENT_MISSING,
}
_STAGES = {
    Stage.CLAIM: latency_pb2.STAGE_CLAIM,
    Stage.ACTIVATION: latency_pb2.STAGE_DIRECTEDNESS,
    Stage.REWRITE: latency_pb2.STAGE_REWRITE,
    Stage.SHORTLIST: latency_pb2.STAGE_SHORTLIST,
    Stage.UNDERSTAND: latency_pb2.STAGE_UNDERSTANDING,
    Stage.RESOLVE: latency_pb2.STAGE_RESOLUTION,
    Stage.FULFILMENT: latency_pb2.STAGE_CAN_FULFILL,
    Stage.RANK: latency_pb2.STAGE_RANKING,
    Stage.EXECUTE: latency_pb2.STAGE_EXECUTION,
    Stage.PROGRESS: latency_pb2.STAGE_EXECUTION,
    Stage.DIALOGUE: latency_pb2.STAGE_DIALOGUE,
}
_MARKS = {
    Mark.CAPTURE: "capture",
    Mark.SPEECH_START: "speech_start",
    Mark.FIRST_PARTIAL: "first_partial",
    Mark.END_OF_SPEECH: "end_of_speech",
    Mark.ENDPOINT: "endpoint",
    Mark.FINAL: "final_transcript",
    Mark.UNDERSTANDING: "understanding",
    Mark.DECISION: "decision",
    Mark.FIRST_TEXT: "first_text",
    Mark.FIRST_AUDIO: "first_audio",
    Mark.FIRST_AUDIBLE: "first_audible",
    Mark.COMPLETED: "completed",
}


def to_decision(turn_id: str, decision: Decision, *, features: bool) -> decision_pb2.Decision:
    """The decision with its candidates; `features` adds what the ranker saw."""
    message = decision_pb2.Decision(
        turn_id=turn_id,
        outcome=decision_pb2.DecisionOutcome.Value(f"DECISION_OUTCOME_{decision.action.upper()}"),
        reason=decision_pb2.DecisionReason.Value(f"DECISION_REASON_{decision.reason}"),
        threshold=decision.threshold,
        ranker=to_provenance(decision.ranker) if decision.ranker else RANKER,
        rewrite_id=decision.rewrite_id,
        arms=decision.arms,
        propensity=decision.propensity,
        explored=decision.explored,
        decision_time=timestamp(time.time()),
        out_of_scope_score=decision.out_of_scope,
    )
    if decision.directed is not None:
        message.directedness = decision.directed
    for action, cost in decision.expected_costs.items():
        message.costs.add(outcome=decision_pb2.DecisionOutcome.Value(f"DECISION_OUTCOME_{action.upper()}"), cost=cost)
    winner = decision.winner
    for number, candidate in enumerate(decision.candidates):
        message.candidates.append(_candidate(number, candidate, candidate is winner, features))
        if candidate is winner:
            message.winner_index = number
            message.score = candidate.probability
    for stage in decision.stages:
        report = message.stages.add(
            stage=_STAGES.get(Stage(stage.stage), latency_pb2.STAGE_UNSPECIFIED),
            missed=stage.missed,
            fallback=stage.fallback,
            shed=stage.shed,
        )
        set_seconds(report.deadline, stage.budget_ms / 1000)
        set_seconds(report.elapsed, stage.spent_ms / 1000)
    return message


def _candidate(number: int, candidate: Candidate, won: bool, features: bool) -> decision_pb2.Candidate:
    interpretation = skill_interpretation(candidate.hypothesis)
    message = decision_pb2.Candidate(
        hypothesis_id=f"h{number}",
        skill_id=candidate.hypothesis.skill_id,
        skill_version=candidate.hypothesis.version,
        interpretation=interpretation,
        alternative_index=candidate.hypothesis.interpretation.alternative,
        score=candidate.probability,
        raw_score=candidate.score,
        fulfilment=_FULFILMENTS.get(candidate.fulfilment, understanding_pb2.FULFILMENT_UNSPECIFIED),
        fulfilment_reason=candidate.fulfilment_reason,
        rejection_reason=decision_pb2.RejectionReason.Value(f"REJECTION_REASON_{_rejection(candidate, won)}"),
        risk=_RISKS[candidate.risk],
        eligible=candidate.eligible,
        missing_slots=candidate.missing_slots,
    )
    if candidate.fulfilment_ms is not None:
        set_seconds(message.elapsed, candidate.fulfilment_ms / 1000)
    if features:
        message.features.extend(sorted(_features(candidate), key=lambda feature: feature.name))
    return message


def _features(candidate: Candidate) -> Iterator[decision_pb2.Feature]:
    points = {contribution.feature: contribution.points for contribution in candidate.contributions}
    for field in fields(candidate.features):
        feature = decision_pb2.Feature(
            name=f"{GROUPS[field.name]}.{field.name}",
            value=getattr(candidate.features, field.name),
            missing=field.name in candidate.stand_ins,
        )
        if field.name in points:
            feature.contribution = points[field.name]
        yield feature


def _rejection(candidate: Candidate, won: bool) -> str:
    if won:
        return "UNSPECIFIED"
    return "OUTSCORED" if candidate.rejected is Rejection.NONE else str(candidate.rejected)


def to_ledger(ledger: LatencyLedger) -> latency_pb2.LatencyLedger:
    """Where the time of the turn went."""
    message = latency_pb2.LatencyLedger(origin_time=timestamp(ledger.origin_time))
    for mark, offset in ledger.marks.items():
        set_seconds(getattr(message, _MARKS[mark]), max(0.0, offset))
    set_seconds(message.received_audio, ledger.received_audio)
    for entry in ledger.entries:
        message.entries.append(_entry(entry))
    return message


def _entry(entry: LedgerEntry) -> latency_pb2.LedgerEntry:
    message = latency_pb2.LedgerEntry(
        stage=latency_pb2.Stage.Value(f"STAGE_{entry.step.upper()}"),
        models=[to_provenance(model) for model in entry.models],
        skill_id=entry.skill_id,
        code=code_pb2.Code.Name(entry.code),
        attempt=entry.attempt,
        speculative=entry.speculative,
        discarded=entry.discarded,
    )
    set_seconds(message.start, entry.start)
    set_seconds(message.elapsed, entry.elapsed)
    if entry.deadline is not None:
        set_seconds(message.deadline, entry.deadline)
    return message


def encode_explanation(decision: Decision, ledger: LatencyLedger) -> bytes:
    """What `explanations` stores: an ExplainResponse without the parts that it keeps itself."""
    return arbitration_pb2.ExplainResponse(
        decision=to_decision("", decision, features=True), latency=to_ledger(ledger)
    ).SerializeToString()


def from_manifest(message: manifest_pb2.SkillManifest) -> Manifest:
    """A manifest as arbitration reads it; nothing is checked here (`manifests.problems`)."""
    return Manifest(
        id=message.skill_id,
        version=message.version,
        locales=tuple(message.locales),
        intents=tuple(_intent(message.skill_id, intent) for intent in message.intents),
        publisher=message.publisher,
        names={name.language_code: name.text for name in reversed(message.display_names)},
        catalogues={catalogue.name: len(catalogue.entries) for catalogue in message.catalogues},
        permissions=tuple(without_prefix(manifest_pb2.Permission.Name(p), "PERMISSION_") for p in message.permissions),
        wire=message.SerializeToString(),
    )


def read_manifest(wire: bytes) -> Manifest:
    """The reverse of `Manifest.wire`. Raises ValueError for what is none."""
    try:
        return from_manifest(manifest_pb2.SkillManifest.FromString(wire))
    except DecodeError as error:
        raise ValueError("no manifest") from error


def merged(wires: Sequence[bytes]) -> bytes:
    """One manifest of those of a skill's versions: the first one's, and what the others understand beside it.

    A version with which the whole would be no sound manifest is left out.
    """
    made, *others = (manifest_pb2.SkillManifest.FromString(wire) for wire in wires)
    for other in others:
        tried = manifest_pb2.SkillManifest()
        tried.CopyFrom(made)
        _merge(tried, other)
        if not problems(from_manifest(tried)):
            made = tried
    return made.SerializeToString()


def _merge(made: manifest_pb2.SkillManifest, other: manifest_pb2.SkillManifest) -> None:
    """Adds the intents, slots, phrases, catalogues and locales that `made` has not."""
    known = {intent.name: intent for intent in made.intents}
    for intent in other.intents:
        if (mine := known.get(intent.name)) is None:
            made.intents.append(intent)
            continue
        slots = {slot.name for slot in mine.slots}
        mine.slots.extend(slot for slot in intent.slots if slot.name not in slots)
        phrases = {said.language_code: said for said in mine.phrases}
        for said in intent.phrases:
            into = phrases.get(said.language_code) or mine.phrases.add(language_code=said.language_code)
            into.phrases.extend(phrase for phrase in said.phrases if phrase not in into.phrases)
    catalogues = {catalogue.name for catalogue in made.catalogues}
    made.catalogues.extend(catalogue for catalogue in other.catalogues if catalogue.name not in catalogues)
    made.locales.extend(locale for locale in other.locales if locale not in made.locales)


def _intent(skill_id: str, message: manifest_pb2.IntentDefinition) -> IntentSpec:
    risks = {wire: risk for risk, wire in _RISKS.items()}
    return IntentSpec(
        name=f"{skill_id}.{message.name}",
        slots=tuple(_slot(slot) for slot in message.slots),
        phrases={p.language_code: tuple(p.phrases) for p in message.phrases},
        # What a manifest leaves open is taken for the worse: a skill must say that it changes nothing.
        risk=risks.get(message.risk, Risk.HIGH),
        side_effects=message.side_effect != manifest_pb2.SIDE_EFFECT_NONE,
        ask_first=message.can_fulfill,
        needs_screen=message.requires_display,
        timeout=seconds(message.timeout) if message.HasField("timeout") else None,
    )


def _slot(message: manifest_pb2.SlotDefinition) -> SlotSpec:
    kind = without_prefix(value_pb2.ValueType.Name(message.value_type), "VALUE_TYPE_").lower()
    questions = {prompt.language_code: prompt.text for prompt in reversed(message.prompts)}
    return SlotSpec(message.name, kind or "text", message.required, questions, message.carry_over, message.catalogue)
