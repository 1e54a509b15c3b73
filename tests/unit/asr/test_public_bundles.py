"""Bundles of published recognisers that were edited since they were made: errors at the start, not in mid-speech."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from services.asr.engines.neural.search import Asked, SpeechModel
from services.asr.engines.published.importing import import_public
from services.asr.engines.readers import engine_of, read_model
from services.asr.settings import AsrSettings
from services.runtime.errors import FailedPrecondition, Internal
from services.runtime.inference import ModelClient, SequenceStep, Tensor
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


@pytest.fixture
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = FAMILIES[request.param](tmp_path / "published")
    return import_public(
        folder, publisher="them", name="model", version="1", licence="none", locales=["en"], out=tmp_path / "store"
    )


def read(bundle: Path) -> SpeechModel:
    store = ModelStore([bundle.parents[2]])
    return read_model(store.get("them/model"), OnnxClient(store), AsrSettings())


def edit(path: Path, key: str, value: Any) -> None:
    """`key` leads through the definition: `outputs.0.shape`."""
    definition = yaml.safe_load(path.read_text(encoding="utf-8"))
    place: Any = definition
    *way, last = key.split(".")
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[last] = value
    path.write_text(yaml.safe_dump(definition), encoding="utf-8")


@pytest.mark.parametrize("bundle", FAMILIES, indirect=True)
def test_a_bundle_as_it_was_made_names_its_engine_and_how_it_goes_through_audio(bundle: Path) -> None:
    model = read(bundle)
    assert model.engine == engine_of([model.definition])
    assert model.shape.window > model.shape.shift
    assert model.shape.tail == 30
    assert len(model.tokens) == public_models.VOCABULARY


@pytest.mark.parametrize(
    ("bundle", "part", "key", "value", "told"),
    [
        ("transducer", "", "parameters.graph", "zipformer9", "parameters.graph"),
        ("transducer", "", "parameters.chunk_shift", 30, "parameters.chunk_shift"),
        ("transducer", "", "parameters.chunk_shift", 46, "parameters.chunk_shift"),
        ("transducer", "", "parameters.chunk_shift", None, "parameters.chunk_shift"),
        ("transducer", "", "parameters.chunk_frames", 64, "x"),
        ("transducer", "", "parameters.encoder", 7, "parameters.encoder"),
        ("transducer", "", "parameters.features", {"mel_bins": 40}, "x"),
        ("transducer", "", "parameters.features", {"bins": 80}, "parameters.features"),
        ("transducer", "", "parameters.subsampling", 2, "outputs"),
        ("transducer", "joiner", "outputs.0.shape", [-1, 25], "logit"),
        ("transducer", "joiner", "inputs.0.shape", [-1, 25], "encoder_out"),
        ("transducer", "joiner", "inputs", [], "inputs"),
        ("transducer", "predictor", "inputs.0.shape", [-1, 3], "y"),
        ("transducer", "predictor", "outputs", [], "outputs"),
        ("transducer", "encoder", "outputs", [], "outputs"),
        ("nemo_ctc", "", "parameters.graph", "deepspeech", "parameters.graph"),
        ("nemo_ctc", "", "parameters.graph", "wenet_ctc", "inputs"),
        ("nemo_ctc", "", "parameters.graph", "zipformer2_ctc", "inputs"),
        ("nemo_ctc", "", "parameters.blank", 24, "parameters.blank"),
        ("nemo_ctc", "", "parameters.blank", True, "parameters.blank"),
        ("nemo_ctc", "", "parameters.chunk_frames", 32, "inputs"),
        ("nemo_ctc", "model", "outputs.0.shape", [-1, -1, 25], "outputs"),
        ("nemo_ctc", "model", "outputs", [], "outputs"),
        ("wenet_ctc", "", "parameters.graph", "nemo_ctc", "inputs"),
        ("wenet_ctc", "model", "states", [], "inputs"),
        ("wenet_ctc", "model", "inputs", [], "inputs"),
    ],
    indirect=["bundle"],
)
def test_what_does_not_fit_is_named(bundle: Path, part: str, key: str, value: Any, told: str) -> None:
    edit(bundle / part / "model.yaml", key, value)
    with pytest.raises(FailedPrecondition) as caught:
        read(bundle)
    assert caught.value.reason == "MODEL_DEFINITION_INVALID"
    assert told in caught.value.message
    assert "model.yaml" in caught.value.message


@pytest.mark.parametrize("bundle", ["transducer", "nemo_ctc"], indirect=True)
def test_tokens_are_those_that_were_signed_off(bundle: Path) -> None:
    with (bundle / "tokens.txt").open("a", encoding="utf-8") as tokens:
        tokens.write("more 24\n")
    with pytest.raises(FailedPrecondition) as caught:
        read(bundle)
    assert caught.value.reason == "MODEL_DIGEST_MISMATCH"


@pytest.mark.parametrize("bundle", ["transducer", "nemo_ctc"], indirect=True)
def test_a_part_that_is_missing_is_named(bundle: Path) -> None:
    min(bundle.glob("*/model.yaml")).unlink()
    with pytest.raises(FailedPrecondition) as caught:
        read(bundle)
    assert caught.value.reason == "MODEL_MISSING"


class GarbageClient(OnnxClient):
    """Runs models, and gives something else instead of their outputs."""

    def __init__(self, store: ModelStore, spoil: Callable[[Tensor], Tensor]) -> None:
        super().__init__(store)
        self._spoil = spoil

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        *,
        sequence: SequenceStep | None = None,
        deadline: float | None = None,
    ) -> Mapping[str, Tensor]:
        outputs = await super().infer(model, inputs, sequence=sequence, deadline=deadline)
        return {name: self._spoil(value) for name, value in outputs.items()}


@pytest.mark.parametrize("bundle", FAMILIES, indirect=True)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda value: np.full_like(value, np.nan),
        lambda value: value[..., :-1],
        lambda value: value[:, :0],
        lambda value: value[0],
        lambda value: value.astype(np.float64),
    ],
    ids=["not finite", "a token short", "no frames", "a rank short", "another type"],
)
async def test_garbage_from_a_model_ends_the_utterance_with_an_error_of_ours(
    bundle: Path, spoil: Callable[[Tensor], Tensor]
) -> None:
    store = ModelStore([bundle.parents[2]])
    client: ModelClient = GarbageClient(store, spoil)
    model = read_model(store.get("them/model"), client, AsrSettings())
    search = model.search(Asked())
    window = np.zeros((model.shape.window, model.shape.features.mel_bins), np.float32)
    with pytest.raises(Internal) as caught:
        await search.advance(window, last=False)
    assert caught.value.reason == "MODEL_FAILED"
    await search.close()
    await client.close()
