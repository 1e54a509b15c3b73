"""The Triton repository as text: what it says, that Triton's own messages read it, and what it refuses to write."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from services.runtime.errors import FailedPrecondition
from services.runtime.inference import Batching, ModelDefinition, StateSpec, Streaming, TensorSpec
from services.runtime.model_store import ModelStore
from services.runtime.triton import config
from services.runtime.triton.repository import write_repository
from tests.fixtures.triton_models import TOYS, toy_store, write_toy

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).with_name("golden")

LABELS = ModelDefinition(
    publisher="antiphon",
    name="labels",
    version="1",
    path=Path("model.onnx"),
    sha256="a" * 64,
    licence="Apache-2.0",
    locales=("en",),
    inputs=(TensorSpec("features", "int64", (None, None, 24)),),
    outputs=(TensorSpec("labels", "float32", (None, 61)), TensorSpec("tags", "float32", (None, None, 7))),
    batching=Batching(16, 2.0),
)
ENCODER = ModelDefinition(
    publisher="antiphon",
    name="digits.encoder",
    version="2",
    path=Path("model.onnx"),
    sha256="b" * 64,
    licence="Apache-2.0",
    locales=("en",),
    inputs=(TensorSpec("features", "float32", (None, None, 40)), TensorSpec("budget", "float32", (None, 1))),
    outputs=(TensorSpec("encoded", "float32", (None, None, 128)),),
    states=(StateSpec("hidden", "hidden_next", "float32", (1, 256)), StateSpec("seen", "seen_next", "int64", (1, 1))),
    batching=Batching(32, 4.0),
    streaming=Streaming(1, 16),
    parameters={
        "triton": {
            "tensorrt": True,
            "max_sequences": 512,
            "instances": 2,
            "shapes": {"features": {"min": [1, 16, 40], "opt": [32, 16, 40], "max": [32, 64, 40]}},
        }
    },
)
ZIPFORMER = ModelDefinition(
    publisher="k2-fsa",
    name="zipformer.encoder",
    version="2023-06-26",
    path=Path("encoder.onnx"),
    sha256="c" * 64,
    licence="Apache-2.0",
    locales=("en",),
    inputs=(TensorSpec("x", "float32", (None, 45, 80)),),
    outputs=(TensorSpec("encoder_out", "float32", (None, 16, 512)),),
    states=(
        StateSpec("cached_key_0", "new_cached_key_0", "float32", (128, 1, 128), batch_axis=1),
        StateSpec("processed_lens", "new_processed_lens", "int64", (1,)),
    ),
    batching=Batching(8, 5.0),
)


@pytest.mark.parametrize("definition", [LABELS, ENCODER, ZIPFORMER], ids=lambda definition: definition.name)
@pytest.mark.parametrize("form", ["production", "cpu", "stream"])
def test_a_configuration_is_what_it_was_and_triton_reads_it(definition: ModelDefinition, form: str) -> None:
    if form == "stream" and definition.streaming is None:
        return
    text = {"production": config.production, "cpu": config.cpu, "stream": config.stream}[form](definition)
    assert text == (GOLDEN / f"{definition.name}.{form}.pbtxt").read_text()
    read = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert read.parameters["sha256"].string_value == definition.sha256
    assert read.parameters["antiphon_id"].string_value == definition.id


def _production(definition: ModelDefinition) -> model_config_pb2.ModelConfig:
    return text_format.Parse(config.production(definition), model_config_pb2.ModelConfig())


def _cpu(definition: ModelDefinition) -> model_config_pb2.ModelConfig:
    return text_format.Parse(config.cpu(definition), model_config_pb2.ModelConfig())


def _numbered(*names: str) -> ModelDefinition:
    return replace(ENCODER, states=tuple(StateSpec(name, f"{name}_next", "float32", (1, 256)) for name in names))


def test_states_that_triton_would_mix_up_are_not_left_to_it() -> None:
    assert _production(_numbered("h1", "h2", "c1")).backend == "onnxruntime"
    mixed = _numbered("h1", "h2", "h10")
    assert config.mixes_states(mixed)
    assert config.production(mixed) == config.cpu(mixed)


def test_a_model_that_runs_alone_has_engines_for_one_row() -> None:
    alone = replace(
        ZIPFORMER, inputs=(TensorSpec("x", "float32", (None, 45, 80)),), parameters={"triton": {"tensorrt": True}}
    )
    assert "cached_key_0:128x1x128" in config.production(alone)
    assert "x:8x45x80" not in config.production(alone)


def test_triton_merges_only_what_it_can() -> None:
    assert _production(LABELS).max_batch_size == 16
    assert _production(ENCODER).max_batch_size == 32
    assert _production(ZIPFORMER).max_batch_size == 0
    assert _cpu(ZIPFORMER).max_batch_size == 8
    counted = replace(ENCODER, states=(StateSpec("seen", "seen_next", "int64", (1,)),))
    assert _production(counted).max_batch_size == 0
    flat = replace(LABELS, outputs=(TensorSpec("labels", "float32", (None,)),))
    assert _production(flat).max_batch_size == _cpu(flat).max_batch_size == 0
    assert _production(replace(LABELS, batching=None)).max_batch_size == 0
    one_row = replace(LABELS, outputs=(TensorSpec("labels", "float32", (1, 61)),))
    assert _production(one_row).max_batch_size == 0
    assert list(_production(one_row).output[0].dims) == [1, 61]


def test_dimensions_leave_out_the_merged_axis_and_nothing_else() -> None:
    assert list(_production(ENCODER).input[0].dims) == [-1, 40]
    assert [list(state.dims) for state in _production(ENCODER).sequence_batching.state] == [[256], [1]]
    assert list(_production(ZIPFORMER).input[0].dims) == [-1, 45, 80]
    assert [list(state.dims) for state in _production(ZIPFORMER).sequence_batching.state] == [[128, 1, 128], [1]]


def test_tritons_own_queue_is_bounded_where_that_is_asked_for() -> None:
    queue = {"triton": {"queue": {"max_size": 64, "timeout_ms": 2000}}}
    for definition in (LABELS, replace(LABELS, batching=None)):
        bounded = replace(definition, parameters=queue)
        for made in (_production(bounded), _cpu(bounded)):
            policy = made.dynamic_batching.default_queue_policy
            assert policy.allow_timeout_override
            assert policy.timeout_action == policy.REJECT
            assert policy.default_timeout_microseconds == 2_000_000
            assert policy.max_queue_size == 64
    for made in (_production(LABELS), _cpu(LABELS)):
        assert made.HasField("dynamic_batching")
        assert not made.dynamic_batching.HasField("default_queue_policy")
    assert not _cpu(replace(LABELS, batching=None)).HasField("dynamic_batching")
    assert _production(ENCODER).sequence_batching.oldest.max_candidate_sequences == 512


def test_state_is_tritons_own_only_where_it_keeps_it() -> None:
    states = _production(ENCODER).sequence_batching.state
    assert [state.initial_state[0].zero_data for state in states] == [True, True]
    assert not _cpu(ENCODER).sequence_batching.state  # on the python backend it would silently never change


def test_only_a_waiting_that_pays_is_asked_for() -> None:
    assert _production(LABELS).dynamic_batching.max_queue_delay_microseconds == 2000
    assert _cpu(LABELS).dynamic_batching.max_queue_delay_microseconds == 0


def test_warm_ups_are_the_sample_alone_and_merged_but_never_of_a_sequence() -> None:
    warm_ups = _production(LABELS).model_warmup
    assert [warm_up.batch_size for warm_up in warm_ups] == [1, 16]
    assert list(warm_ups[0].inputs["features"].dims) == [1, 24]
    assert not _production(ENCODER).model_warmup


def test_tensorrt_has_a_profile_for_every_input_and_state_and_no_fp16_unless_declared() -> None:
    (accelerator,) = _production(ENCODER).optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.parameters["precision_mode"] == "FP32"
    assert accelerator.parameters["trt_profile_min_shapes"] == ("features:1x16x40,budget:1x1,hidden:1x256,seen:1x1")
    assert accelerator.parameters["trt_profile_max_shapes"] == ("features:32x64x40,budget:32x1,hidden:32x256,seen:32x1")
    assert ENCODER.triton_name in accelerator.parameters["trt_engine_cache_path"]
    half = replace(ENCODER, parameters={"triton": {**ENCODER.parameters["triton"], "fp16": True}})
    (accelerator,) = _production(half).optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.parameters["precision_mode"] == "FP16"
    assert not _production(LABELS).optimization.execution_accelerators.gpu_execution_accelerator


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"tensorrt": True}, "shapes.features.min"),
        ({"tensorrt": True, "shapes": {"features": {"min": [1, 16, 41]}}}, "shapes.features.min"),
        ({"tensorrt": "yes"}, "tensorrt is true or false"),
        ({"fp61": True}, "no key fp61"),
        ({"instances": 0}, "instances"),
        ({"shapes": [1]}, "tables"),
        ({"queue": {"max_size": 1}}, "queue has"),
        ({"queue": {"max_size": 1, "timeout_ms": 0.5}}, "timeout_ms"),
        ("fast", "tables"),
    ],
)
def test_wrong_options_are_told_by_key(options: object, names: str) -> None:
    with pytest.raises(FailedPrecondition, match=names) as caught:
        config.production(replace(ENCODER, states=(), parameters={"triton": options}))
    assert caught.value.reason == "MODEL_DEFINITION_INVALID"
    assert ENCODER.id in caught.value.message


def test_a_scalar_is_refused_as_triton_takes_none() -> None:
    with pytest.raises(FailedPrecondition, match="scalar"):
        config.production(replace(LABELS, inputs=(TensorSpec("x", "float32", ()),)))


# --- the folder -------------------------------------------------------------------------------------------------------


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("platform", "backend"), [("gpu", "onnxruntime"), ("cpu", "python")])
def test_a_repository_has_both_forms_of_every_model(tmp_path: Path, platform: str, backend: str) -> None:
    store, out = toy_store(tmp_path / "bundles"), tmp_path / "deep" / "repository"
    names = write_repository(store.models(), out, platform)
    assert set(names) == {*(f"toy.{name}@1" for name in TOYS), "toy.sum@1.stream"}
    assert {folder.name for folder in out.iterdir()} == set(names)
    for name in names:
        expected = {"config.pbtxt", "configs/cpu.pbtxt", "1/model.py", "1/definition.json"}
        assert _files(out / name) == expected | (set() if name.endswith(".stream") else {"1/model.onnx"})
        main = text_format.Parse((out / name / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())
        other = text_format.Parse((out / name / "configs/cpu.pbtxt").read_text(), model_config_pb2.ModelConfig())
        assert main.name == other.name == name
        assert other.backend == "python"
        assert main.backend == ("python" if name.endswith(".stream") else backend)
    described = json.loads((out / "toy.double@1" / "1" / "definition.json").read_text())
    content = (out / "toy.double@1" / "1" / "model.onnx").read_bytes()
    assert described["sha256"] == hashlib.sha256(content).hexdigest()
    assert not [path for path in out.parent.iterdir() if path != out]


@pytest.mark.parametrize(
    ("toy", "declared", "dims"), [("double", [-1, 4], [-1]), ("count", [-1, -1], [1, 2])], ids=["more", "less"]
)
def test_outputs_for_gpus_are_as_the_graph_has_them(
    tmp_path: Path, toy: str, declared: list[int], dims: list[int]
) -> None:
    """A definition may say more than its graph, or less; onnxruntime's backend compares exactly."""
    write_toy(tmp_path / "bundles", toy, outputs=[{"name": "y", "dtype": "float32", "shape": declared}])
    write_repository(ModelStore([tmp_path / "bundles"]).models(), tmp_path / "out")
    text = (tmp_path / "out" / f"toy.{toy}@1" / "config.pbtxt").read_text()
    assert list(text_format.Parse(text, model_config_pb2.ModelConfig()).output[0].dims) == dims


