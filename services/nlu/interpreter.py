"""What an utterance wants: the n-best texts of a turn in, ranked intents with typed slots out.

`servicer.py` calls `Interpreter.interpret` once per utterance or partial. Several engines read all alternatives: the
phrases of the skills (`engines/phrases.py`), and trained models. A trained model's probability of an intent is the mean
over the alternatives, weighted by the recogniser's confidence; a phrase counts where it fits best, a little less the
further down its alternative stands. `combining.py` makes one list of it. Out of scope is a reading like any other, so
that the caller can weigh it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from services.nlu.claims import claimed
from services.nlu.combining import Evidence, beforehand, merged, shares, tempered
from services.nlu.engines.engine import OUT_OF_SCOPE, EngineInfo, IntentEngine, Reading
from services.nlu.engines.label_readers import LabelReaders, is_broad
from services.nlu.engines.labels import LabelReader
from services.nlu.following import Conversation, followed, referred
from services.nlu.in_context import ExampleReader
from services.nlu.library import Shelf, SkillLibrary
from services.nlu.locales.adding import Locales
from services.nlu.one_vs_all.reading import by_likeness
from services.nlu.resolving import Resolver, Sentence
from services.nlu.sources import LEAST, Heard, by_labels, by_phrases, complete
from services.nlu.text import normalise, tokenise
from services.nlu.understanding import (
    Alternative,
    Interpretation,
    Mode,
    Options,
    Situation,
    Slot,
    Understanding,
)
from services.nlu.values.entities import Catalogue, EntityIndex
from services.nlu.values.finder import Finder
from services.nlu.values.places import Gazetteer, known_zone
from services.runtime.errors import FailedPrecondition, InvalidInput
from services.runtime.language import best_supported, canonical

MAX_ALTERNATIVES = 30
MAX_INTERPRETATIONS = 50
_TRIED = 5  # alternatives whose slots are read to choose one
_UNREAD = 0.4  # what a slot counts whose words could not be read as a value
_DECAY = 0.5  # weight of each further alternative when the recogniser gives no confidence
_SAID_WHOLE = 0.92  # a phrase from here on needs no model to agree
_LEAST_TRUST = 0.6
_MANY_ENTRIES = 50  # of a user's own catalogue: indexing them takes milliseconds


_NOTHING_SAID = Conversation()
_ANY = Options()


class Interpreter:
    """Reads utterances by the phrases of a library and with trained engines.

    Args:
        engine: knows a few intents by their full names, in several languages.
        labels: know labels of public taxonomies, which skills claim; those that serve the locale are asked.
        examples: goes by examples of a request; None where there is no model to compare sentences by.
        added: locales that came while the platform ran.
    """

    def __init__(
        self,
        engine: IntentEngine,
        gazetteer: Gazetteer,
        library: SkillLibrary,
        labels: Sequence[LabelReader] = (),
        examples: ExampleReader | None = None,
        added: Locales | None = None,
    ) -> None:
        self._engine = engine
        self._gazetteer = gazetteer
        self._library = library
        self._labels = LabelReaders(labels, lambda: added.readers if added else ())
        self._added = added
        self._examples = examples

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    @property
    def infos(self) -> tuple[EngineInfo, ...]:
        """All trained models."""
        return (self._engine.info, *self._labels.infos)

    def reading(self, language: str, options: Options = _ANY) -> tuple[EngineInfo, ...]:
        """The trained models that read a language under these options."""
        own = (self._engine.info,) if self._reads(language, options) else ()
        return (*own, *(one.info for one in self._readers(language, options)))

    @property
    def by_examples(self) -> EngineInfo | None:
        """The model that goes by examples of a request, if there is one."""
        return self._examples.info if self._examples else None

    @property
    def library(self) -> SkillLibrary:
        return self._library

    @property
    def locales(self) -> tuple[str, ...]:
        """All that some engine reads."""
        of_models = {tag for info in self.infos for tag in info.locales}
        return tuple(sorted({*of_models, *self._library.shelf.locales}))

    async def interpret(
        self,
        alternatives: Sequence[Alternative],
        language: str,
        options: Options,
        situation: Situation,
        deadline: float | None = None,
        catalogues: Sequence[Catalogue] = (),
        conversation: Conversation = _NOTHING_SAID,
    ) -> Understanding:
        """Ranked readings of one utterance.

        Args:
            alternatives: best first, 1 to 30.
            language: BCP-47 tag of the request.
            deadline: seconds the caller still waits.
            catalogues: the user's own, beside those of the skills.
            conversation: what was said before this utterance.

        Raises:
            InvalidInput: no or bad text, too many alternatives, an option out of range, an unknown time zone.
            FailedPrecondition: `LOCALE_NOT_SERVED`, `MODE_NOT_SERVED` or `IN_CONTEXT_NOT_SERVED`.
            DeadlineExceeded, Overloaded: from the engine.
        """
        served = self.served(language)
        _check(alternatives, options, situation)
        heard = _heard(alternatives)
        shelf = self._library.shelf
        read_as = self._relative(served)
        await _indexed(catalogues, read_as.partition("-")[0])
        finder = Finder(read_as, situation, self._gazetteer, _catalogues(shelf, catalogues), conversation.pointed)
        evidence: list[Evidence] = []
        trained: dict[str, float] = {}
        self._check_modes(served, options)
        if self._reads(served, options):
            readings = await self._engine.read(heard.tokens, deadline)
            trained = _allowed(_posterior(readings, heard.weights), options.skills, shelf)
            resolver = Resolver(self._gazetteer, read_as.partition("-")[0], situation, typed=options.resolve_values)
            evidence += self._trained(trained, readings, heard, resolver)
        said: list[Evidence] = []
        awaited: list[Evidence] = []
        if options.allows(Mode.RULES):
            said = by_phrases(heard, await shelf.book(read_as), finder, options)
            awaited = _wanted(followed(heard.texts, heard.tokens, finder, shelf.intents, conversation), options.skills)
        if self._added and options.allows(Mode.ZERO_SHOT) and (made := self._added.book(served)):
            model, book = made
            said += by_phrases(heard, book, finder, options, model)
        likely = beforehand(said, awaited)
        from_phrases = max((one.confidence for one in said), default=0.0)
        from_conversation = max((one.confidence for one in awaited), default=0.0)
        said += awaited
        phrases = {one.intent: one.confidence for one in sorted(said, key=lambda one: one.confidence)}
        from_models = min(1.0, sum(trained.values()))
        if readers := self._readers(served, options):
            labelled = await self._labels.read(readers, heard.tokens, deadline)
            claims, covered = claimed(shelf, labelled, heard.weights, options.skills)
            from_models = max(from_models, covered)
            if any(is_broad(one.info) for one in readers):
                from_phrases = _doubted(from_phrases, from_models)
            names = tuple(one.info.model for one in readers)
            evidence += by_labels(heard, shelf, claims, labelled, finder, options, names)
            trained = _likeliest(trained, claims)
        if options.allows(Mode.FINETUNED):
            like, covered = by_likeness(heard, shelf, await shelf.likeness(read_as), finder, options, said)
            from_models = max(from_models, covered)
            evidence += like
            trained = _likeliest(trained, {one.intent: one.confidence for one in like})
        if options.examples and self._examples is not None and options.allows(Mode.IN_CONTEXT):
            recalled, covered = await self._examples.read(heard, options, shelf, finder, read_as, deadline)
            from_models = max(from_models, covered)
            evidence += recalled
            trained = _likeliest(trained, {one.intent: one.confidence for one in recalled})
        trained = tempered(trained, (*evidence, *said), likely, from_conversation)
        shared = shares(trained, phrases, (from_models, from_phrases, from_conversation), likely)
        whole = referred((*evidence, *said), heard.tokens, finder, shelf.intents, conversation)
        return _understanding(heard.texts, merged(whole), shared, options, served)

    def served(self, language: str) -> str:
        """The locale that serves a request's; raises InvalidInput or FailedPrecondition `LOCALE_NOT_SERVED`."""
        wanted = canonical(language, field="language_code")
        served = best_supported((wanted,), self.locales)
        if served is None:
            raise FailedPrecondition(
                f"Neither a model nor a skill's phrases read {wanted}; served are {', '.join(self.locales)}.",
                reason="LOCALE_NOT_SERVED",
                field="language_code",
                metadata={"locale": wanted},
            )
        return served

    def _relative(self, served: str) -> str:
        """The locale whose phrases and grammar of values serve it best: Swiss German is read as German."""
        return best_supported((served,), (*self._engine.info.locales, *self._library.shelf.locales)) or served

    def _reads(self, served: str, options: Options) -> bool:
        """Whether the engine of known intents is asked."""
        return options.allows(Mode.FINETUNED) and self._engine.info.serves(served) is not None

    def _readers(self, served: str, options: Options) -> tuple[LabelReader, ...]:
        """The readers of labels to ask. One that was never trained on the language would only guess where a model of
        known intents was; the request may ask for it all the same."""
        readers = self._labels.serving(served, options)
        if options.model or options.modes or not self._engine.info.serves(served):
            return readers
        return tuple(one for one in readers if one.info.mode(served) is Mode.FINETUNED)

    def _check_modes(self, served: str, options: Options) -> None:
        """Refuses a request whose modes leave nobody to read it, and examples that nobody would go by."""
        if options.examples and (self._examples is None or not options.allows(Mode.IN_CONTEXT)):
            raise FailedPrecondition(
                "Examples need a model that goes by them and a request that allows the mode IN_CONTEXT.",
                reason="IN_CONTEXT_NOT_SERVED",
                field="options.examples",
            )
        by_rules = options.allows(Mode.RULES) and self._relative(served) in self._library.shelf.locales
        if not (by_rules or options.examples or self._reads(served, options) or self._readers(served, options)):
            raise FailedPrecondition(
                f"Nothing reads {served} in a mode that the request allows.",
                reason="MODE_NOT_SERVED",
                field="options.modes",
                metadata={"locale": served},
            )

    def _trained(
        self, intents: Mapping[str, float], readings: Sequence[Reading], heard: Heard, resolver: Resolver
    ) -> list[Evidence]:
        sentences = [
            Sentence(text, own, reading.slots)
            for text, own, reading in zip(heard.texts, heard.tokens, readings, strict=True)
        ]
        made = []
        for intent, probability in intents.items():
            if probability < LEAST:
                continue
            parts = [weight * one.intents.get(intent, 0.0) for weight, one in zip(heard.weights, readings, strict=True)]
            hypothesis, slots = _best_hypothesis(intent, parts, sentences, resolver)
            known = self._library.shelf.intents.get(intent)
            made.append(Evidence(intent, probability, hypothesis, slots, complete(known, slots), (self.info.model,)))
        return made


