"""Words that mix scripts which look alike: "аlarm" with a Cyrillic letter. `text.py` folds tokens with it.

A word in one script is left alone, whatever it looks like: Russian is written in Cyrillic and not to deceive. The pairs
are those of Unicode Technical Standard 39 (confusables) that can be read as one another at a glance.
"""

from __future__ import annotations

from collections.abc import Mapping

_LATIN = "aceopxyijshdqwkABCEHIJKMOPSTXYZaovpiuknABEHIKMNOPTXYZ"
_ALIKE = "асеорхуіјѕһԁԛԝкАВСЕНІЈКМОРЅТХУΖαονριυκηΑΒΕΗΙΚΜΝΟΡΤΧΥΖ"
_TO_LATIN: Mapping[str, str] = dict(zip(_ALIKE, _LATIN, strict=True))
_TO_CYRILLIC: Mapping[str, str] = {latin: other for other, latin in _TO_LATIN.items() if "\u0400" <= other <= "\u052f"}


def of_one_script(word: str) -> str:
    """The word with its letters in one script, where all that are foreign to it look like letters of it; of the same
    length."""
    if word.isascii():
        return word
    foreign = {sign for sign in word if _is_greek_or_cyrillic(sign)}
    latin = {sign for sign in word if _is_latin(sign)}
    if not foreign or not latin:
        return word
    if foreign <= _TO_LATIN.keys():
        return "".join(_TO_LATIN.get(sign, sign) for sign in word)
    if latin <= _TO_CYRILLIC.keys() and min(foreign) >= "\u0400":
        return "".join(_TO_CYRILLIC.get(sign, sign) for sign in word)
    return word


def _is_latin(sign: str) -> bool:
    return sign.isalpha() and (sign < "\u0250" or "\u1e00" <= sign <= "\u1eff")


def _is_greek_or_cyrillic(sign: str) -> bool:
    return "\u0370" <= sign <= "\u052f" and sign.isalpha()
