"""`antiphon.nlu.v1.LanguageUnderstandingService`: from messages to the domain and back, nothing else.

Served by the runtime as `app.py` declares it. An utterance takes a few milliseconds, so a stream answers its updates
one after the other; nothing is gained by overtaking.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from google.protobuf.duration_pb2 import Duration

from antiphon.nlu.v1 import understanding_pb2 as pb
from antiphon.skill.v1 import manifest_pb2
from antiphon.types.v1 import (
    answer_pb2,
    context_pb2,
    provenance_pb2,
    session_pb2,
    text_pb2,
    understanding_pb2,
)
from services.nlu.acts import DialogueAct, dialogue_acts
from services.nlu.conversation_messages import conversation
from services.nlu.engines.engine import EngineInfo
from services.nlu.interpreter import Interpreter
from services.nlu.locale_messages import examples_of, new_locale
from services.nlu.locales.adding import Locales, State
from services.nlu.manifests import OwnCatalogues, skill_of
from services.nlu.one_vs_all.updating import SkillUpdates
from services.nlu.provenance import VALUES, provenances, trained_provenance
from services.nlu.skill_messages import model_provenance, own_models, update_response, wanted_update
from services.nlu.sources import PHRASES
from services.nlu.understanding import (
    Alternative,
    Interpretation,
    Mode,
    Options,
    Situation,
    Slot,
    SlotOrigin,
    Understanding,
)
from services.nlu.value_messages import to_message
from services.runtime.admission import Limits
from services.runtime.calls import Call
from services.runtime.errors import AntiphonError, FailedPrecondition, Internal, InvalidInput
from services.runtime.statuses import to_status

_MAX_REQUEST_ID = 64
_DEFAULT_INTERPRETATIONS = 5
_FIRST_YEAR, _LAST_YEAR = 1900, 9000  # dates are reckoned from here; the calendar ends at 9999
_MOST_WARNINGS = 100
_MOST_OWN_ENTRIES = 5_000  # indexing them takes a quarter of a second

_CLASSES = (provenance_pb2.LATENCY_CLASS_UNSPECIFIED, provenance_pb2.LATENCY_CLASS_INTERACTIVE)


class LanguageUnderstandingServicer:
    """One per replica.

    Args:
        interpreter: the domain.
        updates: takes manifests of skills.
        locales: those that are added while the platform runs.
        pool: name of the pool, for provenance.
        limits: of the replica, told to clients when a session starts.
        threshold: probability from which on out of scope is said, where a request names none.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        updates: SkillUpdates,
        locales: Locales,
        pool: str,
        limits: Limits,
        threshold: float,
    ) -> None:
        self._interpreter = interpreter
        self._locales = locales
        self._pool = pool
        self._limits = limits
        self._threshold = threshold
        self._own_catalogues = OwnCatalogues()
        self._updates = updates

    async def Interpret(self, request: pb.InterpretRequest, call: Call) -> pb.InterpretResponse:
        return await self._interpret(request, call.remaining())

    async def StreamingInterpret(
        self, requests: AsyncIterator[pb.StreamingInterpretRequest], call: Call
    ) -> AsyncGenerator[pb.StreamingInterpretResponse, None]:
        first = await anext(requests, None)
        if first is None or first.WhichOneof("request") != "config":
            raise InvalidInput("The first message is config.", reason="CONFIG_MISSING", field="config")
        self._check_config(first.config)
        yield pb.StreamingInterpretResponse(session_started=self._started(first.config))
        async for request in requests:
            match request.WhichOneof("request"):
                case "update":
                    yield await self._answer(request.update, first.config, call)
                case "end_of_input":
                    return
                case "config":
                    raise InvalidInput("config may come only once.", reason="CONFIG_TWICE", field="config")
                case _:
                    raise InvalidInput("The message holds no request.", reason="MESSAGE_EMPTY")
        raise InvalidInput("The stream closed without end_of_input: cancelled.", reason="END_MISSING")

    async def UpdateSkill(self, request: pb.UpdateSkillRequest, call: Call) -> pb.UpdateSkillResponse:
        """The phrases serve when it answers; the skill's own models follow within seconds, and a repeat tells."""
        call.require("admin")
        taken = await self._updates.take(skill_of(request.manifest), wanted_update(request))
        return update_response(taken, self._pool)

    async def AddLocale(self, request: pb.AddLocaleRequest, call: Call) -> pb.AddLocaleResponse:
        """Running when it first answers; a repeat with the same key tells how far it is."""
        call.require("admin")
        new = await asyncio.to_thread(new_locale, request)
        addition = await self._locales.add(new, request.idempotency_key, validate_only=request.validate_only)
        made = pb.AddLocaleResponse(
            state=pb.UpdateState.Value(f"UPDATE_STATE_{addition.state.value}"),
            lexicon_coverage=addition.coverage,
            warnings=addition.warnings[:_MOST_WARNINGS],
        )
        reader = self._locales.reader(new.locale)
        if addition.state is State.SERVING and reader is not None:
            made.model.CopyFrom(trained_provenance(reader.info, self._pool, new.locale))
        if addition.failure:
            made.error.CopyFrom(to_status(Internal("The locale could not be learnt.", reason=addition.failure)))
        return made

    async def _interpret(self, request: pb.InterpretRequest, deadline: float | None) -> pb.InterpretResponse:
        started = time.perf_counter()
        options = _options(request.options, self._interpreter.infos, self._threshold)
        understanding = await self._interpreter.interpret(
            _alternatives(request),
            request.language_code,
            options,
            _situation(request.context),
            deadline,
            self._own_catalogues.of(_few_enough(request.options)),
            conversation(request.context),
        )
        models = self._models(understanding.language, options)
        models |= self._own_models(understanding)
        made = _response(understanding, models, time.perf_counter() - started)
        if request.options.dialogue_acts:
            made.dialogue_acts.extend(_act(one) for one in dialogue_acts(understanding))
        return made

    async def _answer(
        self, update: pb.InterpretUpdate, config: pb.StreamingInterpretConfig, call: Call
    ) -> pb.StreamingInterpretResponse:
        """The result of one update, or its error: the stream goes on."""
        answer = pb.StreamingInterpretResponse(request_id=update.request_id[:_MAX_REQUEST_ID], revision=update.revision)
        try:
            if not 0 < len(update.request_id) <= _MAX_REQUEST_ID:
                raise InvalidInput(
                    f"request_id has 1 to {_MAX_REQUEST_ID} characters.",
                    reason="REQUEST_ID_INVALID",
                    field="update.request_id",
                )
            answer.result.CopyFrom(await self._interpret(_completed(update, config), _deadline(update, call)))
        except AntiphonError as error:
            answer.error.CopyFrom(to_status(error))
        return answer

    def _check_config(self, config: pb.StreamingInterpretConfig) -> None:
        """A config that no update could go by is refused at once."""
        self._interpreter.served(config.language_code)
        _options(config.options, self._interpreter.infos, self._threshold)
        _situation(config.context)

    def _started(self, config: pb.StreamingInterpretConfig) -> session_pb2.SessionStarted:
        served = self._interpreter.served(config.language_code)
        options = _options(config.options, self._interpreter.infos, self._threshold)
        return session_pb2.SessionStarted(
            session_id=uuid.uuid4().hex,
            max_duration=_duration(self._limits.session_s),
            idle_timeout=_duration(self._limits.idle_s),
            models=self._models(served, options).values(),
        )

    def _own_models(self, understanding: Understanding) -> dict[str, provenance_pb2.ModelProvenance]:
        """The models of single skills that took part: thousands are served."""
        taught = self._interpreter.library.shelf.taught
        names = {source for one in understanding.interpretations for source in one.sources}
        return {
            name: model_provenance(taught[skill], self._pool, understanding.language)
            for name in sorted(names)
            if (skill := own_models(name)) in taught
        }

    def _models(self, language: str, options: Options) -> dict[str, provenance_pb2.ModelProvenance]:
        """What reads this language here under these options, by name, trained models first."""
        by_examples = self._interpreter.by_examples if options.examples else None
        shelf = self._interpreter.library.shelf
        return provenances(
            self._interpreter.reading(language, options), shelf.digest, self._pool, language, by_examples
        )


