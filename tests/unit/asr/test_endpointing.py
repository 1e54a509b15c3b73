"""Where speech begins, pauses and ends, chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.asr.endpointing import CHUNK_SECONDS, Change, Endpointer
from services.asr.requests import Endpointing, EndpointingUpdate
from services.runtime.errors import InvalidInput

pytestmark = pytest.mark.unit

DEFAULTS = Endpointing(start_timeout=1.0, end_silence=0.5, max_length=3.0)


def chunks(seconds: float) -> int:
    return round(seconds / CHUNK_SECONDS)


def run(endpointer: Endpointer, probabilities: Sequence[float]) -> list[tuple[int, Change]]:
    """What changed, and at which chunk; an endpoint ends the utterance as the transcriber does."""
    changes: list[tuple[int, Change]] = []
    for probability in probabilities:
        change = endpointer.step(probability)
        if change is not Change.NONE:
            changes.append((endpointer.now, change))
        if change in (Change.SILENCE, Change.MAX_LENGTH, Change.NO_SPEECH):
            endpointer.end_utterance()
    return changes


def kinds(changes: list[tuple[int, Change]]) -> list[Change]:
    return [change for _, change in changes]


def test_an_utterance_starts_pauses_resumes_and_ends() -> None:
    endpointer = Endpointer(DEFAULTS)
    heard = run(endpointer, [0.0] * 5 + [0.9] * 20 + [0.1] * 10 + [0.9] * 10 + [0.1] * 20)
    assert kinds(heard) == [Change.STARTED, Change.PAUSED, Change.RESUMED, Change.PAUSED, Change.SILENCE]
    assert heard[0][0] == 7  # two chunks of speech
    assert heard[-1][0] == 45 + 16  # 0.5 s after the last chunk of speech


def test_one_loud_chunk_is_a_click() -> None:
    endpointer = Endpointer(DEFAULTS)
    assert run(endpointer, [0.0, 0.99, 0.0, 0.99, 0.0]) == []


def test_speech_that_began_may_get_less_probable() -> None:
    endpointer = Endpointer(DEFAULTS)
    assert kinds(run(endpointer, [0.6] * 3 + [0.4] * 40)) == [Change.STARTED]
    assert kinds(run(Endpointer(DEFAULTS), [0.4] * 20)) == []


def test_no_speech_is_told_once_and_speech_after_it_is_heard() -> None:
    endpointer = Endpointer(DEFAULTS)
    heard = run(endpointer, [0.0] * (chunks(1.0) + 1))
    assert kinds(heard) == [Change.NO_SPEECH]
    assert heard[0][0] == pytest.approx(chunks(1.0), abs=1)
    assert kinds(run(endpointer, [0.9] * 3)) == [Change.STARTED]


def test_endless_speech_is_cut() -> None:
    endpointer = Endpointer(DEFAULTS)
    heard = run(endpointer, [0.9] * chunks(7.0))
    assert kinds(heard) == [Change.STARTED, Change.MAX_LENGTH] * 2 + [Change.STARTED]
    assert (heard[1][0] - heard[0][0]) * CHUNK_SECONDS == pytest.approx(3.0, abs=0.1)


def test_client_only_leaves_every_endpoint_to_the_client_but_the_longest() -> None:
    endpointer = Endpointer(replace(DEFAULTS, client_only=True))
    heard = run(endpointer, [0.0] * chunks(2.0) + [0.9] * 5 + [0.0] * chunks(3.2))
    assert kinds(heard) == [Change.STARTED, Change.PAUSED, Change.MAX_LENGTH]


def test_sensitivity_moves_the_threshold() -> None:
    whisper, loud = Endpointer(replace(DEFAULTS, sensitivity=1.0)), Endpointer(replace(DEFAULTS, sensitivity=0.0))
    assert kinds(run(whisper, [0.25] * 3)) == [Change.STARTED]
    assert kinds(run(loud, [0.75] * 3)) == []


def test_a_new_end_silence_holds_within_the_utterance() -> None:
    endpointer = Endpointer(DEFAULTS)
    run(endpointer, [0.9] * 10 + [0.0] * 5)
    endpointer.configure(EndpointingUpdate(end_silence=1.0).applied_to(DEFAULTS))
    assert Change.SILENCE not in kinds(run(endpointer, [0.0] * 20))
    assert kinds(run(endpointer, [0.0] * 10)) == [Change.SILENCE]


@pytest.mark.parametrize(
    ("name", "value"), [("start_timeout", 0.1), ("end_silence", 6.0), ("max_length", 0.5), ("sensitivity", 1.5)]
)
def test_values_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InvalidInput) as refused:
        EndpointingUpdate(**{name: value}).applied_to(DEFAULTS)  # type: ignore[arg-type]
    assert refused.value.field == f"endpointing.{name}"
