"""`ArbitrationService`: who may answer, why a turn went as it did, and how it turned out."""

from __future__ import annotations

import secrets
import time

from antiphon.arbitration.v1 import arbitration_pb2
from antiphon.types.v1 import understanding_pb2
from services.arbitration.adapters.claims import claim_of, policy_of, response_of
from services.arbitration.adapters.decisions import to_decision
from services.arbitration.adapters.values import from_interpretation, without_prefix
from services.arbitration.contexts import Profile, TurnContext
from services.arbitration.devices.claims import Account, Claims
from services.arbitration.explanations import Explanations
from services.arbitration.hypotheses import Alternative, Candidate, Fulfilment, Understanding
from services.arbitration.judging import Evidence, Judge
from services.arbitration.learning.school import School
from services.arbitration.ledger import LatencyLedger
from services.arbitration.rankers.choice import RankerKind
from services.arbitration.stages.fulfil import Fulfilments, answered
from services.runtime.calls import Call
from services.runtime.errors import InvalidInput

MAX_INTERPRETATIONS = 100
_RANKERS: dict[int, RankerKind | None] = {
    arbitration_pb2.RANKER_KIND_UNSPECIFIED: None,
    arbitration_pb2.RANKER_KIND_LINEAR: RankerKind.LINEAR,
    arbitration_pb2.RANKER_KIND_LAMBDA_MART: RankerKind.LAMBDA_MART,
    arbitration_pb2.RANKER_KIND_BI_LSTM: RankerKind.BI_LSTM,
    arbitration_pb2.RANKER_KIND_SHORTLIST: RankerKind.SHORTLIST,
}
_FULFILMENTS = {
    understanding_pb2.FULFILMENT_YES: Fulfilment.YES,
    understanding_pb2.FULFILMENT_NO: Fulfilment.NO,
    understanding_pb2.FULFILMENT_MAYBE: Fulfilment.MAYBE,
    understanding_pb2.FULFILMENT_MISSING: Fulfilment.MISSING,
}


class ArbitrationServicer:
    """One per replica."""

    def __init__(
        self, judge: Judge, fulfilments: Fulfilments, explanations: Explanations, claims: Claims, school: School
    ) -> None:
        self._judge = judge
        self._fulfilments = fulfilments
        self._explanations = explanations
        self._claims = claims
        self._school = school

    async def ClaimActivation(  # noqa: N802 - named by the contract
        self, request: arbitration_pb2.ClaimActivationRequest, call: Call
    ) -> arbitration_pb2.ClaimActivationResponse:
        """Grants exactly one of a home's devices that heard the same wake word. A store that is away grants none."""
        claim = claim_of(request)
        account = Account(call.principal.tenant, call.principal.user, request.context.home)
        return response_of(await self._claims.claim(account, request.phrase, claim, policy_of(request)))

    async def Rank(  # noqa: N802 - named by the contract
        self, request: arbitration_pb2.RankRequest, call: Call
    ) -> arbitration_pb2.RankResponse:
        """Decides over readings that the caller brings, without doing anything."""
        if not 1 <= len(request.interpretations) <= MAX_INTERPRETATIONS:
            raise InvalidInput(f"1 to {MAX_INTERPRETATIONS} interpretations", field="interpretations")
        if request.fulfilments and len(request.fulfilments) != len(request.interpretations):
            raise InvalidInput("fulfilments must be as many as interpretations", field="fulfilments")
        if request.ranker not in _RANKERS:
            raise InvalidInput("ranker must be one of RankerKind", field="ranker")
        context = _context(request, call)
        readings = tuple(from_interpretation(reading) for reading in request.interpretations)
        alternatives = tuple(Alternative(a.spoken_text, a.confidence) for a in request.alternatives)
        understanding = Understanding(readings)
        listed = self._judge.consider(understanding, alternatives, context)
        if request.ask_skills:
            listed = await self._fulfilments.ask(listed, context)
        elif request.fulfilments:
            listed = tuple(_fulfilled(candidate, readings, request) for candidate in listed)
        evidence = Evidence(alternatives or (Alternative(readings[0].text or "-"),), understanding, tuple(listed))
        directed = request.directedness if request.HasField("directedness") else 1.0
        ledger = LatencyLedger(0.0, time.time())
        decision = await self._judge.settle(evidence, context, ledger, directed=directed, kind=_RANKERS[request.ranker])
        if request.include_features:
            decision = await self._judge.explained(decision)
        return arbitration_pb2.RankResponse(
            decision=to_decision(context.turn_id, decision, features=request.include_features)
        )

    async def Explain(  # noqa: N802 - named by the contract
        self, request: arbitration_pb2.ExplainRequest, call: Call
    ) -> arbitration_pb2.ExplainResponse:
        """The decision and the ledger of a turn; another tenant's turn is NOT_FOUND."""
        if not request.turn_id:
            raise InvalidInput("turn_id is required", field="turn_id")
        found = await self._explanations.get(call.principal.tenant, request.turn_id)
        response = arbitration_pb2.ExplainResponse.FromString(found.encoded)
        response.decision.turn_id = request.turn_id
        response.session_id = found.session_id
        kinds = dict.fromkeys(mark.partition(":")[0] for mark in found.feedback)
        response.feedback.extend(arbitration_pb2.FeedbackKind.Value(f"FEEDBACK_KIND_{kind}") for kind in kinds)
        return response

    async def Feedback(  # noqa: N802 - named by the contract
        self, request: arbitration_pb2.FeedbackRequest, call: Call
    ) -> arbitration_pb2.FeedbackResponse:
        """Notes how a turn turned out; the same feedback twice counts once."""
        kind = _feedback_kind(request)
        replayed = await self._explanations.add_feedback(
            call.principal.tenant, request.turn_id, kind, request.idempotency_key
        )
        if not replayed:
            self._school.remarked(call.principal.tenant, request.turn_id, kind)
        return arbitration_pb2.FeedbackResponse(replayed=replayed)


def _feedback_kind(request: arbitration_pb2.FeedbackRequest) -> str:
    try:
        kind = without_prefix(arbitration_pb2.FeedbackKind.Name(request.kind), "FEEDBACK_KIND_")
    except ValueError:
        kind = ""
    if not kind:
        raise InvalidInput("kind must be one of FeedbackKind", field="kind")
    return kind


def _context(request: arbitration_pb2.RankRequest, call: Call) -> TurnContext:
    session = request.context.session
    profile = Profile(
        tenant=call.principal.tenant,
        locale=request.language_code or "en",
        user_id=session.user_id,
        device_id=session.device.device_id,
        has_screen=bool(session.client.display_mime_types),
        wire=session.SerializeToString(),
    )
    turn_id = request.context.turn_id or f"rank-{secrets.token_hex(8)}"
    return TurnContext(request.context.session_id, turn_id, profile, time.time())


def _fulfilled(candidate: Candidate, readings: tuple[object, ...], request: arbitration_pb2.RankRequest) -> Candidate:
    for reading, answer in zip(readings, request.fulfilments, strict=True):
        if reading is candidate.hypothesis.interpretation:
            return answered(candidate, _FULFILMENTS.get(answer, Fulfilment.MISSING))
    return candidate