def _heard(alternatives: Sequence[Alternative]) -> Heard:
    texts = tuple(normalise(one.text, field=f"alternatives[{at}].spoken_text") for at, one in enumerate(alternatives))
    return Heard(texts, [tokenise(text) for text in texts], _weights(alternatives))


def _likeliest(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: max(one.get(name, 0.0), other.get(name, 0.0)) for name in (*one, *other)}


def _wanted(evidence: Iterable[Evidence], skills: frozenset[str]) -> list[Evidence]:
    return [one for one in evidence if not skills or one.intent.partition(".")[0] in skills]


def _doubted(by_phrases: float, by_models: float) -> float:
    """What phrases say for the scope where a model that knows thousands of sentences says otherwise."""
    return by_phrases if by_phrases >= _SAID_WHOLE else by_phrases * (_LEAST_TRUST + (1 - _LEAST_TRUST) * by_models)


def _understanding(
    texts: tuple[str, ...],
    evidence: Sequence[Evidence],
    shared: tuple[dict[str, float], float],
    options: Options,
    served: str,
) -> Understanding:
    probabilities, outside = shared
    by_intent = {one.intent: one for one in evidence}
    surest = max((*(one.confidence for one in evidence), *probabilities.values()), default=0.0)

    def interpretation(intent: str) -> Interpretation:
        if intent == OUT_OF_SCOPE:
            return Interpretation("", outside, outside, (), 0)
        one, share = by_intent[intent], probabilities[intent]
        weakest = min((slot.confidence for slot in one.slots), default=1.0)
        return Interpretation(intent, share * weakest, share, one.slots, one.hypothesis, one.sources)

    ranked = _ranked({name: probabilities[name] for name in by_intent}, outside, surest, options)
    return Understanding(texts, tuple(map(interpretation, ranked)), outside, served)


