"""The program that runs a model in the CPU form: merging, state, and requests that are wrong, without a server."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.runtime.inference import Tensor
from services.runtime.triton.repository import write_repository
from tests.fakes.triton_backend import InferenceResponse, Request, load_program
from tests.fixtures.triton_models import toy_store

pytestmark = pytest.mark.unit


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Home:
    """One toy's program, and how often its graph was run."""

    def __init__(self, program: Any, repository: Path, name: str) -> None:
        self.program = program
        self.model = program.TritonPythonModel()
        self.model.initialize({"model_repository": str(repository / f"toy.{name}@1"), "model_version": "1"})
        self.clock = Clock()
        self.model._sequences._clock = self.clock
        self.runs = 0
        self._infer = self.model._infer
        self.model._infer = self._counted

    @property
    def open_sequences(self) -> int:
        return len(self.model._sequences)

    def run(self, *requests: Request) -> list[InferenceResponse]:
        answers = self.model.execute(list(requests))
        assert len(answers) == len(requests)
        return list(answers)

    def _counted(self, feeds: dict[str, Tensor]) -> dict[str, Tensor]:
        self.runs += 1
        result: dict[str, Tensor] = self._infer(feeds)
        return result


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("program")
    write_repository(toy_store(root / "bundles").models(), root / "repository", "cpu")
    return root / "repository"


@pytest.fixture
def program() -> Any:
    return load_program("model")


def _x(*shape: int, value: float = 1.0) -> dict[str, Tensor]:
    return {"x": np.full(shape, value, np.float32)}


def test_calls_of_equal_shape_are_one_run_and_each_gets_its_own_rows(program: Any, repository: Path) -> None:
    home = Home(program, repository, "double")
    answers = home.run(Request(_x(1, 3)), Request(_x(2, 3, value=2)), Request(_x(1, 5)), Request(_x(1, 3, value=4)))
    assert [answer.outputs["y"].tolist() for answer in answers] == [
        [[2.0] * 3],
        [[4.0] * 3] * 2,
        [[2.0] * 5],
        [[8.0] * 3],
    ]
    assert home.runs == 2


def test_no_run_has_more_rows_than_declared(program: Any, repository: Path) -> None:
    home = Home(program, repository, "double")
    answers = home.run(*(Request(_x(3, 2)) for _ in range(5)))  # 15 rows, 8 at once: two calls to a run
    assert home.runs == 3
    assert all(answer.outputs["y"].shape == (3, 2) for answer in answers)


def test_a_model_that_must_not_be_merged_runs_call_by_call(program: Any, repository: Path) -> None:
    home = Home(program, repository, "inverse")
    answers = home.run(Request(_x(2, value=0.5)), Request(_x(2, value=1.0)), Request(_x(2, value=0.0)))
    assert home.runs == 3
    assert [answer.code for answer in answers] == ["", "MODEL_FAILED", ""]
    assert answers[2].outputs["y"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({}, "TENSOR_MISMATCH"),
        ({"x": np.ones((1, 3))}, "TENSOR_MISMATCH"),
        ({"x": np.ones(3, np.float32)}, "TENSOR_MISMATCH"),
        ({"x": np.ones((0, 3), np.float32)}, "TENSOR_MISMATCH"),
        ({"x": np.ones((1, 0), np.float32)}, "TENSOR_MISMATCH"),
        ({"x": np.ones((9, 3), np.float32)}, "TENSOR_MISMATCH"),
        ({"x": np.full((1, 3), np.nan, np.float32)}, "TENSOR_NOT_FINITE"),
        ({"x": np.full((1, 3), np.inf, np.float32)}, "TENSOR_NOT_FINITE"),
    ],
)
def test_a_wrong_request_is_told_why_and_harms_none_beside_it(
    program: Any, repository: Path, inputs: dict[str, Tensor], code: str
) -> None:
    home = Home(program, repository, "double")
    good, bad, other = home.run(Request(_x(1, 3)), Request(inputs), Request(_x(1, 3)))
    assert bad.code == code
    assert not bad.tensors
    assert good.outputs["y"].tolist() == other.outputs["y"].tolist() == [[2.0] * 3]


def test_what_nobody_waits_for_is_not_run(program: Any, repository: Path) -> None:
    home = Home(program, repository, "double")
    (answer,) = home.run(Request(_x(1, 3), cancelled=True))
    assert answer.code == "CANCELLED"
    assert home.runs == 0


def test_sequences_are_merged_and_keep_their_own_state(program: Any, repository: Path) -> None:
    home = Home(program, repository, "echo")
    for step in range(4):
        answers = home.run(
            *(Request(_x(1, 3, value=10 * number + step), number, start=step == 0) for number in (1, 2, 3))
        )
        assert [answer.outputs["calls"].item() for answer in answers] == [step + 1] * 3
        wanted = [0.0 if step < 2 else 10.0 * number + step - 2 for number in (1, 2, 3)]
        assert [answer.outputs["y"][0, 0] for answer in answers] == wanted
    assert home.runs == 4


