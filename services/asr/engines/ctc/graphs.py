"""What the graphs of streaming CTC families take beside features: masks, counts and lengths, made per window.

Used by `model.py`. What a graph carries along a sequence is the client's business (`states` of its definition); here is
only what follows from how far an utterance has come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from services.asr.engines.features import Frames
from services.runtime.inference import ModelDefinition, Tensor

Inputs = Callable[[Frames, int], Mapping[str, Tensor]]
"""A window of features (window, mel bins), and frames of output so far -> the inputs of one call."""


def zipformer2(definition: ModelDefinition) -> Inputs:
    """Features alone."""
    (features,) = definition.inputs
    return lambda window, _: {features.name: window[None]}


def nemo(definition: ModelDefinition) -> Inputs:
    """Bins before time, and how many frames there are: always all."""
    features, length = definition.inputs
    return lambda window, _: {
        features.name: np.ascontiguousarray(window.T)[None],
        length.name: np.array([len(window)], np.int64),
    }


def wenet(definition: ModelDefinition) -> Inputs:
    """Where the window lies, how many frames are kept to attend to, and which of them were ever filled.

    Positions count from the first place of the still empty cache.
    """
    features, offset, required, allowed = definition.inputs
    left = definition.states[0].shape[2]

    def inputs(window: Frames, done: int) -> Mapping[str, Tensor]:
        mask = np.ones([size or 1 for size in allowed.shape], np.bool_)
        mask[..., : left - min(done, left)] = False
        return {
            features.name: window[None],
            offset.name: np.full([size or 1 for size in offset.shape], left + done, np.int64),
            required.name: np.full([size or 1 for size in required.shape], left, np.int64),
            allowed.name: mask,
        }

    return inputs


FAMILIES: Mapping[str, Callable[[ModelDefinition], Inputs]] = {
    "nemo_ctc": nemo,
    "wenet_ctc": wenet,
    "zipformer2_ctc": zipformer2,
}
"""By `parameters.graph` of a bundle."""
