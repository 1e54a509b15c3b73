"""Published recognisers as bundles: what is made of good files, and which error of bad ones."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from services.asr.engines.published.importing import import_public
from services.runtime.errors import AlreadyExists, FailedPrecondition
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from tests.fixtures import public_models

pytestmark = pytest.mark.unit

FAMILIES: dict[str, Callable[[Path], Path]] = {
    "transducer": public_models.zipformer2,
    "zipformer2_ctc": public_models.zipformer2_ctc,
    "wenet_ctc": public_models.wenet_ctc,
    "nemo_ctc": public_models.nemo_ctc,
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each family in a folder of its name."""
    folder = tmp_path_factory.mktemp("published")
    for name, write in FAMILIES.items():
        write(folder / name)
    return folder


@pytest.fixture
def spoilt(published: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy to spoil."""

    def copied(family: str) -> Path:
        return Path(shutil.copytree(published / family, tmp_path / family))

    return copied


def imported(folder: Path, out: Path, **changed: Any) -> Path:
    wanted = {"publisher": "them", "name": "model", "version": "1", "licence": "Apache-2.0", "locales": ["en"]}
    return import_public(folder, **{**wanted, **changed}, out=out)


def graph_of(folder: Path, beginning: str = "") -> Path:
    """The first ONNX file, or the one whose name begins so."""
    return min(folder.glob(f"{beginning}*.onnx"))


def note(path: Path, key: str, value: str | None) -> None:
    """Changes what a file says of itself; None takes the key away."""
    model = onnx.load(str(path))
    notes = {entry.key: entry.value for entry in model.metadata_props} | {key: value}
    helper.set_model_props(model, {key: value for key, value in notes.items() if value is not None})
    onnx.save(model, str(path))


def open_all_lengths(path: Path) -> None:
    """As exports do that leave every length open."""
    model = onnx.load(str(path))
    for value in (*model.graph.input, *model.graph.output):
        for at, size in enumerate(value.type.tensor_type.shape.dim):
            size.dim_param = f"{value.name}_{at}"
    onnx.save(model, str(path))


def refused(folder: Path, out: Path, reason: str, *told: str) -> FailedPrecondition:
    with pytest.raises(FailedPrecondition) as caught:
        imported(folder, out)
    assert caught.value.reason == reason, caught.value.message
    for text in told:
        assert text in caught.value.message
    assert not out.exists() or not any(out.iterdir())
    return caught.value


# --- good files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
async def test_every_part_of_a_bundle_loads_as_it_was_published(family: str, published: Path, tmp_path: Path) -> None:
    bundle = imported(published / family, tmp_path)
    store = ModelStore([tmp_path])
    whole = store.get("them/model@1")
    assert bundle == tmp_path / "them" / "model" / "1"
    assert whole.path.name == "tokens.txt"
    assert whole.locales == ("en",)
    assert whole.card.is_file()
    parts = [model for model in store.models() if model is not whole]
    assert all(part.id in whole.parameters.values() for part in parts)
    client = OnnxClient(store)
    for part in parts:
        assert part.path.read_bytes() in [path.read_bytes() for path in (published / family).glob("*.onnx")]
        assert part.card == whole.card
        await client.load(part.id)  # the definition and the graph agree
    await client.close()


@pytest.mark.parametrize(
    ("family", "batched", "states"),
    [("transducer", True, 20), ("zipformer2_ctc", True, 20), ("wenet_ctc", False, 2), ("nemo_ctc", True, 3)],
)
def test_states_lie_along_the_axis_of_their_graph(
    family: str, batched: bool, states: int, published: Path, tmp_path: Path
) -> None:
    imported(published / family, tmp_path)
    store = ModelStore([tmp_path])
    stateful = next(model for model in store.models() if model.states)
    assert (stateful.batching is not None) == batched
    assert len(stateful.states) == states
    axes = {state.input: state.batch_axis for state in stateful.states}
    if batched and "cached_key_0" in axes:
        assert (axes["cached_key_0"], axes["cached_nonlin_attn_2"], axes["cached_conv2_1"]) == (1, 1, 0)
        assert stateful.states[-1].dtype == "int64"
        assert {state.input: state.shape for state in stateful.states}["cached_key_1"] == (8, 1, 16)


def test_a_graph_for_one_sequence_at_a_time_is_not_merged(spoilt: Callable[[str], Path], tmp_path: Path) -> None:
    folder = spoilt("zipformer2_ctc")
    model = onnx.load(str(graph_of(folder)))
    for value in (*model.graph.input, *model.graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param == "N":
                size.dim_value = 1
    onnx.save(model, str(graph_of(folder)))
    imported(folder, tmp_path / "store")
    definition = ModelStore([tmp_path / "store"]).get("them/model.model@1")
    assert definition.batching is None
    assert definition.inputs[0].shape[0] == 1


def test_lengths_that_a_graph_leaves_open_come_from_its_notes(spoilt: Callable[[str], Path], tmp_path: Path) -> None:
    folder = spoilt("nemo_ctc")
    open_all_lengths(graph_of(folder))
    imported(folder, tmp_path / "store")
    definition = ModelStore([tmp_path / "store"]).get("them/model.model@1")
    assert definition.inputs[0].shape == (None, 80, 25)
    assert definition.states[0].shape == (1, 2, 10, 16)


def test_the_full_copy_is_taken_where_there_is_a_smaller_one(spoilt: Callable[[str], Path], tmp_path: Path) -> None:
    folder = spoilt("transducer")
    for path in list(folder.glob("*.onnx")):
        path.with_name(f"{path.stem}.int8.onnx").write_bytes(b"not looked at")
    imported(folder, tmp_path / "store")
    assert ModelStore([tmp_path / "store"]).get("them/model.encoder").batching is not None


def test_a_quantised_copy_is_not_merged(spoilt: Callable[[str], Path], tmp_path: Path) -> None:
    """Its scale is found over all rows of a call: one session's audio would change another's numbers."""
    folder = spoilt("nemo_ctc")
    graph_of(folder).rename(folder / "model.int8.onnx")
    imported(folder, tmp_path / "store")
    assert ModelStore([tmp_path / "store"]).get("them/model.model").batching is None


def test_the_streaming_one_of_two_models_is_taken(spoilt: Callable[[str], Path], tmp_path: Path) -> None:
    folder = spoilt("wenet_ctc")
    (folder / "model.onnx").write_bytes(b"takes whole recordings")
    imported(folder, tmp_path / "store")


def test_symbols_of_a_decoding_graph_are_left_out(spoilt: Callable[[str], Path], tmp_path: Path) -> None:
    folder = spoilt("transducer")
    with (folder / "tokens.txt").open("a", encoding="utf-8") as tokens:
        tokens.write("#0 24\n#1 25\n")
    bundle = imported(folder, tmp_path / "store")
    assert len((bundle / "tokens.txt").read_text(encoding="utf-8").splitlines()) == public_models.VOCABULARY


@pytest.mark.parametrize(("capitals", "lowercase"), [(True, True), (False, False)])
def test_words_in_capitals_only_are_told_in_lower_case(
    capitals: bool, lowercase: bool, spoilt: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = spoilt("transducer")
    tokens = (folder / "tokens.txt").read_text(encoding="utf-8")
    changed = re.sub(r"▁?[a-z] ", lambda found: found[0].upper(), tokens) if capitals else tokens
    (folder / "tokens.txt").write_text(changed, encoding="utf-8")
    imported(folder, tmp_path / "store")
    assert ModelStore([tmp_path / "store"]).get("them/model").parameters["lowercase"] is lowercase


# --- bad metadata -----------------------------------------------------------------------------------------------------

HUGE = "9" * 5_000  # Python itself refuses to read it as a number


@pytest.mark.parametrize(
    ("family", "part", "key", "value"),
    [
        ("transducer", "encoder", "model_type", None),
        ("transducer", "encoder", "T", None),
        ("transducer", "encoder", "T", "44"),
        ("transducer", "encoder", "T", "-45"),
        ("transducer", "encoder", "T", "45.0"),
        ("transducer", "encoder", "T", HUGE),
        ("transducer", "encoder", "T", ""),
        ("transducer", "encoder", "decode_chunk_len", None),
        ("transducer", "encoder", "decode_chunk_len", "0"),
        ("transducer", "encoder", "encoder_dims", None),
        ("transducer", "encoder", "encoder_dims", "16"),
        ("transducer", "encoder", "encoder_dims", "16,24,32"),
        ("transducer", "encoder", "encoder_dims", "16,many"),
        ("transducer", "encoder", "encoder_dims", "16;24"),
        ("transducer", "encoder", "num_encoder_layers", "1,-2"),
        ("transducer", "encoder", "num_encoder_layers", "1,1000000"),
        ("transducer", "encoder", "num_encoder_layers", ",".join(["1"] * 1_000_000)),
        ("transducer", "encoder", "cnn_module_kernels", ""),
        ("transducer", "encoder", "left_context_len", "16,999999999"),
        ("transducer", "encoder", "query_head_dims", "4,"),
        ("transducer", "encoder", "value_head_dims", HUGE),
        ("transducer", "encoder", "num_heads", "2,٤"),
        ("transducer", "encoder", "feature", "whisper"),
        ("transducer", "decoder", "context_size", None),
        ("transducer", "decoder", "context_size", "3"),
        ("transducer", "decoder", "vocab_size", "many"),
        ("transducer", "joiner", "joiner_dim", None),
        ("transducer", "joiner", "joiner_dim", "999999999"),
        ("zipformer2_ctc", "ctc", "T", "64"),
        ("wenet_ctc", "model", "head", None),
        ("wenet_ctc", "model", "head", "3"),
        ("wenet_ctc", "model", "num_blocks", "-1"),
        ("wenet_ctc", "model", "output_size", "0"),
        ("wenet_ctc", "model", "cnn_module_kernel", "1"),
        ("wenet_ctc", "model", "right_context", "999"),
        ("wenet_ctc", "model", "subsampling_factor", None),
        ("wenet_ctc", "model", "chunk_size", "100000"),
        ("wenet_ctc", "model", "vocab_size", None),
        ("nemo_ctc", "model", "window_size", None),
        ("nemo_ctc", "model", "window_size", "9999999"),
        ("nemo_ctc", "model", "chunk_shift", "26"),
        ("nemo_ctc", "model", "chunk_shift", "12"),
        ("nemo_ctc", "model", "normalize_type", "per_feature"),
        ("nemo_ctc", "model", "cache_last_channel_dim2", "99999999"),
        ("nemo_ctc", "model", "cache_last_time_dim3", "x"),
        ("nemo_ctc", "model", "subsampling_factor", "0"),
    ],
)
def test_bad_metadata_is_an_error_that_names_file_and_key(
    family: str, part: str, key: str, value: str | None, spoilt: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = spoilt(family)
    path = graph_of(folder, part)
    note(path, key, value)
    error = refused(folder, tmp_path / "store", "MODEL_METADATA_INVALID", path.name)
    named = "output_size" if (key, value) == ("head", "3") else key
    assert error.metadata == {"file": path.name, "key": named} or key == "decode_chunk_len"
    assert len(error.message) < 200


@pytest.mark.parametrize(
    ("family", "part", "key", "value", "tensor"),
    [
        ("transducer", "encoder", "left_context_len", "16,9", "cached_key_1"),
        ("transducer", "encoder", "encoder_dims", "16,28", "cached_nonlin_attn_1"),
        ("transducer", "encoder", "num_encoder_layers", "1,1", "inputs"),
        ("transducer", "decoder", "vocab_size", "25", "logit"),
        ("transducer", "joiner", "joiner_dim", "17", "encoder_out"),
        ("wenet_ctc", "model", "num_blocks", "3", "attn_cache"),
        ("wenet_ctc", "model", "cnn_module_kernel", "9", "conv_cache"),
        ("wenet_ctc", "model", "vocab_size", "25", "log_probs"),
        ("nemo_ctc", "model", "cache_last_time_dim1", "3", "cache_last_time"),
        ("nemo_ctc", "model", "vocab_size", "24", "logprobs"),
    ],
)
def test_metadata_that_its_own_graph_denies_is_an_error_that_names_the_tensor(
    family: str, part: str, key: str, value: str, tensor: str, spoilt: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = spoilt(family)
    path = graph_of(folder, part)
    note(path, key, value)
    refused(folder, tmp_path / "store", "MODEL_INVALID", ".onnx", tensor)


@pytest.mark.parametrize("family", ["transducer", "wenet_ctc"])
@pytest.mark.parametrize("kind", ["zipformer", "lstm", "paraformer", "", "x" * 100_000])
def test_a_family_that_is_not_served_is_told_apart_from_a_bad_file(
    family: str, kind: str, spoilt: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = spoilt(family)
    note(graph_of(folder, "encoder" if family == "transducer" else ""), "model_type", kind)
    error = refused(folder, tmp_path / "store", "MODEL_UNSUPPORTED", "zipformer2")
    assert len(error.message) < 300


def test_a_session_that_would_keep_too_much_is_refused_before_anything_is_allocated(
    spoilt: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = spoilt("nemo_ctc")
    open_all_lengths(graph_of(folder))
    for at in (1, 2, 3):
        note(graph_of(folder), f"cache_last_channel_dim{at}", "65536")
    refused(folder, tmp_path / "store", "MODEL_INVALID", "MiB")


# --- bad files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["encoder", "decoder", "joiner"])
@pytest.mark.parametrize("content", ["half", "text", "nothing", "zeros"])
def test_what_is_no_graph_is_an_error_that_names_the_file(
    part: str, content: str, spoilt: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = spoilt("transducer")
    path = graph_of(folder, part)
    whole = path.read_bytes()
    spoilt_by = {
        "half": whole[: len(whole) // 2],
        "text": b"<html>not found</html>",
        "nothing": b"",
        "zeros": bytes(64),
    }
    path.write_bytes(spoilt_by[content])
    refused(folder, tmp_path / "store", "MODEL_INVALID", path.name)


def test_half_precision_at_the_door_is_not_served(spoilt: Callable[[str], Path], tmp_path: Path) -> None:
    folder = spoilt("transducer")
    path = graph_of(folder, "joiner")
    model = onnx.load(str(path))
    for node in model.graph.node:
        node.input[:] = ["whole" if name == "encoder_out" else name for name in node.input]
    model.graph.node.insert(0, helper.make_node("Cast", ["encoder_out"], ["whole"], to=TensorProto.FLOAT))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(model, str(path))
    refused(folder, tmp_path / "store", "MODEL_INVALID", path.name, "encoder_out", "float16")


def test_parts_of_two_recognisers_do_not_make_one(
    spoilt: Callable[[str], Path], published: Path, tmp_path: Path
) -> None:
    folder = spoilt("transducer")
    shutil.copyfile(graph_of(published / "transducer", "joiner"), graph_of(folder, "decoder"))
    refused(folder, tmp_path / "store", "MODEL_METADATA_INVALID", "decoder", "vocab_size")


@pytest.mark.parametrize("missing", ["encoder", "decoder", "tokens"])
def test_a_file_that_is_missing_is_named(missing: str, spoilt: Callable[[str], Path], tmp_path: Path) -> None:
    folder = spoilt("transducer")
    min(folder.glob(f"{missing}*")).unlink()
    refused(folder, tmp_path / "store", "MODEL_MISSING", missing)


def test_two_models_of_one_kind_are_not_guessed_between(spoilt: Callable[[str], Path], tmp_path: Path) -> None:
    folder = spoilt("nemo_ctc")
    shutil.copyfile(folder / "model.onnx", folder / "model-2.onnx")
    refused(folder, tmp_path / "store", "MODEL_MISSING", "model-2.onnx")


def test_links_are_not_followed(spoilt: Callable[[str], Path], tmp_path: Path) -> None:
    folder = spoilt("nemo_ctc")
    (folder / "tokens.txt").rename(tmp_path / "elsewhere.txt")
    (folder / "tokens.txt").symlink_to(tmp_path / "elsewhere.txt")
    refused(folder, tmp_path / "store", "MODEL_MISSING", "tokens.txt")


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        ("", "no token 0"),
        ("<blk> 0\n", "no token 1"),
        ("".join(f"{chr(97 + at)} {at}\n" for at in range(24)), "blank"),
        ("<blk> 0\nb 0\n", "line 2"),
        ("<blk>\n", "line 1"),
        ("<blk> -1\n", "line 1"),
        (f"<blk> {HUGE}\n", "line 1"),
        ("".join(f"{'<blk>' if at == 0 else at} {at}\n" for at in range(26)), "token 24"),
        ("".join(f"{'<blk>' if at == 1 else at} {at}\n" for at in range(24)), "blank"),
    ],
)
def test_tokens_that_are_not_those_of_the_network_are_refused(
    tokens: str, told: str, spoilt: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = spoilt("transducer")
    (folder / "tokens.txt").write_text(tokens, encoding="utf-8")
    refused(folder, tmp_path / "store", "MODEL_TOKENS_INVALID", told)


def test_tokens_that_are_no_text_are_refused(spoilt: Callable[[str], Path], tmp_path: Path) -> None:
    folder = spoilt("transducer")
    (folder / "tokens.txt").write_bytes(b"\xff\xfe\x00")
    refused(folder, tmp_path / "store", "MODEL_TOKENS_INVALID", "UTF-8")


@pytest.mark.parametrize("wrong", [{"publisher": ".."}, {"name": "../../etc"}, {"version": "1/2"}, {"name": ""}])
def test_no_id_leads_out_of_the_store(wrong: dict[str, str], published: Path, tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        imported(published / "nemo_ctc", tmp_path / "store", **wrong)
    assert caught.value.reason == "MODEL_DEFINITION_INVALID"
    assert [path.name for path in tmp_path.rglob("*")] == ["store"]


def test_a_bundle_that_is_there_is_not_overwritten(published: Path, tmp_path: Path) -> None:
    imported(published / "nemo_ctc", tmp_path)
    with pytest.raises(AlreadyExists):
        imported(published / "wenet_ctc", tmp_path)
    assert ModelStore([tmp_path]).get("them/model").parameters["graph"] == "nemo_ctc"
