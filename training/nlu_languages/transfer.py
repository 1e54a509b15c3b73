"""Languages whose sentences are withheld: what English alone, a lexicon and the other languages are worth.

    nice -n 5 python -m training.nlu_languages.transfer [--steps 800] [--zero-shot]

Intent accuracy on `test` of Dutch, Italian and Danish, whose `valid` files are not trained on; the translation is the
one of `AddLocale`, the linear model the one that it trains. The lexicons (FreeDict, GPL) serve to measure: no weights
made with them are kept. `--zero-shot` trains on English alone and reads every variety.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence

from training.nlu_languages import data, scoring
from training.nlu_languages.data import Sentence
from training.nlu_languages.network import Names, outputs, train
from training.nlu_languages.withheld import WITHHELD, covered, linear, word_by_word

KIN = ("de", "de-ba", "de-muc", "de-st", "gsw", "nl", "da", "no", "it", "nap", "id", "lt", "sr", "tr", "en")
"""Varieties in Latin letters."""


def network(sentences: Sequence[Sentence], test: Sequence[Sentence], steps: int, seed: int = 1) -> tuple[float, float]:
    """Accuracy and slot F1 of the network."""
    names = Names.of(sentences)
    intents, tags = outputs([train(sentences, names, seed, steps)], test, names)
    return scoring.accuracy(intents, test, names), scoring.f1([scoring.spans(one, names) for one in tags], test)


def withheld(language: str, steps: int) -> dict[str, object]:
    english = data.xsid("en", "valid")
    test = data.xsid(language, "test")
    own = word_by_word(english, language)
    others = [
        one
        for variety in data.varieties("valid")
        if variety not in (language, "no")
        for one in data.xsid(variety, "valid")
    ]
    report: dict[str, object] = {
        "coverage": scoring.rounded(covered(language)),
        "linear_english": linear(english, test),
        "linear_translated": linear([*english, *own], test),
        "linear_others": linear(others, test),
        "linear_others_translated": linear([*others, *own], test),
        "linear_own": linear(data.xsid(language, "valid"), test),
    }
    if steps:
        report |= {
            "network_english": network(english, test, steps),
            "network_translated": network([*english, *own], test, steps),
            "network_others": network(others, test, 2 * steps),
            "network_others_translated": network([*others, *own], test, 2 * steps),
        }
    return report


def zero_shot(steps: int) -> dict[str, object]:
    """By variety: the network trained on English alone, and baselines from scratch on that variety's own sentences."""
    english = data.xsid("en", "valid")
    kin = [one for variety in KIN if variety != "no" for one in data.xsid(variety, "valid")]
    report: dict[str, object] = {}
    for variety in data.varieties("test"):
        test = data.xsid(variety, "test")
        own = data.xsid(variety, "valid")
        rest = [one for one in kin if one.variety != variety]
        report[variety] = {
            "english": linear(english, test),
            "same_script": linear(rest, test),
            "from_scratch_own": scoring.from_scratch(own, test),
            "from_scratch_one_each": scoring.from_scratch(_few(own), test),
            "commonest": scoring.rounded(_commonest(own, test)),
        }
        print(variety, json.dumps(report[variety]), flush=True)
    return report


def _few(sentences: Sequence[Sentence]) -> list[Sentence]:
    """The first sentence of each intent."""
    first: dict[str, Sentence] = {}
    for one in sentences:
        first.setdefault(one.intent, one)
    return list(first.values())


def _commonest(sentences: Sequence[Sentence], test: Sequence[Sentence]) -> float:
    """Accuracy of whoever always says the commonest intent."""
    intent, _ = Counter(one.intent for one in sentences).most_common(1)[0]
    return sum(one.intent == intent for one in test) / len(test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=0, help="of the network; 0 measures the linear model alone")
    parser.add_argument("--zero-shot", action="store_true")
    arguments = parser.parse_args()
    started = time.monotonic()
    if arguments.zero_shot:
        zero_shot(arguments.steps)
    else:
        for language in WITHHELD:
            print(language, json.dumps(withheld(language, arguments.steps)), flush=True)
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
