"""Everything that is learned from turns, in one replica: `conversation` tells it of each turn that is over.

It writes the row of a turn once it is known how the turn ended, counts what rewrites and rankers on trial are worth,
and keeps what this replica knows of both up to date. It runs behind the answer: no turn waits for it or fails with it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from opentelemetry import metrics

from services.arbitration.alarms import owner_of
from services.arbitration.contexts import Profile, TurnContext
from services.arbitration.delivery import Delivery
from services.arbitration.events import Outcome
from services.arbitration.feedback import FeedbackBook
from services.arbitration.hypotheses import Decision, Reason
from services.arbitration.learning.interactions import UNNAMED, Interaction, Pseudonyms, form_of, options_of
from services.arbitration.learning.log import SAID, InteractionLog, Remark
from services.arbitration.learning.publication import OWNER, RewriteBook, Score
from services.arbitration.learning.rewards import RewardWatch, Said, Verdict, plain
from services.arbitration.learning.rewrites import RewriteTable
from services.arbitration.learning.rollout import RolloutBook
from services.arbitration.learning.trial import RankerTrial
from services.arbitration.rankers.choice import Rankers
from services.runtime.errors import AntiphonError, Conflict
from services.runtime.store import ABSENT, SessionStore

log = logging.getLogger(__name__)

REFRESH_S: Final = 3.0
"""How long a published rewrite, or a step of a rollout, may be unknown to a replica."""

_KEY: Final = "learning/key"
_KEY_KEPT_S: Final = 10 * 365 * 86_400.0

_VERDICTS = metrics.get_meter("antiphon").create_counter(
    "antiphon.learning.verdicts", "{turn}", "Turns by how they ended for the user"
)

_SAYS_NOTHING: Final = frozenset({Outcome.REJECTED, Outcome.NO_SPEECH})
"""Turns in which nobody asked for anything."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A row that waits for its verdict, with what is counted in memory and not written down.

    Attributes:
        tenant: its real name.
        rewrite: id of the rewrite of these words, applied or held out; empty for none. It would tell the words.
    """

    tenant: str
    interaction: Interaction
    rewrite: str = ""


@dataclass(frozen=True, slots=True)
class Learning:
    """What a deployment says about it.

    Attributes:
        log_url: where the interaction log is kept, any URL of fsspec; empty keeps none.
        key: secret that pseudonyms are made with; empty makes one and keeps it in the store.
        keep_days: days after which rows of the log are removed.
    """

    log_url: str = ""
    key: str = field(default="", repr=False)
    keep_days: int = 90


@dataclass
class School:
    """What a replica learns with. `now` is in seconds since 1970."""

    names: Pseudonyms
    feedback: FeedbackBook
    log: InteractionLog
    published: RewriteBook
    rewrites: RewriteTable
    trial: RankerTrial
    now: Callable[[], float] = time.time
    _owners: dict[str, str] = field(default_factory=dict)  # of the turns that the watch holds
    _scores: dict[tuple[str, str], Counter[Score]] = field(default_factory=lambda: defaultdict(Counter))

    def __post_init__(self) -> None:
        self._watch: RewardWatch[_Row] = RewardWatch(self._settle)

    @classmethod
    async def open(cls, store: SessionStore, feedback: FeedbackBook, rankers: Rankers, settings: Learning) -> School:
        """The school of a replica; a log that cannot be kept is complained about, and the replica goes on without."""
        names = await pseudonyms(store, settings.key)
        published = RewriteBook(store, names)
        return cls(
            names,
            feedback,
            await opened_log(settings.log_url, settings.keep_days),
            published,
            RewriteTable(published),
            RankerTrial(RolloutBook(store), rankers),
        )

    def over(
        self, context: TurnContext, text: str, decision: Decision | None, delivery: Delivery, *, retain_text: bool
    ) -> None:
        """A turn is over. What was said is compared in memory, and kept only if `retain_text`. Never waits or fails."""
        if context.profile.dry_run:
            return
        try:
            self._learn(context, text, decision, delivery, retain_text=retain_text)
        except Exception as error:  # noqa: BLE001 - the next turn of the conversation needs nothing of this
            log.error("nothing was learned from a turn: %s", type(error).__name__)

    def _learn(
        self, context: TurnContext, text: str, decision: Decision | None, delivery: Delivery, *, retain_text: bool
    ) -> None:
        profile = context.profile
        known = self.rewrites.known(profile.tenant, profile.locale, text)
        interaction = self._row(context, text, decision, delivery, retain_text=retain_text)
        row = _Row(profile.tenant, interaction, known.rewrite_id if known else "")
        owner = _owner(profile, context.session_id)
        said = _said(text, decision, delivery)
        if delivery.outcome not in _SAYS_NOTHING:
            self._watch.begun(owner, said, context.now)
        verdict = _at_once(delivery)
        if verdict is None:
            self._owners[context.turn_id] = owner
            self._watch.ended(owner, context.turn_id, said, row, self.now())
        else:
            self._settle(row, verdict)
        if decision is not None:
            self.trial.show(decision.candidates, decision.out_of_scope)

    def interrupted(self, profile: Profile, session_id: str, turn_id: str) -> None:
        """The user speaks over the answer of an earlier turn that is still being heard."""
        if (row := self._watch.take(_owner(profile, session_id), turn_id)) is not None:
            self._settle(row, Verdict.INTERRUPTED)

    def remarked(self, tenant: str, turn_id: str, kind: str) -> None:
        """Somebody said how a turn went; `kind` is a name of the contract's FeedbackKind.

        The feedback book has it from `explanations`, which knows turns of other replicas and of earlier days too.
        """
        self.log.remark(Remark(turn_id, self.names.of("tenant", tenant), kind, self.now()))
        reward, owner = SAID.get(kind), self._owners.pop(turn_id, "")
        if owner and reward is not None and (row := self._watch.take(owner, turn_id)) is not None:
            self._settle(row, Verdict.COMPLETED if reward else Verdict.FAILED, booked=True)

    async def follow(self) -> None:
        """Settle, report and read again, for ever."""
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001 - a value that cannot be read must not end the learning
                log.error("learning is held up: %s", type(error).__name__)

    async def refresh(self) -> None:
        """Once: what is quiet has ended well; rewrites and rankers are reported on and read again."""
        self._watch.settle_quiet(self.now())
        await self._report()
        await self.rewrites.refresh()
        await self.trial.refresh()

    async def close(self) -> None:
        """Write down what is known when the replica stops."""
        self._watch.close()
        await self._report()
        await self.log.close()

    def _settle(self, row: _Row, verdict: Verdict, *, booked: bool = False) -> None:
        self._owners.pop(row.interaction.turn_id, None)
        _VERDICTS.add(1, {"verdict": str(verdict)})
        turn = replace(row.interaction, verdict=str(verdict), reward=verdict.reward)
        self.log.record(turn)
        if turn.reward is None:
            return
        good = turn.reward == 1.0
        if turn.skill_id and not booked:
            self.feedback.record(row.tenant, turn.skill_id, turn.intent, good=good)
        if row.rewrite:
            self._scores[turn.tenant, turn.locale][Score(row.rewrite, turn.held_out, good)] += 1
        for arm in turn.arms:
            self.trial.reward(arm, good=good)

    async def _report(self) -> None:
        """Wins and losses of rewrites. What cannot be told now is told with the next ones."""
        for key in tuple(self._scores):
            scores = self._scores.pop(key)
            try:
                for retired in await self.published.report(*key, scores):
                    log.warning("rewrite %s is retired: it does worse than none", retired)
            except AntiphonError as error:
                log.warning("rewrites were not reported on: %s", error.reason)
                self._scores[key].update(scores)
                return

    def _row(
        self, context: TurnContext, text: str, decision: Decision | None, delivery: Delivery, *, retain_text: bool
    ) -> Interaction:
        profile, names = context.profile, self.names
        owner = owner_of(profile.user_id, profile.device_id, context.session_id)
        row = Interaction(
            turn_id=context.turn_id,
            session_id=context.session_id,
            tenant=names.of("tenant", profile.tenant),
            user=names.of("user", profile.tenant, owner),
            at=context.now,
            locale=profile.locale,
            turn_type=str(context.turn_type),
            text=plain(text) if retain_text else "",
            answers_question=context.state.pending is not None,
            outcome=str(delivery.outcome),
            held_out=self.rewrites.holds_out(context.session_id),
        )
        if decision is None:
            return row
        told = self._with_decision(row, decision, delivery)
        return told if retain_text or not told.rewrite_id else replace(told, rewrite_id=UNNAMED)

    def _with_decision(self, row: Interaction, decision: Decision, delivery: Delivery) -> Interaction:
        options, chosen = options_of(decision)
        winner = decision.winner
        hypothesis = delivery.served or (winner.hypothesis if winner else None)
        if delivery.failed:  # another was tried, or none: how the turn ended says nothing about what was chosen
            chosen = -1
        arm = self.trial.arm(row.session_id)
        return replace(
            row,
            form=form_of(hypothesis),
            action=str(decision.action),
            reason=str(decision.reason),
            skill_id=hypothesis.skill_id if hypothesis else "",
            intent=hypothesis.intent if hypothesis else "",
            risk=str(winner.risk) if winner else "",
            options=options,
            chosen=chosen,
            out_of_scope=decision.out_of_scope,
            propensity=decision.propensity,
            explored=decision.explored,
            rewrite_id=decision.rewrite_id,
            arms=(*decision.arms, *([arm] if arm else [])),
            misses=tuple(stage.stage for stage in decision.stages if stage.missed),
            ranker=decision.ranker.model if decision.ranker else "",
        )


async def pseudonyms(store: SessionStore, key: str = "") -> Pseudonyms:
    """The installation's names: by its own key, else by one that is made once and kept in the store.

    A store that is away costs the tie to earlier rows, not the start: this replica then has a key of its own.
    """
    if key:
        return Pseudonyms(key.encode())
    fresh = secrets.token_bytes(32)
    try:
        if (found := await store.get(OWNER, _KEY)) is not None:
            return Pseudonyms(found.value)
        try:
            await store.put(OWNER, _KEY, fresh, ttl=_KEY_KEPT_S, expected=ABSENT)
        except Conflict:  # another replica was faster
            if (found := await store.get(OWNER, _KEY)) is not None:
                return Pseudonyms(found.value)
    except AntiphonError as error:
        log.warning("the key of the interaction log was not read: %s", error.reason)
    return Pseudonyms(fresh)


async def opened_log(url: str, keep_days: int) -> InteractionLog:
    """The log at a URL; one that keeps nothing when there is none, or it cannot be written."""
    if not url:
        return InteractionLog()
    try:
        # Who keeps no log need not have Parquet.
        from services.arbitration.learning.parquet import ParquetPlace

        place = await asyncio.to_thread(ParquetPlace, url, keep_days)
        await asyncio.to_thread(place.check)
    except ImportError as error:
        log.error("no interaction log is kept: %s is missing; pip install 'antiphon[learning]'", error.name)
    except AntiphonError as error:
        log.error("no interaction log is kept: %s", error.message)
    else:
        return InteractionLog(place)
    return InteractionLog()


def _owner(profile: Profile, session_id: str) -> str:
    return f"{profile.tenant}\0{owner_of(profile.user_id, profile.device_id, session_id)}"


def _said(text: str, decision: Decision | None, delivery: Delivery) -> Said:
    served = delivery.served
    if served is None:
        return Said(plain(text))
    slots = plain(" ".join(slot.text for slot in sorted(served.slots, key=lambda slot: slot.name)))
    winner = decision.winner if decision else None
    return Said(plain(text), served.intent, slots, changed=winner is not None and winner.side_effects)


def _at_once(delivery: Delivery) -> Verdict | None:
    """The verdict of a turn that needs no waiting; None when what follows decides.

    That a part of the platform or a skill was away speaks against no wording and no choice: such a turn is open.
    """
    if delivery.outcome is Outcome.ANSWERED:
        return Verdict.OPEN if delivery.reason in (Reason.DENIED_BY_USER, "REPEATED") else None
    if delivery.outcome is Outcome.NOT_UNDERSTOOD and delivery.reason != "NLU_UNAVAILABLE":
        return Verdict.FAILED
    interrupted = delivery.outcome is Outcome.INTERRUPTED and delivery.reason == "BARGE_IN"
    return Verdict.INTERRUPTED if interrupted else Verdict.OPEN