def _completed(update: pb.InterpretUpdate, config: pb.StreamingInterpretConfig) -> pb.InterpretRequest:
    """The update's request; fields it leaves unset are the config's."""
    request = pb.InterpretRequest()
    request.CopyFrom(update.request)
    if not request.language_code:
        request.language_code = config.language_code
    if not request.HasField("context"):
        request.context.CopyFrom(config.context)
    if not request.HasField("options"):
        request.options.CopyFrom(config.options)
    return request


def _deadline(update: pb.InterpretUpdate, call: Call) -> float | None:
    """The sooner of the update's own limit and the call's."""
    left = call.remaining()
    if not update.HasField("timeout"):
        return left
    own = float(update.timeout.ToNanoseconds() / 1e9)
    return own if left is None else min(own, left)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def _alternatives(request: pb.InterpretRequest) -> list[Alternative]:
    return [
        Alternative(one.spoken_text, one.confidence if one.HasField("confidence") else None)
        for one in request.alternatives
    ]


def _options(given: pb.UnderstandingOptions, infos: Sequence[EngineInfo], threshold: float) -> Options:
    """How to read. What the request asks for and this pool does not have is refused, never passed over.

    Raises:
        InvalidInput: `EXAMPLES_MISSING`.
        FailedPrecondition: `MODE_NOT_SERVED`, `LATENCY_CLASS_NOT_SERVED`, `MODEL_MISSING`.
    """
    modes = _modes(given.modes)
    if given.modes and not modes:
        raise FailedPrecondition(
            "None of the modes that the request allows is known here.", reason="MODE_NOT_SERVED", field="options.modes"
        )
    if modes == {Mode.IN_CONTEXT} and not given.examples:
        raise InvalidInput(
            "A request to be read by examples alone brings some.", reason="EXAMPLES_MISSING", field="options.examples"
        )
    if given.latency_class not in _CLASSES:
        raise FailedPrecondition(
            "There is one model of each lineage, of the class INTERACTIVE.",
            reason="LATENCY_CLASS_NOT_SERVED",
            field="options.latency_class",
        )
    names = {name for info in infos for name in (info.model, info.model.partition("@")[0])} | {PHRASES}
    if given.model and given.model not in names:
        raise FailedPrecondition(
            f"This pool serves {', '.join(sorted(names))}.", reason="MODEL_MISSING", field="options.model"
        )
    return Options(
        max_interpretations=given.max_interpretations or _DEFAULT_INTERPRETATIONS,
        skills=frozenset(given.skill_ids),
        out_of_scope_threshold=(
            given.out_of_scope_threshold if given.HasField("out_of_scope_threshold") else threshold
        ),
        resolve_values=given.resolve_values if given.HasField("resolve_values") else True,
        modes=modes,
        model=given.model,
        examples=tuple(examples_of(given.examples)),
    )