def _catalogues(shelf: Shelf, own: Iterable[Catalogue]) -> Mapping[str, Catalogue]:
    """The skills' catalogues by "skill.name", the user's by their bare name."""
    users = {one.name: one for one in own}
    return {**shelf.catalogues, **users} if users else shelf.catalogues


async def _indexed(catalogues: Iterable[Catalogue], language: str) -> None:
    """Large catalogues of a request are indexed off the event loop, so that others are served meanwhile."""
    for one in catalogues:
        if len(one.entries) > _MANY_ENTRIES:
            await asyncio.to_thread(EntityIndex.of, one, language)


def _check(alternatives: Sequence[Alternative], options: Options, situation: Situation) -> None:
    if not 0 < len(alternatives) <= MAX_ALTERNATIVES:
        raise InvalidInput(
            f"An utterance has 1 to {MAX_ALTERNATIVES} alternatives, not {len(alternatives)}.",
            reason="ALTERNATIVES_OUT_OF_RANGE",
            field="alternatives",
        )
    for at, one in enumerate(alternatives):
        if one.confidence is not None and not 0 <= one.confidence <= 1:
            raise InvalidInput(
                "A confidence is 0 to 1.", reason="CONFIDENCE_OUT_OF_RANGE", field=f"alternatives[{at}].confidence"
            )
    if not 0 < options.max_interpretations <= MAX_INTERPRETATIONS:
        raise InvalidInput(
            f"max_interpretations is 1 to {MAX_INTERPRETATIONS}.",
            reason="OPTION_OUT_OF_RANGE",
            field="options.max_interpretations",
        )
    if not 0 <= options.out_of_scope_threshold <= 1:
        raise InvalidInput(
            "out_of_scope_threshold is 0 to 1.", reason="OPTION_OUT_OF_RANGE", field="options.out_of_scope_threshold"
        )
    if situation.time_zone and not known_zone(situation.time_zone):
        raise InvalidInput(
            "The time zone is no name of the IANA database, such as Europe/Vienna.",
            reason="TIME_ZONE_UNKNOWN",
            field="context.session.time_zone",
        )


