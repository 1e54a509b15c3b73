"""A model definition as Triton configurations (`config.pbtxt`): text comes out, nothing is read or written.

`triton_repository.py` calls it for every model. `production` is the form for GPUs (onnxruntime backend, state kept by
Triton), `cpu` the form for machines without one (python backend, state kept by `programs/model.py`), `stream`
the decoupled model beside either that cuts long inputs. Field names and meanings are those of Triton's
model_config.proto (https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto).

A definition may say more under `parameters: {triton: {...}}`:

    instances: 2                      # copies on a GPU; 1 if not given
    max_sequences: 512                # open at once in the production form, others wait for an end; 256 if not given
    tensorrt: true                    # off unless it is said: an engine takes minutes to build, and small graphs lose
    fp16: true                        # only with a tolerance that was measured with it
    shapes: {features: {min: [1, 16, 40], opt: [8, 16, 40], max: [32, 64, 40]}}   # where lengths are open, for TensorRT
    queue: {max_size: 64, timeout_ms: 2000}   # stateless models: what Triton refuses by itself; see `_queue_policy`
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.runtime.errors import FailedPrecondition
from services.runtime.inference import ModelDefinition, TensorSpec
from services.runtime.triton.samples import sample_inputs

IDLE_US = 60_000_000
"""As the embedded home drops sequences (`sequences.IDLE`)."""

MAX_SEQUENCES = 256
CPU_SEQUENCES = 4096  # the program of the CPU form keeps them in a dictionary: no slot is reserved
ENGINE_CACHE = "/var/cache/antiphon/tensorrt"
"""Where TensorRT's engines are kept on the server: mount a volume there, or each start builds them anew."""

STREAM_SUFFIX = ".stream"
_TYPES = {
    "float32": "TYPE_FP32",
    "float16": "TYPE_FP16",
    "int64": "TYPE_INT64",
    "int32": "TYPE_INT32",
    "int8": "TYPE_INT8",
    "uint8": "TYPE_UINT8",
    "bool": "TYPE_BOOL",
}
_KNOWN = frozenset({"instances", "max_sequences", "tensorrt", "fp16", "shapes", "queue"})


class Word(str):
    """A value that Protocol Buffers writes without quotes: an enumeration or a truth value."""


Fields = Sequence[tuple[str, Any]]
"""Fields of a message in order; a value is a text, a Word, a number, a list of numbers, or Fields again."""


def production(definition: ModelDefinition) -> str:
    """The form for GPUs. States along another axis than the first cannot be merged by Triton: such models run alone.

    The outputs must be as the graph has them, not only compatible: onnxruntime's backend loads no other
    (https://github.com/triton-inference-server/onnxruntime_backend/blob/main/src/onnxruntime.cc, `ValidateOutputs`).
    A model whose states Triton would take for each other (`mixes_states`) has the other form here too.

    Raises:
        FailedPrecondition: `MODEL_DEFINITION_INVALID`, the key `parameters.triton` asks for what cannot be.
    """
    options = _options(definition)
    if mixes_states(definition):
        return cpu(definition)
    merged = _merged(definition) and all(state.batch_axis == 0 and len(state.shape) > 1 for state in definition.states)
    merged = merged and all(spec.shape[0] is None for spec in definition.outputs)
    fields: list[tuple[str, Any]] = [
        ("name", definition.triton_name),
        ("backend", "onnxruntime"),
        ("default_model_filename", "model.onnx"),
        *_tensors(definition, merged),
        *_scheduling(definition, merged, own_state=False),
        ("instance_group", [("count", _count(definition, options, "instances", 1)), ("kind", Word("KIND_GPU"))]),
    ]
    if options.get("tensorrt"):
        fields.append(("optimization", _tensorrt(definition, options, merged)))
    if not definition.states:  # Triton warms up past its scheduler, where a sequence has no state: the load would fail
        fields.extend(_warm_ups(definition, merged))
    return render([*fields, *_identity(definition)])


def mixes_states(definition: ModelDefinition) -> bool:
    """Whether Triton would hand a state's output to another one's input.

    It pairs them by their places in the alphabet, whatever the configuration says
    (https://github.com/triton-inference-server/core/blob/main/src/sequence_state.cc, `SequenceStates::OutputState`):
    `h1` and `h10` come in this order, `h10_next` and `h1_next` in that.
    """
    outputs = [state.output for state in sorted(definition.states, key=lambda state: state.input)]
    return outputs != sorted(outputs)


def cpu(definition: ModelDefinition) -> str:
    """The form without a GPU: the program beside it checks, merges, keeps state and warms itself up."""
    return render(
        [
            ("name", definition.triton_name),
            ("backend", "python"),
            *_tensors(definition, _merged(definition)),
            *_scheduling(definition, _merged(definition), own_state=True),
            ("instance_group", [("count", 1), ("kind", Word("KIND_CPU"))]),
            *_identity(definition),
        ]
    )