def test_bundles_that_are_no_graph_are_left_out(tmp_path: Path) -> None:
    write_toy(tmp_path / "bundles", "double")
    grammar = write_toy(tmp_path / "bundles", "count", file="words.bin")
    (grammar / "words.bin").write_bytes(b"words")
    store = ModelStore([tmp_path / "bundles"])
    assert write_repository(store.models(), tmp_path / "out") == ["toy.double@1"]


def _refused(store: ModelStore, out: Path, reason: str, names: str) -> None:
    before = sorted(out.parent.iterdir())
    with pytest.raises(FailedPrecondition, match=names) as caught:
        write_repository(store.models(), out)
    assert caught.value.reason == reason
    assert sorted(out.parent.iterdir()) == before


def test_a_folder_with_contents_is_not_touched(tmp_path: Path) -> None:
    store, out = toy_store(tmp_path / "bundles"), tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    _refused(store, out, "REPOSITORY_NOT_EMPTY", "out")
    assert (out / "mine.txt").read_text() == "keep"
    file = tmp_path / "file"
    file.write_text("keep")
    _refused(store, file, "REPOSITORY_NOT_EMPTY", "file")


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    store, out = toy_store(tmp_path / "bundles"), tmp_path / "out"
    out.mkdir()
    assert len(list(out.iterdir())) == 0
    inode = out.stat().st_ino
    write_repository(store.models(), out)
    assert len(list(out.iterdir())) == len(TOYS) + 1
    assert out.stat().st_ino == inode, "it may be a mounted volume"


