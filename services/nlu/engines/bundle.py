"""What the engines that run a bundle have in common: names of its outputs, tags to spans, what is said of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from services.nlu.engines.engine import EngineInfo, TaggedSlot, program
from services.runtime.inference import ModelDefinition

_OUTSIDE = "O"


def names(definition: ModelDefinition, parameter: str) -> tuple[str, ...]:
    """A list of names among the bundle's parameters; empty if there is none."""
    return tuple(str(name) for name in definition.parameters.get(parameter, ()))


def spans(tags: npt.NDArray[np.float32], tag_names: Sequence[str], prefix: str = "") -> Iterator[TaggedSlot]:
    """BIO to spans; an I without a B of its name begins a span, which is the commoner mistake of the two.

    Args:
        tags: probabilities, float32 [tokens, tags].
        tag_names: of the second axis: "O", "B-date", "I-date", ...
        prefix: taxonomy and colon, before each slot's name.
    """
    told = [tag_names[number] for number in tags.argmax(axis=1)]
    start = 0
    while start < len(told):
        begins, _, slot = told[start].partition("-")
        end = start + 1
        if begins != _OUTSIDE:
            while end < len(told) and told[end] == f"I-{slot}":
                end += 1
            yield TaggedSlot(f"{prefix}{slot}", start, end, float(tags[start:end].max(axis=1).mean()))
        start = end


def described(
    definition: ModelDefinition,
    intents: Sequence[str],
    description: str,
    scores: Iterable[tuple[str, str, float, str]],
    backend: str,
) -> EngineInfo:
    """What Describe and provenance say of a bundle.

    Args:
        intents: names, without out of scope.
        scores: (locale, metric, value, data set).
        backend: where it runs now.
    """
    return EngineInfo(
        model=definition.id,
        digest=f"sha256:{definition.sha256}",
        licence=definition.licence,
        locales=definition.locales,
        backend=backend,
        engine=program(backend),
        size_bytes=definition.path.stat().st_size,
        intents=tuple(intents),
        description=description,
        scores=tuple(scores),
        lineage=names(definition, "lineage"),
    )
