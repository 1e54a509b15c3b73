"""Why a turn went as it did, for people: what `antiphon explain` prints.

Four parts, each to be taken in at a glance: what was done and why; the candidates, with what spoke for and against each
and why it lost; what the outcomes would have cost; and how the stages kept their time. Lines fit 100 columns. Colour
only where the output is a terminal.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from antiphon.arbitration.v1 import arbitration_pb2, decision_pb2
from antiphon.rendering import milliseconds, named, word
from antiphon.skill.v1 import manifest_pb2
from antiphon.types.v1 import latency_pb2, understanding_pb2

COLUMNS = 100
PROBABILITY_COLUMNS, BUDGET_COLUMNS = 24, 18
TOLD_GROUPS, TOLD_FEATURES = 4, 2
"""Groups of features told of a candidate, and features of each."""

SLIGHT = 0.05
"""Points below which a feature is not worth a word."""

_NOT_KEPT = "(words are not kept; `antiphon converse --keep-words` lets them be)"
_DONE = {
    decision_pb2.DECISION_OUTCOME_EXECUTE: "executed",
    decision_pb2.DECISION_OUTCOME_CONFIRM: "asked whether to do",
    decision_pb2.DECISION_OUTCOME_CLARIFY: "asked back about",
    decision_pb2.DECISION_OUTCOME_FALLBACK: "did nothing and said so",
    decision_pb2.DECISION_OUTCOME_REJECT: "kept silent",
}
_WHY = {
    "CONFIDENT": "{first} was likely enough: {p:.2f}, where its risk ({risk}) asks for {threshold:.2f}.",
    "RISK": "What it does is of {risk} risk: that is never done without a yes.",
    "LOW_CONFIDENCE": "{first} was the likeliest, but with {p:.2f} not likely enough{needed}.",
    "AMBIGUOUS": "Two were too close: {first} with {p:.2f} and {second} with {q:.2f}.",
    "MISSING_SLOT": "{first} was meant, but {missing} was not said.",
    "OUT_OF_SCOPE": "It is probably nothing that a skill here can do (probability {out:.2f}).",
    "NONE_ELIGIBLE": "No skill was left that could have done it.",
    "NOT_DIRECTED": "It was probably not said to the assistant (probability {directed:.2f}).",
    "NO_SPEECH": "No words were heard.",
    "OTHER_DEVICE": "Another device answers.",
    "CONFIRMED_BY_USER": "The user said yes.",
    "DENIED_BY_USER": "The user said no.",
    "PROMPT_ANSWERED": "It answers what {first} had asked.",
    "LOCALE": "No skill that fits speaks the language.",
}
_LOST = {
    "NOT_SHORTLISTED": "too far down the list to be asked",
    "CANNOT_FULFILL": "the skill said that it cannot",
    "NOT_ENABLED": "the skill is not enabled",
    "LOCALE": "the skill does not speak the language",
    "DEVICE": "the device lacks what the answer needs",
    "CIRCUIT_OPEN": "the skill has failed too often and rests",
    "DEADLINE": "there was no time left for it",
    "CONSENT": "the user has not agreed to what it needs",
    "FAILED": "it was tried and failed",
    "LOW_SCORE": "too unlikely to be asked about",
}
_INSTEAD = {
    "WAITED": "was waited for",
    "LAST_GOOD_MODEL": "the last good reading stood in",
    "RULES": "the phrases of skills stood in",
    "NONE": "there was nothing to stand in",
    "MISSING": "silence is no answer, and no NO",
    "SHORTLISTER_ORDER": "the shortlister's order stood",
    "SKIPPED": "went without",
    "LATE": "used although late",
    "BEST_ALTERNATIVE": "only the best was read",
    "LINEAR": "the linear ranker stood in",
}


@dataclass(frozen=True)
class Ink:
    """Colours of a terminal; plain where `on` is False."""

    on: bool = False

    def good(self, text: str) -> str:
        return self._in("32", text)

    def bad(self, text: str) -> str:
        return self._in("31", text)

    def faint(self, text: str) -> str:
        return self._in("2", text)

    def strong(self, text: str) -> str:
        return self._in("1", text)

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.on and text else text


def explanation_lines(answer: arbitration_pb2.ExplainResponse, ink: Ink | None = None) -> Iterator[str]:
    """Everything but the latency ledger (`rendering.ledger_lines`)."""
    ink = ink or Ink()
    decision = answer.decision
    yield from _header(answer, ink)
    yield ""
    yield from _candidates(decision, ink)
    yield ""
    yield from _costs(decision, ink)
    yield from _circumstances(decision, ink)
    yield ""
    yield from stage_lines(decision.stages, ink)


# --- what was done, and why ----------------------------------------------------------------------------------------
def _header(answer: arbitration_pb2.ExplainResponse, ink: Ink) -> Iterator[str]:
    decision = answer.decision
    winner = _winner(decision)
    heard = _clean(next((c.interpretation.text for c in decision.candidates if c.interpretation.text), ""))
    about = f" {_name(winner)}" if winner is not None else ""
    yield f"heard      {f'“{heard}”' if heard else ink.faint(_NOT_KEPT)}"
    yield f"did        {ink.strong(_DONE.get(decision.outcome, 'nothing') + about)}{_slots(winner)}"
    yield from _wrapped("because    ", _because(decision))
    kinds = [word(named(arbitration_pb2.FeedbackKind.Name, kind), "FEEDBACK_KIND_") for kind in answer.feedback]
    if kinds:
        yield f"ended      {', '.join(kinds)}"


def _because(decision: decision_pb2.Decision) -> str:
    reason = named(decision_pb2.DecisionReason.Name, decision.reason).removeprefix("DECISION_REASON_")
    first, second = _open(decision, 0), _open(decision, 1)
    if decision.explored:
        return f"A second best, {_name(first)}, was tried instead of {_name(second)}, to learn which one is better."
    return _WHY.get(reason, word(reason) + ".").format(
        first=_name(first),
        second=_name(second),
        p=first.score,
        q=second.score,
        risk=word(named(manifest_pb2.Risk.Name, first.risk), "RISK_"),
        threshold=decision.threshold,
        needed=f": {decision.threshold:.2f} is needed" if decision.threshold else "",
        missing=", ".join(first.missing_slots) or "something",
        out=decision.out_of_scope_score,
        directed=decision.directedness,
    )


def _open(decision: decision_pb2.Decision, number: int) -> decision_pb2.Candidate:
    """The n-th candidate that could have won; an empty one when there is none."""
    eligible = [candidate for candidate in decision.candidates if candidate.eligible]
    return eligible[number] if number < len(eligible) else decision_pb2.Candidate()


def _winner(decision: decision_pb2.Decision) -> decision_pb2.Candidate | None:
    at = decision.winner_index
    return decision.candidates[at] if decision.HasField("winner_index") and at < len(decision.candidates) else None


# --- candidates ----------------------------------------------------------------------------------------------------
def _candidates(decision: decision_pb2.Decision, ink: Ink) -> Iterator[str]:
    if not decision.candidates:
        yield "candidates none"
        return
    yield f"{'candidates':<38} {'probability':<31} skill says"
    winner, alike = _winner(decision), _alike(decision)
    best = winner if winner is not None else _open(decision, 0)
    taken = 0.0
    for number, candidate in enumerate(decision.candidates, start=1):
        won = candidate is winner or (winner is not None and candidate.hypothesis_id == winner.hypothesis_id)
        yield _line(number, candidate, won, ink)
        yield from _wrapped("       ", _slots(candidate, lead=""), ink.faint)
        if candidate.eligible:
            taken += candidate.score
            yield from _points(candidate, alike, ink)
        yield from _wrapped("       ", _lost(candidate, best, won, decision), ink.faint)
    yield f"     {'none of them':<33}{_probability(max(0.0, 1.0 - taken))}"


def _line(number: int, candidate: decision_pb2.Candidate, won: bool, ink: Ink) -> str:
    mark = ">" if won else " " if candidate.eligible else "-"
    name = f"{mark} {number:>2} {_shortened(_name(candidate), 32):<33}"
    chance = _probability(candidate.score) if candidate.eligible else " " * (PROBABILITY_COLUMNS + 5)
    line = f"{name}{chance}  {_said(candidate)}".rstrip()
    if won:
        return ink.good(line)
    return line if candidate.eligible else ink.faint(line)


def _said(candidate: decision_pb2.Candidate) -> str:
    if not candidate.fulfilment:
        return "not asked" if candidate.eligible else ""
    said = word(named(understanding_pb2.Fulfilment.Name, candidate.fulfilment), "FULFILMENT_")
    took = f" in {milliseconds(candidate.elapsed):.0f} ms" if candidate.HasField("elapsed") else ""
    why = f" ({_clean(candidate.fulfilment_reason)})" if candidate.fulfilment_reason else ""
    return f"{said}{took}{why}"


def _probability(score: float) -> str:
    return f"{score:4.2f} {filled(score, PROBABILITY_COLUMNS)}"


def _alike(decision: decision_pb2.Decision) -> frozenset[str]:
    """Groups of features that counted the same for all: they say nothing of why one came before another."""
    eligible = [_by_group(candidate) for candidate in decision.candidates if candidate.eligible]
    names = {name for groups in eligible for name in groups}
    if len(eligible) < 2:
        return frozenset()
    spans = {name: [groups.get(name, 0.0) for groups in eligible] for name in names}
    return frozenset(name for name, points in spans.items() if max(points) - min(points) < SLIGHT)


def _points(candidate: decision_pb2.Candidate, alike: frozenset[str], ink: Ink) -> Iterator[str]:
    """What spoke for it and what against, by group of features, the weightiest first."""
    groups = {group: points for group, points in _by_group(candidate).items() if group not in alike}
    told = sorted(groups.items(), key=lambda item: abs(item[1]), reverse=True)
    for sign, paint, chosen in (
        ("+", ink.good, [group for group, points in told if points >= SLIGHT]),
        ("−", ink.bad, [group for group, points in told if points <= -SLIGHT]),
    ):
        parts = [f"{group} {abs(groups[group]):.1f}{_features(candidate, group)}" for group in chosen[:TOLD_GROUPS]]
        yield from _wrapped(f"     {sign} ", " · ".join(parts), paint)


def _features(candidate: decision_pb2.Candidate, group: str) -> str:
    """The group's weightiest features, where there is more to say than the group's name."""
    own = [f for f in candidate.features if _group(f) == group and abs(f.contribution) >= SLIGHT]
    own.sort(key=lambda feature: abs(feature.contribution), reverse=True)
    told = [
        f"{f.name.rpartition('.')[2].replace('_', ' ')} {f.value:.2g}{' (stands in)' if f.missing else ''}"
        for f in own[:TOLD_FEATURES]
    ]
    return f" ({', '.join(told)})" if told else ""


def _by_group(candidate: decision_pb2.Candidate) -> Mapping[str, float]:
    groups: dict[str, float] = {}
    for feature in candidate.features:
        if feature.HasField("contribution") and math.isfinite(feature.contribution):
            groups[_group(feature)] = groups.get(_group(feature), 0.0) + feature.contribution
    return groups


def _group(feature: decision_pb2.Feature) -> str:
    return feature.name.partition(".")[0]


def _lost(
    candidate: decision_pb2.Candidate, best: decision_pb2.Candidate, won: bool, decision: decision_pb2.Decision
) -> str:
    reason = named(decision_pb2.RejectionReason.Name, candidate.rejection_reason).removeprefix("REJECTION_REASON_")
    if won or candidate.hypothesis_id == best.hypothesis_id:
        return ""
    if reason in _LOST:
        return f"lost: {_LOST[reason]}"
    behind = best.raw_score - candidate.raw_score
    if behind < 0:
        return "lost: a second best was tried, to learn" if decision.explored else ""
    mine, theirs = _by_group(candidate), _by_group(best)
    gaps = {group: mine.get(group, 0.0) - theirs.get(group, 0.0) for group in {*mine, *theirs}}
    worst = sorted((item for item in gaps.items() if item[1] <= -SLIGHT), key=lambda item: item[1])[:3]
    where = ", ".join(f"{group} −{-points:.1f}" for group, points in worst)
    return f"lost: {behind:.1f} points behind" + (f", by {where}" if where else "")


def _name(candidate: decision_pb2.Candidate | None) -> str:
    return _clean(candidate.interpretation.intent or candidate.skill_id) if candidate is not None else ""


def _slots(candidate: decision_pb2.Candidate | None, lead: str = " with ") -> str:
    if candidate is None or not candidate.interpretation.slots:
        return ""
    carried = understanding_pb2.SLOT_ORIGIN_CARRIED_OVER
    told = [
        f"{slot.name} = {slot.text or '…'}{' (from before)' if slot.origin == carried else ''}"
        for slot in candidate.interpretation.slots
    ]
    missing = [f"{name} = ?" for name in candidate.missing_slots]
    return lead + _clean(", ".join((*told, *missing)))


# --- costs and circumstances ---------------------------------------------------------------------------------------
def _costs(decision: decision_pb2.Decision, ink: Ink) -> Iterator[str]:
    if not decision.costs:
        return
    told = []
    for one in sorted(decision.costs, key=lambda one: one.cost):
        name = word(named(decision_pb2.DecisionOutcome.Name, one.outcome), "DECISION_OUTCOME_")
        text = f"{name} {one.cost:.2f}"
        told.append(ink.strong(text) if one.outcome == decision.outcome else text)
    yield f"costs      {' < '.join(told)}  (in needless questions)"


def _circumstances(decision: decision_pb2.Decision, ink: Ink) -> Iterator[str]:
    spoken = f"{decision.directedness:.2f}" if decision.HasField("directedness") else "nobody judged it in time"
    threshold = f"needed {decision.threshold:.2f} · " if decision.threshold else ""
    yield f"bars       {threshold}out of scope {decision.out_of_scope_score:.2f} · spoken to {spoken}"
    ranker = decision.ranker
    if ranker.model:
        yield f"ranker     {ranker.model}" + (f" ({ranker.backend})" if ranker.backend else "")
    if decision.rewrite_id:
        yield f"rewrite    {_clean(decision.rewrite_id)}: learned words were read instead of the user's own"
    if decision.explored:
        yield ink.bad(f"explored   the second best was tried to learn, as in {decision.propensity:.1%} of such turns")
    elif 0.0 < decision.propensity < 1.0:
        yield f"explored   no; another might have been tried (this one in {decision.propensity:.1%} of such turns)"
    if decision.arms:
        yield f"arms       {_clean(', '.join(decision.arms))}"


# --- stages --------------------------------------------------------------------------------------------------------
def stage_lines(stages: Sequence[decision_pb2.StageReport], ink: Ink | None = None) -> Iterator[str]:
    """Each stage with its time against its budget; what was missed or left out says what was done instead."""
    ink = ink or Ink()
    if not stages:
        return
    yield f"{'stage':<18} {'took':>8} {'of':>6}   (ms; the bar is the budget)"
    for stage in stages:
        took, budget = milliseconds(stage.elapsed), milliseconds(stage.deadline)
        name = word(named(latency_pb2.Stage.Name, stage.stage), "STAGE_")
        share = took / budget if budget > 0 else 0.0
        instead = _INSTEAD.get(stage.fallback, word(stage.fallback))
        line = f"  {name:<16} {took:8.1f} {budget:6.0f}   {filled(share, BUDGET_COLUMNS)}"
        if stage.shed:
            yield ink.bad(f"{line}  shed: {instead}".rstrip(": "))
        elif stage.missed:
            yield ink.bad(f"{line}▶ missed: {instead}".rstrip(": "))
        else:
            yield line.rstrip()


def filled(share: float, columns: int) -> str:
    """A bar of `columns` signs, `share` of it full, to an eighth of a sign; what is beyond 1 or below 0 is cut."""
    share = min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0
    eighths = round(share * columns * 8)
    whole, part = divmod(eighths, 8)
    bar = "█" * whole + (" ▏▎▍▌▋▊▉"[part] if part else "")
    return bar + "·" * (columns - len(bar))


def _clean(text: str) -> str:
    """Text of others without what a terminal takes for a command."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def _shortened(text: str, columns: int) -> str:
    return text if len(text) <= columns else text[: columns - 1] + "…"


def _wrapped(lead: str, text: str, paint: Callable[[str], str] | None = None) -> Iterator[str]:
    """The text behind `lead`, in as many lines as it needs; nothing for an empty text."""
    lines = textwrap.wrap(text, COLUMNS - len(lead)) if text else []
    for number, line in enumerate(lines):
        whole = (lead if number == 0 else " " * len(lead)) + line
        yield paint(whole) if paint is not None else whole