def _weights(alternatives: Sequence[Alternative]) -> list[float]:
    """Shares that sum to 1; without confidences (or with zeros only) each alternative counts half its forerunner."""
    given = [one.confidence for one in alternatives]
    raw = [value for value in given if value is not None]
    if len(raw) < len(given) or not sum(raw):
        raw = [_DECAY**at for at in range(len(given))]
    return [value / sum(raw) for value in raw]


def _posterior(readings: Sequence[Reading], weights: Sequence[float]) -> dict[str, float]:
    return {
        intent: sum(weight * reading.intents[intent] for weight, reading in zip(weights, readings, strict=True))
        for intent in readings[0].intents
    }


def _allowed(intents: Mapping[str, float], skills: frozenset[str], shelf: Shelf) -> dict[str, float]:
    """Intents in scope: of the wanted skills, and none that its skill's manifest does not have."""
    return {
        name: share
        for name, share in intents.items()
        for skill in [name.partition(".")[0]]
        if name != OUT_OF_SCOPE
        and (not skills or skill in skills)
        and (name in shelf.intents or skill not in shelf.skills)
    }


def _best_hypothesis(
    intent: str, shares: Sequence[float], sentences: Sequence[Sentence], resolver: Resolver
) -> tuple[int, tuple[Slot, ...]]:
    """The alternative that speaks for the intent most. Words that no table holds count less: they are misheard more
    often than they are new ("time in rum", "time in rome")."""
    likeliest = sorted(range(len(shares)), key=lambda at: -shares[at])[:_TRIED]
    filled = [(at, resolver.slots_of(intent, sentences[at])) for at in likeliest]
    return max(filled, key=lambda one: shares[one[0]] * min((_trust(slot) for slot in one[1]), default=1.0))


def _trust(slot: Slot) -> float:
    return slot.confidence * (1.0 if slot.understood else _UNREAD)


def _ranked(intents: Mapping[str, float], outside: float, surest: float, options: Options) -> list[str]:
    """Intents by probability, and always out of scope.

    Out of scope leads from its threshold on, and where no engine is as sure of any intent as that leaves: a guess among
    many that are all unlikely is none.
    """
    named = sorted((name for name, share in intents.items() if share >= LEAST), key=lambda name: -intents[name])
    threshold = options.out_of_scope_threshold
    if outside >= threshold or not named or surest < 1 - threshold:
        place = 0
    else:
        place = max(1, sum(intents[name] > outside for name in named))
    kept = named[: options.max_interpretations - (place < options.max_interpretations)]
    return [*kept[:place], OUT_OF_SCOPE, *kept[place:]][: options.max_interpretations]
