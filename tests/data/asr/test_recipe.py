"""The commands model is what its recipe makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.asr_commands.train import OUT, build

pytestmark = pytest.mark.data


def test_the_recipe_makes_the_files_that_are_committed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTIPHON_DATA", str(data))
    build(tmp_path)
    committed = Path(__file__).parents[3] / OUT
    for name in ("commands.lm.bin", "commands.dict"):
        assert (tmp_path / name).read_bytes() == (committed / name).read_bytes(), name
