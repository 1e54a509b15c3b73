"""The sequence of calls that one utterance is for a model which keeps state; used by the searches of every kind."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

import numpy as np

from services.asr.engines.features import Frames
from services.asr.engines.neural.search import StreamShape
from services.runtime.errors import AntiphonError
from services.runtime.inference import SequenceStep

_ids = itertools.count(1)


class Sequence:
    """Says which step a call is, and whether the model still waits for an end."""

    def __init__(self) -> None:
        self._id = next(_ids)
        self._has_begun = self._is_open = False

    @contextlib.contextmanager
    def step(self, *, last: bool) -> Iterator[SequenceStep]:
        """For one call. After one that was cancelled the sequence is open: the model may have heard it."""
        step = SequenceStep(self._id, start=not self._has_begun, end=last)
        self._has_begun = self._is_open = True
        try:
            yield step
        except AntiphonError:
            self._is_open = False  # the client has dropped the sequence, or its home is gone
            raise
        self._is_open = not last

    @contextlib.contextmanager
    def ending(self, shape: StreamShape) -> Iterator[tuple[Frames, SequenceStep] | None]:
        """For the call that ends an open sequence with a window of nothing, so that no state waits to be called idle.

        None where there is nothing to end; an error of the call is nobody's concern any more.
        """
        is_open, self._is_open = self._is_open, False
        nothing = np.zeros((shape.window, shape.features.mel_bins), np.float32)
        with contextlib.suppress(AntiphonError):
            yield (nothing, SequenceStep(self._id, end=True)) if is_open else None