def test_state_does_not_hold_the_batch_that_it_came_in(program: Any, repository: Path) -> None:
    home = Home(program, repository, "sum")
    home.run(*(Request(_x(1, 4, 2), number, start=True) for number in range(1, 9)))
    kept = home.model._sequences.of(1)["total"]
    assert kept.base is None


def test_two_calls_of_one_sequence_at_once_run_in_their_order(program: Any, repository: Path) -> None:
    home = Home(program, repository, "sum")
    first, second, third = home.run(
        Request(_x(1, 1, 2), 5, start=True), Request(_x(1, 1, 2, value=2), 5), Request(_x(1, 1, 2, value=4), 5)
    )
    assert [one.outputs["y"][0, 0, 0] for one in (first, second, third)] == [1.0, 3.0, 7.0]


def test_a_start_forgets_and_an_end_drops_also_when_the_call_was_wrong(program: Any, repository: Path) -> None:
    home = Home(program, repository, "sum")
    home.run(Request(_x(1, 1, 2), 5, start=True))
    (again,) = home.run(Request(_x(1, 1, 2), 5, start=True))
    assert again.outputs["y"][0, 0, 0] == 1.0
    (wrong,) = home.run(Request(_x(1, 1, 3), 5, end=True))
    assert wrong.code == "TENSOR_MISMATCH"
    assert home.open_sequences == 0
    (late,) = home.run(Request(_x(1, 1, 2), 5))
    assert late.code == "SEQUENCE_UNKNOWN"


def test_a_wrong_call_leaves_its_sequence_as_it_was(program: Any, repository: Path) -> None:
    home = Home(program, repository, "sum")
    home.run(Request(_x(1, 1, 2), 5, start=True))
    (wrong,) = home.run(Request(_x(2, 1, 2), 5))
    assert wrong.code == "TENSOR_MISMATCH"
    (right,) = home.run(Request(_x(1, 1, 2), 5))
    assert right.outputs["y"][0, 0, 0] == 2.0


def test_numbers_that_are_none_end_the_sequence_that_made_them_and_no_other(program: Any, repository: Path) -> None:
    home = Home(program, repository, "sum")
    huge = _x(1, 2, 2, value=3e38)
    spoiled, fine = home.run(Request(huge, 1, start=True), Request(_x(1, 2, 2), 2, start=True))
    assert spoiled.code == "MODEL_FAILED"
    assert fine.outputs["y"][0, 1, 0] == 2.0
    assert home.open_sequences == 1


def test_idle_sequences_are_swept_and_busy_ones_stay(program: Any, repository: Path) -> None:
    home = Home(program, repository, "sum")
    home.run(Request(_x(1, 1, 2), 1, start=True), Request(_x(1, 1, 2), 2, start=True))
    home.clock.now += program.IDLE_S - 1
    home.run(Request(_x(1, 1, 2), 2))
    home.clock.now += 2
    idle, busy = home.run(Request(_x(1, 1, 2), 1), Request(_x(1, 1, 2), 2))
    assert idle.code == "SEQUENCE_UNKNOWN"
    assert busy.outputs["y"][0, 0, 0] == 3.0
    assert home.open_sequences == 1


@pytest.mark.parametrize(("bound", "value"), [("MAX_SEQUENCES", 2), ("MAX_STATE_BYTES", 16)])
def test_sequences_are_bounded_in_number_and_bytes(
    program: Any, repository: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(program, bound, value)
    home = Home(program, repository, "sum")
    for number in (1, 2):
        home.run(Request(_x(1, 1, 2), number, start=True))
    refused, open_one = home.run(Request(_x(1, 1, 2), 3, start=True), Request(_x(1, 1, 2), 1))
    assert refused.code == "SEQUENCES_FULL"
    assert open_one.outputs["y"][0, 0, 0] == 2.0
    (again,) = home.run(Request(_x(1, 1, 2), 2, start=True))
    assert again.code == ""


def test_no_message_holds_what_was_sent(program: Any, repository: Path) -> None:
    home = Home(program, repository, "sum")
    answers = home.run(
        Request(_x(1, 2, 2, value=3.125e38), 1, start=True),
        Request({"x": np.full((1, 2, 2), 7.25)}, 2, start=True),
        Request(_x(1, 2, 2, value=np.nan), 3, start=True),
    )
    messages = [answer.error.message for answer in answers if answer.error]
    assert len(messages) == 3
    assert not [text for text in messages if "3.125" in text or "7.25" in text]


def test_another_file_is_not_loaded_nor_one_that_is_no_graph(program: Any, tmp_path: Path) -> None:
    write_repository(toy_store(tmp_path / "bundles").models(), tmp_path / "repository", "cpu")
    version = tmp_path / "repository" / "toy.sum@1" / "1"
    (version / "model.onnx").write_bytes(b"garbage")
    with pytest.raises(program.Refused, match="MODEL_DIGEST_MISMATCH"):
        Home(program, tmp_path / "repository", "sum")
    definition = json.loads((version / "definition.json").read_text())
    definition["sha256"] = hashlib.sha256(b"garbage").hexdigest()
    (version / "definition.json").write_text(json.dumps(definition))
    with pytest.raises(program.Refused, match="MODEL_INVALID"):
        Home(program, tmp_path / "repository", "sum")
