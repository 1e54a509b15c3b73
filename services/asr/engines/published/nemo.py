"""NeMo's cache-aware streaming models, CTC branch, as they are published for sherpa-onnx; called by `importing.py`.

Signature and notes as in k2-fsa/sherpa-onnx, `scripts/nemo/fast-conformer-hybrid-transducer-ctc/export-onnx-ctc.py`;
the network: Noroozi et al., "Stateful Conformer with cache-based inference for streaming automatic speech recognition",
ICASSP 2024. Bins come before time, and the last token is the blank.
"""

from __future__ import annotations

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

_FEATURES = {
    # What the models were trained with: the mel scale of librosa up to half the rate, no filter against direct current.
    "mel_bins": MEL_BINS,
    "low_hz": 0.0,
    "high_hz": 0.0,
    "window": "hann",
    "remove_dc_offset": False,
    "librosa": True,
}
_CLASSES = "EncDec"  # what the names of all classes of models begin with


def ctc(file: File) -> Form:
    """Raises FailedPrecondition naming the key or tensor that is wrong."""
    notes = file.notes
    if (normalised := notes.text("normalize_type", "")) not in ("", "NA"):
        raise notes.wrong("normalize_type", f"is {normalised[:40]!r}: it needs the whole recording, a stream has none")
    window = notes.number("window_size", 1, 4096)
    shift = notes.number("chunk_shift", 1, window)
    subsampling = notes.number("subsampling_factor", 1, 16)
    if shift % subsampling:
        raise notes.wrong("chunk_shift", f"is {shift}, no multiple of subsampling_factor {subsampling}")
    vocabulary = notes.number("vocab_size", 1, 1_000_000) + 1  # the blank is not counted
    return Form(
        (_model(file, window, vocabulary),),
        vocabulary,
        vocabulary - 1,
        {
            "engine": "ctc",
            "graph": "nemo_ctc",
            "features": _FEATURES,
            "subsampling": subsampling,
            "chunk_frames": window,
            "chunk_shift": shift,
            "tail_ms": TAIL_MS,
        },
    )


def is_nemo(model_type: str) -> bool:
    return model_type.startswith(_CLASSES)


def _model(file: File, window: int, vocabulary: int) -> Part:
    (heard, length, *before), (given, given_length, *after) = file.tensors(5, 5)
    channel, time = (
        tuple(file.notes.number(f"{cache}_dim{at}", 1, 65_536) for at in (1, 2, 3))
        for cache in ("cache_last_channel", "cache_last_time")
    )
    check_memory(file, (channel, time))
    states = (
        state(file, before[0], after[0], "float32", (1, *channel), 0),
        state(file, before[1], after[1], "float32", (1, *time), 0),
        state(file, before[2], after[2], "int64", (1,), 0),
    )
    merged = batching(file, states)
    inputs = (
        file.fitting(heard, "float32", (rows(merged), MEL_BINS, window)),
        file.fitting(length, "int64", (rows(merged),)),
    )
    file.fitting(given_length, "int64", (None,))
    return Part(
        "model", file, inputs, (file.fitting(given, "float32", (rows(merged), None, vocabulary)),), states, merged
    )