def _modes(given: Iterable[int]) -> frozenset[Mode]:
    """Modes that are not known allow nothing that is here."""
    known = provenance_pb2.ModelMode.DESCRIPTOR.values_by_number
    names = {known[one].name.removeprefix("MODEL_MODE_") for one in given if one in known}
    return frozenset(mode for mode in Mode if mode.value in names)


def _situation(context: context_pb2.TurnContext) -> Situation:
    """Now and where, as the turn says; the server's clock and UTC where it does not."""
    now = datetime.now(UTC)
    if context.HasField("now"):
        try:
            now = context.now.ToDatetime(UTC)
        except (ValueError, OverflowError):
            now = datetime.min.replace(tzinfo=UTC)
    if not _FIRST_YEAR <= now.year <= _LAST_YEAR:
        raise InvalidInput(
            f"now lies between the years {_FIRST_YEAR} and {_LAST_YEAR}.", reason="OUT_OF_RANGE", field="context.now"
        )
    return Situation(now, context.session.time_zone, context.session.region)


def _few_enough(options: pb.UnderstandingOptions) -> Sequence[manifest_pb2.Catalogue]:
    """The user's own catalogues, unless they hold too many entries."""
    count = sum(len(one.entries) for one in options.catalogues)
    if count > _MOST_OWN_ENTRIES:
        raise InvalidInput(
            f"The catalogues of a request have at most {_MOST_OWN_ENTRIES} entries, not {count}.",
            reason="CATALOGUES_TOO_LARGE",
            field="options.catalogues",
        )
    return options.catalogues


def _response(
    understanding: Understanding, models: Mapping[str, provenance_pb2.ModelProvenance], seconds: float
) -> pb.InterpretResponse:
    """The readings with their provenance; `seconds` is the time it took."""
    made = pb.InterpretResponse(
        texts=understanding.texts,
        interpretations=[_interpretation(one, understanding, models) for one in understanding.interpretations],
        out_of_scope_score=understanding.out_of_scope_score,
        language_code=understanding.language,
        models=models.values(),
    )
    made.elapsed.FromNanoseconds(round(seconds * 1e9))
    return made


def _act(one: DialogueAct) -> answer_pb2.DialogueAct:
    kind = answer_pb2.DialogueActType.Value(f"DIALOGUE_ACT_TYPE_{one.act.value}")
    return answer_pb2.DialogueAct(type=kind, domain=one.domain, confidence=one.confidence)


def _interpretation(
    one: Interpretation, understanding: Understanding, models: Mapping[str, provenance_pb2.ModelProvenance]
) -> understanding_pb2.Interpretation:
    return understanding_pb2.Interpretation(
        intent=one.intent,
        skill_id=one.skill,
        slots=[_slot(slot) for slot in one.slots],
        score=one.score,
        intent_confidence=one.intent_confidence,
        out_of_scope=one.out_of_scope,
        hypothesis_index=one.hypothesis,
        text=understanding.texts[one.hypothesis],
        models=[models[name] for name in (*one.sources, VALUES) if name in models and (one.slots or name != VALUES)],
        language_code=understanding.language,
    )


def _slot(slot: Slot) -> understanding_pb2.Slot:
    return understanding_pb2.Slot(
        name=slot.name,
        value=to_message(slot.value),
        text=slot.text,
        span=text_pb2.TextSpan(start=slot.start, end=slot.end) if slot.origin is SlotOrigin.SPOKEN else None,
        confidence=slot.confidence,
        origin=understanding_pb2.SlotOrigin.Value(f"SLOT_ORIGIN_{slot.origin.value}"),
        source_turn_id=slot.source_turn,
        alternatives=[to_message(other) for other in slot.alternatives],
        catalogue_hit=slot.catalogue_hit,
    )