def test_an_empty_folder_stays_empty_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_toy(tmp_path / "bundles", "double", sha256="0" * 64)
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    _refused(ModelStore([tmp_path / "bundles"]), Path(), "MODEL_DIGEST_MISMATCH", "toy/double@1")
    assert not list(out.iterdir())


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "bundles")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(FailedPrecondition, match="cannot be") as caught:
        write_repository(store.models(), tmp_path / "file" / "out")
    assert caught.value.reason == "REPOSITORY_NOT_WRITABLE"


def test_a_file_with_another_digest_stops_all(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "bundles")
    with (tmp_path / "bundles" / "sum" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    _refused(store, tmp_path / "out", "MODEL_DIGEST_MISMATCH", "toy/sum@1")


def test_a_definition_that_its_graph_contradicts_stops_all(tmp_path: Path) -> None:
    write_toy(tmp_path / "bundles", "double", outputs=[{"name": "z", "dtype": "float32", "shape": [-1, -1]}])
    _refused(ModelStore([tmp_path / "bundles"]), tmp_path / "out", "MODEL_DEFINITION_INVALID", "output z")


def test_two_models_of_one_name_on_triton_are_refused(tmp_path: Path) -> None:
    write_toy(tmp_path / "one", "double", publisher="a.b", name="c")
    write_toy(tmp_path / "two", "double", publisher="a", name="b.c")
    store = ModelStore([tmp_path / "one", tmp_path / "two"])
    _refused(store, tmp_path / "out", "REPOSITORY_NAME_TAKEN", r"a\.b/c@1 and a/b\.c@1")


def test_an_unknown_platform_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="gpu or cpu"):
        write_repository([], tmp_path / "out", "tpu")
