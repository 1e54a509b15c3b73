"""WeNet's streaming models, CTC branch, as they are published for sherpa-onnx; called by `importing.py`.

Signature and notes as in k2-fsa/sherpa-onnx, `scripts/wenet/export-onnx-streaming.py`; the network: Zhang et al.,
"WeNet 2.0: more productive end-to-end speech recognition toolkit", Interspeech 2022. The graph runs one sequence at a
time: its cache of attention has no axis along which another could lie.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.asr.engines.published.parts import MEL_BINS, TAIL_MS, File, Form, Part, check_memory
from services.runtime.inference import StateSpec, TensorSpec

_FEATURES = {"mel_bins": MEL_BINS, "high_hz": -400.0, "scaled": False}
_CHUNK, _LEFT_CHUNKS = 16, 4  # what exports use that do not say so


def ctc(file: File) -> Form:
    """Raises FailedPrecondition naming the key or tensor that is wrong."""
    notes = file.notes
    chunk = notes.number("chunk_size", 1, 512, _CHUNK)
    left = chunk * notes.number("left_chunks", 1, 64, _LEFT_CHUNKS)
    subsampling = notes.number("subsampling_factor", 1, 16)
    window = (chunk - 1) * subsampling + notes.number("right_context", 0, 128) + 1
    vocabulary = notes.number("vocab_size", 2, 1_000_000)
    return Form(
        (_model(file, window, chunk, left, vocabulary),),
        vocabulary,
        0,
        {
            "engine": "ctc",
            "graph": "wenet_ctc",
            "features": _FEATURES,
            "subsampling": subsampling,
            "chunk_frames": window,
            "chunk_shift": chunk * subsampling,
            "tail_ms": TAIL_MS,
            "left_frames": left,
        },
    )


def _model(file: File, window: int, chunk: int, left: int, vocabulary: int) -> Part:
    """`left` frames of output are kept to attend to; each call says so, and which of them are filled."""
    (heard, offset, required, *before, mask), (given, *after) = file.tensors(6, 3)
    states = _caches(file, left, before, after)
    inputs = (
        file.fitting(heard, "float32", (1, window, MEL_BINS)),
        file.fitting(offset, "int64", offset.shape and (1,)),
        file.fitting(required, "int64", required.shape and (1,)),
        file.fitting(mask, "bool", (1, 1, left + chunk)),
    )
    return Part("model", file, inputs, (file.fitting(given, "float32", (1, None, vocabulary)),), states)


def _caches(file: File, left: int, before: Sequence[TensorSpec], after: Sequence[TensorSpec]) -> tuple[StateSpec, ...]:
    notes = file.notes
    blocks, heads = notes.number("num_blocks", 1, 256), notes.number("head", 1, 256)
    width = notes.number("output_size", heads, 65_536)
    if width % heads:
        raise notes.wrong("output_size", f"is {width}, no multiple of head {heads}")
    attention = (blocks, heads, left, width // heads * 2)
    convolution = (blocks, 1, width, notes.number("cnn_module_kernel", 2, 512) - 1)
    shapes = (attention, convolution)
    check_memory(file, shapes)
    for tensor, shape in zip((*before, *after), shapes * 2, strict=True):
        file.fitting(tensor, "float32", shape)
    return tuple(
        StateSpec(one.name, other.name, "float32", shape)
        for one, other, shape in zip(before, after, shapes, strict=True)
    )
