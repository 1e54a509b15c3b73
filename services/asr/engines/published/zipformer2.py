"""Streaming Zipformer2 models, transducers and CTC, as icefall exports them; called by `importing.py`.

Names, order and shapes of states as in k2-fsa/icefall, `egs/librispeech/ASR/zipformer/export-onnx-streaming.py` and
`export-onnx-streaming-ctc.py`; the network: Yao et al., "Zipformer: a faster and better encoder for automatic speech
recognition", ICLR 2024. Each layer keeps six tensors, before them comes x, after them the left context of the first
convolutions and how many frames were heard.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.asr.engines.published.parts import (
    MEL_BINS,
    TAIL_MS,
    File,
    Form,
    Part,
    batching,
    check_memory,
    rows,
    state,
)
from services.runtime.inference import StateSpec, TensorSpec

_SUBSAMPLING = 4
_SEEN_AHEAD = 13  # frames: the first convolutions lose 7, the block after them looks 3 further at half the rate
_EMBED_CHANNELS, _EMBED_LEFT = 128, 3
_CONTEXT = 2
_FEATURES = {"mel_bins": MEL_BINS}  # otherwise as FeatureSettings has them


@dataclass(frozen=True)
class _Sizes:
    """What an encoder says of itself."""

    window: int
    shift: int
    layers: tuple[tuple[tuple[int, ...], int], ...]  # of all states of all layers: shape of one sequence, its axis

    @classmethod
    def read(cls, file: File) -> _Sizes:
        notes = file.notes
        if notes.text("feature", "") not in ("", "fbank"):
            raise notes.wrong("feature", "is none that this engine makes: only filterbank energies are")
        shift = notes.number("decode_chunk_len", _SUBSAMPLING, 1024)
        window = notes.number("T", 1, 2048)
        if shift % _SUBSAMPLING or window != shift + _SEEN_AHEAD:
            raise notes.wrong("T", f"is {window}: with decode_chunk_len {shift} it is {shift + _SEEN_AHEAD}")
        return cls(window, shift, tuple(_layers(file)))


def transducer(encoder: File, decoder: File, joiner: File) -> Form:
    """Raises FailedPrecondition naming the file and the key or tensor that is wrong."""
    sizes = _Sizes.read(encoder)
    vocabulary = decoder.notes.number("vocab_size", 2, 1_000_000)
    if (context := decoder.notes.number("context_size", 1, 16)) != _CONTEXT:
        raise decoder.notes.wrong("context_size", f"is {context}, only {_CONTEXT} is served")
    width = joiner.notes.number("joiner_dim", 1, 65_536)
    part = _encoder(encoder, sizes, "encoder", (sizes.shift // _SUBSAMPLING, width))
    return Form(
        (part, _decoder(decoder, width), _joiner(joiner, width, vocabulary)),
        vocabulary,
        0,
        {"engine": "transducer", "graph": "zipformer2", **_timing(sizes)},
    )


def ctc(file: File) -> Form:
    """Raises FailedPrecondition naming the key or tensor that is wrong."""
    sizes = _Sizes.read(file)
    vocabulary = file.graph.outputs[0].shape[-1] if file.graph.outputs and file.graph.outputs[0].shape else None
    if vocabulary is None:
        raise file.wrong("it does not say how many tokens it knows: its first output's last length is open")
    part = _encoder(file, sizes, "model", (sizes.shift // _SUBSAMPLING, vocabulary))
    return Form((part,), vocabulary, 0, {"engine": "ctc", "graph": "zipformer2_ctc", **_timing(sizes)})


def _timing(sizes: _Sizes) -> dict[str, object]:
    return {
        "features": _FEATURES,
        "subsampling": _SUBSAMPLING,
        "chunk_frames": sizes.window,
        "chunk_shift": sizes.shift,
        "tail_ms": TAIL_MS,
    }


def _encoder(file: File, sizes: _Sizes, name: str, output: tuple[int, int]) -> Part:
    """`output` is frames and numbers of each."""
    inputs, outputs = file.tensors(len(sizes.layers) + 1, len(sizes.layers) + 1)
    check_memory(file, (shape for shape, _ in sizes.layers))
    states = tuple(_states(file, sizes))
    merged = batching(file, states)
    heard = file.fitting(inputs[0], "float32", (rows(merged), sizes.window, MEL_BINS))
    given = file.fitting(outputs[0], "float32", (rows(merged), *output))
    return Part(name, file, (heard,), (given,), states, merged)


def _states(file: File, sizes: _Sizes) -> Iterator[StateSpec]:
    pairs = zip(file.graph.inputs[1:], file.graph.outputs[1:], sizes.layers, strict=True)
    for at, (before, after, (shape, axis)) in enumerate(pairs):
        dtype = "int64" if at == len(sizes.layers) - 1 else "float32"
        yield state(file, before, after, dtype, shape, axis)


def _layers(file: File) -> Iterator[tuple[tuple[int, ...], int]]:
    notes = file.notes
    depths = notes.numbers("num_encoder_layers", 1, 64)
    count = len(depths)
    widths = notes.numbers("encoder_dims", 4, 8192, count)
    kernels = notes.numbers("cnn_module_kernels", 2, 512, count)
    lefts = notes.numbers("left_context_len", 1, 8192, count)
    heads = notes.numbers("num_heads", 1, 256, count)
    keys = notes.numbers("query_head_dims", 1, 1024, count)
    values = notes.numbers("value_head_dims", 1, 1024, count)
    for depth, width, kernel, left, head, key, value in zip(
        depths, widths, kernels, lefts, heads, keys, values, strict=True
    ):
        for _ in range(depth):
            yield (left, 1, key * head), 1
            yield (1, 1, left, 3 * width // 4), 1
            yield (left, 1, value * head), 1
            yield (left, 1, value * head), 1
            yield (1, width, kernel // 2), 0
            yield (1, width, kernel // 2), 0
    yield (1, _EMBED_CHANNELS, _EMBED_LEFT, ((MEL_BINS - 1) // 2 - 1) // 2), 0
    yield (1,), 0


def _decoder(file: File, width: int) -> Part:
    (said,), (given,) = file.tensors(1, 1)
    merged = batching(file)
    return Part(
        "predictor",
        file,
        (file.fitting(said, "int64", (rows(merged), _CONTEXT)),),
        (file.fitting(given, "float32", (rows(merged), width)),),
        batching=merged,
    )


def _joiner(file: File, width: int, vocabulary: int) -> Part:
    (encoded, predicted), (logits,) = file.tensors(2, 1)
    merged = batching(file)
    inputs: tuple[TensorSpec, ...] = tuple(
        file.fitting(tensor, "float32", (rows(merged), width)) for tensor in (encoded, predicted)
    )
    return Part("joiner", file, inputs, (file.fitting(logits, "float32", (rows(merged), vocabulary)),), batching=merged)