def stream(definition: ModelDefinition) -> str:
    """The decoupled model `<name>.stream`: takes a whole input, calls the model itself piece by piece."""
    return render(
        [
            ("name", definition.triton_name + STREAM_SUFFIX),
            ("backend", "python"),
            *_tensors(definition, merged=False),
            ("model_transaction_policy", [("decoupled", Word("true"))]),
            ("instance_group", [("count", 1), ("kind", Word("KIND_CPU"))]),
            *_identity(definition),
        ]
    )


def render(fields: Fields, indent: str = "") -> str:
    """The fields as Protocol Buffers text, in their order."""
    lines = []
    for name, value in fields:
        if isinstance(value, list) and (not value or isinstance(value[0], tuple)):
            lines.append(f"{indent}{name} {{\n{render(value, indent + '  ')}{indent}}}\n")
        else:
            lines.append(f"{indent}{name}: {_scalar(value)}\n")
    return "".join(lines)


def _scalar(value: Any) -> str:
    if isinstance(value, Word | int):
        return str(value)
    if isinstance(value, list):
        return f"[ {', '.join(str(size) for size in value)} ]"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# --- parts ------------------------------------------------------------------------------------------------------------


def _merged(definition: ModelDefinition) -> bool:
    """Triton takes no tensor without a dimension beside the one along which it merges."""
    specs = (*definition.inputs, *definition.outputs)
    return definition.batching is not None and all(len(spec.shape) > 1 for spec in specs)


def _tensors(definition: ModelDefinition, merged: bool) -> Iterator[tuple[str, Any]]:
    for spec in (*definition.inputs, *definition.outputs):
        if not spec.shape:
            raise FailedPrecondition(
                f"{spec.name} of model {definition.id} is a scalar: Triton takes none. Give it the shape [1].",
                reason="MODEL_DEFINITION_INVALID",
                metadata={"model": definition.id},
            )
    yield "max_batch_size", definition.batching.max_size if merged and definition.batching else 0
    for kind, specs in (("input", definition.inputs), ("output", definition.outputs)):
        for spec in specs:
            yield kind, [("name", spec.name), ("data_type", _type(spec.dtype)), ("dims", _dims(spec.shape, merged))]


def _scheduling(definition: ModelDefinition, merged: bool, own_state: bool) -> Iterator[tuple[str, Any]]:
    """The program of the CPU form merges what waits without being made to wait: a delay would only cost there."""
    delay = int(definition.batching.delay_ms * 1000) if definition.batching and merged and not own_state else 0
    waiting = [("max_queue_delay_microseconds", delay)] if delay else []
    options = _options(definition)
    if not definition.states:
        policy = _queue_policy(definition, options)
        if merged or policy:
            yield "dynamic_batching", [*waiting, *policy]
        return
    most = CPU_SEQUENCES if own_state else _count(definition, options, "max_sequences", MAX_SEQUENCES)
    # No control inputs: the graphs take none, and zeros as the first state say what START would.
    fields: list[tuple[str, Any]] = [
        ("max_sequence_idle_microseconds", IDLE_US),
        ("oldest", [("max_candidate_sequences", most), *waiting]),
    ]
    if not own_state:
        fields.extend(("state", state) for state in _states(definition, merged))
    yield "sequence_batching", fields


def _queue_policy(definition: ModelDefinition, options: Mapping[str, Any]) -> Fields:
    """Bounds of Triton's own queue, only where they are asked for.

    With any of them Triton no longer fetches ahead, and its batcher then misses wake-ups and sleeps half a second: on
    the 2.51 server, with one caller as with eight, 1 to 3 calls in 100 took 500 ms, and none without. Clients bound
    what they have in flight, and a call whose deadline passed is cancelled and leaves the queue.
    """
    queue = options.get("queue")
    if queue is None:
        return []
    if not isinstance(queue, Mapping) or set(queue) != {"max_size", "timeout_ms"}:
        raise _invalid(definition, "queue has max_size and timeout_ms")
    policy: Fields = [
        ("timeout_action", Word("REJECT")),
        ("default_timeout_microseconds", 1000 * _count(definition, queue, "timeout_ms", 0)),
        ("allow_timeout_override", Word("true")),
        ("max_queue_size", _count(definition, queue, "max_size", 0)),
    ]
    return [("default_queue_policy", policy)]


def _states(definition: ModelDefinition, merged: bool) -> Iterator[Fields]:
    for state in definition.states:
        dims = _dims(state.shape, merged)
        zeros = [("data_type", _type(state.dtype)), ("dims", dims), ("zero_data", Word("true")), ("name", "zeros")]
        yield [
            ("input_name", state.input),
            ("output_name", state.output),
            ("data_type", _type(state.dtype)),
            ("dims", dims),
            ("initial_state", zeros),
        ]


