"""Words as the phrase engine compares them: folded, contractions spread out, with a weight for how much each tells.

`phrases.py` makes units of every phrase once and of every utterance. Folding takes case and accents away, because
keyboards and recognisers differ there; "what's" and "what is" become the same two units. Function words tell little and
fillers ("please") nothing, in each of the five languages; in others every word counts alike until more is known.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from services.nlu.text import Token

FUNCTION_WEIGHT = 0.15
HALF_WEIGHT = 0.35
FILLER_WEIGHT = 0.03


@dataclass(frozen=True, slots=True)
class Unit:
    """A folded word, and which token of the utterance it comes from."""

    word: str
    token: int


_FUNCTION: Mapping[str, str] = {
    "en": (
        "a an the is are am was were be been being do does did have has had will would shall should can could may "
        "might i me my mine you your yours it its we us our they them their this that these those there here to of "
        "in at for from by with about as and or but if so any some all yes get got go going let make want "
        "like one just into than then"
    ),
    "de": (
        "der die das den dem des ein eine einen einem einer eines ist sind war bin bist sein wird werden hat haben "
        "habe hast kann kannst konntest koennen konnen soll sollst will willst mochte ich mich mir mein meine "
        "meinen meiner meinem du dich dir dein deine es er sie wir uns unser unsere ihr euch in im am bei mit nach "
        "von vom zum zur fur um und oder aber wenn dass so auch ob als uber man"
    ),
    "es": (
        "el la los las un una unos unas lo al del de a en con por para sin sobre y o u que es son esta estan ser "
        "estar hay ha he has yo me mi mis tu te ti su sus se nos le les esto eso ese esa este como cuanto si ya "
        "muy mas puedes puede podrias quiero quisiera"
    ),
    "fr": (
        "le la les l un une des du de d a au aux en dans sur sous avec pour par sans et ou que qu est sont suis es "
        "etre ai as ont avoir je j me m moi mon ma mes tu te t toi ton ta tes il elle on nous vous se s ce c cet "
        "cette ces ca y si n peux peut pourrais veux voudrais sera"
    ),
    "it": (
        "il lo la i gli le l un uno una di d del dello della dei degli delle a al allo alla ai agli alle da dal "
        "dalla in nel nella con su sul sulla per e ed o che cosa e sono sei essere ho hai ha avere io me mi mio "
        "mia miei mie tu te ti tuo tua si ci vi ne questo questa quello puoi puo potresti voglio vorrei"
    ),
}
_HALF: Mapping[str, str] = {
    "en": "on up out over what which who whose how when where need",
    "de": "an aus auf zu wann wo wer wie was welche welcher welches welchen",
    "es": "cuando donde quien cual cuales",
    "fr": "comment quand qui quoi quel quelle quels quelles",
    "it": "quando dove chi quale quali come quanto",
}
"""Particles and question words: they part "on" from "when", but are in half of all sentences."""

_FILLERS: Mapping[str, str] = {
    "en": "please hey hi okay ok now thanks alexa siri google olly kindly right really actually well um uh er hello",
    "de": "bitte hey okay ok mal jetzt doch eben danke ah ahm gerne einfach denn noch hallo",
    "es": "por favor oye hola okay ok ahora gracias pues eh bueno",
    "fr": "s'il te vous plait hey ok okay maintenant merci euh bien alors donc salut bonjour",
    "it": "per favore ehi okay ok adesso ora grazie allora eh prego ciao pure",
}
_FILLER_WORDS = frozenset(
    "please bitte mal doch um uh er euh ah ahm plait favore favor okay ok hey oye ehi kindly denn".split()
)
"""Those that are fillers wherever they stand; the others also mean something, and tell as little as function words."""

_CONTRACTIONS: Mapping[str, str] = {
    "'s": "is", "'re": "are", "'m": "am", "'ll": "will", "'ve": "have", "'d": "would",
}  # fmt: skip
_WHOLE: Mapping[str, tuple[str, ...]] = {
    "don't": ("do", "not"), "doesn't": ("does", "not"), "can't": ("can", "not"), "cannot": ("can", "not"),
    "isn't": ("is", "not"), "won't": ("will", "not"), "let's": ("let", "us"), "gonna": ("going", "to"),
    "wanna": ("want", "to"), "gimme": ("give", "me"), "whats": ("what", "is"), "hows": ("how", "is"),
    "im": ("i", "am"), "gibt's": ("gibt", "es"), "geht's": ("geht", "es"), "wie's": ("wie", "es"),
}  # fmt: skip


def units_of(tokens: Sequence[Token], language: str) -> list[Unit]:
    """The words of an utterance in order; punctuation is none."""
    return [Unit(word, at) for at, token in enumerate(tokens) for word in spread(token.norm, language)]


@lru_cache(maxsize=20_000)
def spread(norm: str, language: str) -> tuple[str, ...]:
    """The folded units of one token: most often one, two for a contraction, none for punctuation."""
    if not norm[0].isalnum():
        return ()
    if norm in _WHOLE:
        return _WHOLE[norm]
    if "'" not in norm:
        return (folded(norm),)
    if language == "en":
        for ending, word in _CONTRACTIONS.items():
            if norm.endswith(ending):
                return (folded(norm.removesuffix(ending)), word)
        return (folded(norm.replace("'", "")),)
    return tuple(folded(part) for part in norm.split("'") if part)


@lru_cache(maxsize=20_000)
def folded(word: str) -> str:
    """Without case and accents; "ß" is "ss"."""
    parts = unicodedata.normalize("NFKD", word.casefold())
    return "".join(char for char in parts if not unicodedata.combining(char)) or word


@lru_cache(maxsize=64)
def function_words(language: str) -> frozenset[str]:
    """Words that tell little, folded; empty for a language without a list."""
    return frozenset(f"{_FUNCTION.get(language, '')} {_FILLERS.get(language, '')}".replace("'", " ").split())


@lru_cache(maxsize=64)
def half_words(language: str) -> frozenset[str]:
    """Words that tell something, folded."""
    return frozenset(_HALF.get(language, "").split())


def is_filler(word: str) -> bool:
    return word in _FILLER_WORDS


def slip(said: str, meant: str, *, known: bool) -> float | None:
    """How far a word is from the one in a phrase, as a share of its weight; None if they are different words.

    Args:
        known: what was said is itself a word of the phrases: then only its endings may differ ("light", "lights"),
            since "time" is not a "timer" misheard.
    """
    if said == meant:
        return 0.0
    shorter, longer = sorted((said, meant), key=len)
    if len(shorter) >= 3 and longer.startswith(shorter) and longer[len(shorter) :] in _ENDINGS:
        return 0.1
    if known or len(shorter) < 4 or said[0].isdigit() or not _one_apart(shorter, longer):
        return None
    return 0.3


_ENDINGS = frozenset({"s", "es", "e", "n", "en"})


def _one_apart(shorter: str, longer: str) -> bool:
    """Whether one letter was left out, put in, changed, or changed places with its neighbour."""
    if len(longer) - len(shorter) > 1:
        return False
    at = next((at for at, (one, two) in enumerate(zip(shorter, longer, strict=False)) if one != two), len(shorter))
    if len(shorter) < len(longer):
        return shorter[at:] == longer[at + 1 :]
    swapped = shorter[at : at + 2] == longer[at : at + 2][::-1] and shorter[at + 2 :] == longer[at + 2 :]
    return shorter[at + 1 :] == longer[at + 1 :] or swapped


@lru_cache(maxsize=20_000)
def shortened(word: str) -> frozenset[str]:
    """The word, and what is left of it without one of its letters: words one apart share one of these."""
    if len(word) < 4 or len(word) > 24:
        return frozenset({word})
    return frozenset({word, *(word[:at] + word[at + 1 :] for at in range(len(word)))})
