"""How a published model goes through an utterance: read from its bundle, for `public_zipformer.py` and `ctc.py`."""

from __future__ import annotations

from services.asr.engines.features import FRAMES_PER_SECOND
from services.asr.engines.search import StreamShape
from services.asr.engines.transducer_model import Parameters, invalid
from services.runtime.inference import ModelDefinition

_MAX_WINDOW = 4_096


def stream_shape(given: Parameters, definition: ModelDefinition) -> tuple[StreamShape, int]:
    """The shape, and frames of features per frame of output.

    Raises FailedPrecondition `MODEL_DEFINITION_INVALID` naming file and key.
    """
    subsampling = given.number("subsampling", None, least=1, most=64)
    window = given.number("chunk_frames", None, least=1, most=_MAX_WINDOW)
    shift = given.number("chunk_shift", None, least=1, most=window)
    if shift % subsampling:
        raise invalid(definition, "parameters.chunk_shift", "must be a multiple of subsampling")
    shape = StreamShape(
        given.features(),
        window,
        shift,
        frame_seconds=subsampling / FRAMES_PER_SECOND,
        delay_seconds=given.number("delay_ms", 0, least=0, most=2_000) / 1000,
        tail=given.number("tail_ms", 0, least=0, most=2_000) * FRAMES_PER_SECOND // 1000,
    )
    return shape, subsampling
