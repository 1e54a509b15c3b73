"""What a new locale is learnt from: the skills' own phrases, translated word by word, beside the phrases as they are.

`adding.py` calls `gathered` off the event loop. The platform carries no labelled corpus, so the labelled data that is
translated are the phrases of all skills that are registered: what a new locale understands is what its skills do.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.nlu.library import Shelf
from services.nlu.locales.translation import Labelled, Lexicon, coverage, translated
from services.nlu.skills import parts_of, slots_in
from services.nlu.text import Token, tokenise
from services.nlu.understanding import Example

OUTSIDE = ""
"""Name of out of scope among the names that are learnt."""

MAX_PHRASES = 80
"""Phrases of one intent that are translated."""

MAX_EXAMPLES = 5_000
"""Labelled sentences of the new locale in one request."""

MAX_SENTENCES = 30_000
"""Sentences that are learnt from; learning takes seconds, not minutes."""

_VARIANTS = 3  # translations of each sentence, with each word's first, second and third
_OWN = 4  # how often a labelled sentence of the locale itself counts
_OUTSIDE_PART = 0.06  # sentences of random words of the lexicon, against those of intents
_LITTLE = 0.5  # coverage that is warned of
_SEED = 1


@dataclass(frozen=True, slots=True)
class NewLocale:
    """What is asked for.

    Attributes:
        locale: BCP-47, canonical.
        source: locale whose phrases are translated.
        lexicon: (source, translations), most usual first.
        examples: labelled sentences in the new locale.
        digest: SHA-256 of the request, in hexadecimal, without its key.
    """

    locale: str
    source: str
    lexicon: tuple[tuple[str, tuple[str, ...]], ...]
    examples: tuple[Example, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Material:
    """What there is to learn from.

    Attributes:
        sentences: tokens with the full name of their intent, or `OUTSIDE`.
        phrases: intent -> its phrases in the new locale, with slots as in manifests.
        coverage: part of the words of the source that the lexicon translates, 0 to 1.
        warnings: in plain English.
    """

    sentences: tuple[tuple[Sequence[Token], str], ...]
    phrases: Mapping[str, tuple[str, ...]]
    coverage: float
    warnings: tuple[str, ...]


def gathered(new: NewLocale, shelf: Shelf) -> Material:
    """All that can be made of a request and the skills of this moment."""
    rng = random.Random(_SEED)
    lexicon = Lexicon(new.lexicon, english=new.source.partition("-")[0] == "en")
    source = {
        name: [labelled(phrase) for phrase in _chosen(intent.phrases.get(new.source, ()), rng)]
        for name, intent in shelf.intents.items()
    }
    made: dict[tuple[str, ...], str] = {}
    phrases: dict[str, list[str]] = defaultdict(list)
    for name, sentences in source.items():
        for one in sentences:
            for variant in range(_VARIANTS):
                said = translated(one, lexicon, variant)
                made.setdefault(said.words, name)
                phrases[name].append(_phrase(said))
    known = [example for example in new.examples if not example.intent or example.intent in shelf.intents]
    for example in known:
        if example.intent:
            phrases[example.intent].append(_phrase(_of(example)))
    own = [(tokenise(example.text), example.intent) for example in known]
    learnt = [
        *((_tokens(words), name) for words, name in made.items()),
        *((_tokens(one.words), name) for name, sentences in _elsewhere(shelf, rng) for one in sentences),
        *own * _OWN,
    ]
    rng.shuffle(learnt)
    learnt = learnt[:MAX_SENTENCES]
    learnt += [(_tokens(words), OUTSIDE) for words in _random(lexicon, int(len(learnt) * _OUTSIDE_PART), rng)]
    covered = coverage((one for sentences in source.values() for one in sentences), lexicon)
    told = {name: tuple(dict.fromkeys(said)) for name, said in phrases.items()}
    return Material(tuple(learnt), told, covered, tuple(_warnings(new, shelf, source, lexicon, covered)))


def labelled(phrase: str) -> Labelled:
    """A phrase with its examples said, and where they stand; a slot without an example is said by its name."""
    examples = dict(slots_in(phrase))
    words: list[str] = []
    slots = []
    for part, is_slot in parts_of(phrase):
        said = _words((examples.get(part) or part.replace("_", " ")) if is_slot else part)
        if is_slot:
            slots.append((part, len(words), len(words) + len(said)))
        words += said
    return Labelled(tuple(words), tuple(slots))


def _elsewhere(shelf: Shelf, rng: random.Random) -> Iterator[tuple[str, list[Labelled]]]:
    """Phrases as they are, of all locales: words that languages share, and words that the lexicon lacks."""
    for name, intent in shelf.intents.items():
        for said in intent.phrases.values():
            yield name, [labelled(phrase) for phrase in _chosen(said, rng)]


def _chosen(phrases: Sequence[str], rng: random.Random) -> Sequence[str]:
    return phrases if len(phrases) <= MAX_PHRASES else rng.sample(list(phrases), MAX_PHRASES)


def _phrase(one: Labelled) -> str:
    """As manifests write it: "{slot|example}" in the place of a slot's words."""
    parts: list[str] = []
    at = 0
    for name, start, end in sorted(one.slots, key=lambda slot: slot[1]):
        parts += [*one.words[at:start], f"{{{name}|{' '.join(one.words[start:end])}}}"]
        at = end
    return " ".join([*parts, *one.words[at:]])


def _of(example: Example) -> Labelled:
    """An example's words with its spans counted in them."""
    tokens = tokenise(example.text)
    slots = []
    for name, start, end in example.slots:
        inside = [at for at, token in enumerate(tokens) if start <= token.start and token.end <= end]
        if inside:
            slots.append((name, inside[0], inside[-1] + 1))
    return Labelled(tuple(token.norm for token in tokens), tuple(slots))


def _random(lexicon: Lexicon, count: int, rng: random.Random) -> Iterator[tuple[str, ...]]:
    """Sentences of words of the lexicon that nobody means anything by."""
    words = [word for target in lexicon.targets() for word in target]
    for _ in range(count if words else 0):
        yield tuple(rng.choices(words, k=rng.randint(1, 8)))


def _warnings(
    new: NewLocale, shelf: Shelf, source: Mapping[str, Sequence[Labelled]], lexicon: Lexicon, covered: float
) -> Iterator[str]:
    if covered < _LITTLE:
        yield f"The lexicon translates {covered:.0%} of the words of the skills' phrases; expect little below a half."
    bare = sorted(name for name, said in source.items() if not said)
    if bare:
        yield f"Without phrases in {new.source}, so without any in {new.locale}: {', '.join(bare[:20])}."
    poor = [name for name, said in source.items() if said and coverage(said, lexicon) < _LITTLE / 2]
    if poor:
        yield f"Hardly translated: {', '.join(sorted(poor)[:20])}."
    unknown = Counter(one.intent for one in new.examples if one.intent and one.intent not in shelf.intents)
    if unknown:
        yield f"Examples of intents that no skill has were passed over: {', '.join(sorted(unknown)[:20])}."
    silent = sorted(one.skill_id for one in shelf.skills.values() if new.locale not in one.locales)
    if silent:
        yield f"Skills that do not declare {new.locale} will be understood but cannot answer: {', '.join(silent[:20])}."


def _words(text: str) -> tuple[str, ...]:
    return tuple(token.norm for token in tokenise(text))


def _tokens(words: Sequence[str]) -> list[Token]:
    return [Token(0, 0, word) for word in words]