def _warm_ups(definition: ModelDefinition, merged: bool) -> Iterator[tuple[str, Any]]:
    sizes = {1, definition.batching.max_size} if merged and definition.batching else {1}
    samples = sample_inputs(definition)
    for size in sorted(sizes):
        yield (
            "model_warmup",
            [
                ("name", f"zeros of {size}"),
                ("batch_size", size),
                *(("inputs", _zeros(spec, samples[spec.name].shape, merged)) for spec in definition.inputs),
            ],
        )


def _zeros(spec: TensorSpec, shape: Sequence[int], merged: bool) -> Fields:
    dims = list(shape[1:] if merged else shape)
    return [
        ("key", spec.name),
        ("value", [("data_type", _type(spec.dtype)), ("dims", dims), ("zero_data", Word("true"))]),
    ]


def _identity(definition: ModelDefinition) -> Fields:
    """What a client compares before it trusts the server's answers, and an operator reads."""
    facts = {"antiphon_id": definition.id, "sha256": definition.sha256}
    return [("parameters", [("key", key), ("value", [("string_value", text)])]) for key, text in facts.items()]


def _tensorrt(definition: ModelDefinition, options: Mapping[str, Any], merged: bool) -> Fields:
    settings = {
        "precision_mode": "FP16" if options.get("fp16") else "FP32",
        "trt_engine_cache_enable": "true",
        "trt_engine_cache_path": f"{ENGINE_CACHE}/{definition.triton_name}",
        **_profiles(definition, options.get("shapes") or {}, merged),
    }
    parameters = [("parameters", [("key", key), ("value", value)]) for key, value in settings.items()]
    return [("execution_accelerators", [("gpu_execution_accelerator", [("name", "tensorrt"), *parameters])])]


def _profiles(definition: ModelDefinition, named: Mapping[str, Any], merged: bool) -> dict[str, str]:
    """Shapes for which one engine is built: TensorRT would build another, for minutes, at each new one."""
    most = definition.batching.max_size if definition.batching and merged else 1
    found: dict[str, list[str]] = {"min": [], "opt": [], "max": []}
    for spec in definition.inputs:
        for which, rows in (("min", 1), ("opt", most), ("max", most)):
            shape = _profile(definition, spec, named, which, rows)
            found[which].append(f"{spec.name}:{'x'.join(map(str, shape))}")
    for state in definition.states:
        for which, rows in (("min", 1), ("opt", most), ("max", most)):
            shape = [rows if axis == state.batch_axis else size for axis, size in enumerate(state.shape)]
            found[which].append(f"{state.input}:{'x'.join(map(str, shape))}")
    return {f"trt_profile_{which}_shapes": ",".join(shapes) for which, shapes in found.items()}


def _profile(
    definition: ModelDefinition, spec: TensorSpec, named: Mapping[str, Any], which: str, rows: int
) -> list[int]:
    shape = named.get(spec.name, {}).get(which) if isinstance(named.get(spec.name, {}), Mapping) else None
    if shape is None:
        shape = [rows if axis == 0 and size is None else size for axis, size in enumerate(spec.shape)]
    fits = isinstance(shape, list) and len(shape) == len(spec.shape) and all(type(s) is int and s > 0 for s in shape)
    if not fits or any(want not in (None, have) for want, have in zip(spec.shape, shape, strict=True)):
        raise _invalid(definition, f"tensorrt needs shapes.{spec.name}.{which}: {len(spec.shape)} lengths that fit it")
    return shape


def _options(definition: ModelDefinition) -> Mapping[str, Any]:
    options = definition.parameters.get("triton", {})
    if not isinstance(options, Mapping) or not isinstance(options.get("shapes", {}), Mapping):
        raise _invalid(definition, "it and its shapes are tables")
    if unknown := sorted(map(str, set(options) - _KNOWN)):
        raise _invalid(definition, f"there is no key {unknown[0]}; there are {', '.join(sorted(_KNOWN))}")
    for key in ("tensorrt", "fp16"):
        if not isinstance(options.get(key, False), bool):
            raise _invalid(definition, f"{key} is true or false")
    return options


def _count(definition: ModelDefinition, options: Mapping[str, Any], key: str, default: int) -> int:
    value = options.get(key, default)
    if type(value) is not int or not 1 <= value <= 65_536:
        raise _invalid(definition, f"{key} is a number from 1 to 65536")
    return value


def _type(dtype: str) -> Word:
    return Word(_TYPES[dtype])


def _dims(shape: Sequence[int | None], merged: bool) -> list[int]:
    """Without the axis along which calls are merged, which Triton adds itself; -1 for any length."""
    return [-1 if size is None else size for size in (shape[1:] if merged else shape)]


def _invalid(definition: ModelDefinition, what: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"parameters.triton of model {definition.id}: {what}.",
        reason="MODEL_DEFINITION_INVALID",
        metadata={"model": definition.id},
    )
