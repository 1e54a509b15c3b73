"""What `antiphon up` is told, by file, by option and by variable."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from services import commands
from services.registry import CAPABILITIES, DEFAULT_POOLS
from services.runtime.errors import FailedPrecondition
from services.runtime.platform import pool_limits, read

pytestmark = pytest.mark.unit

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "platform.yaml"


def options(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**{"config": None, "port": None, "pool_port": None, "services": "", **given})


def test_the_example_adds_one_pool_to_the_default_ones() -> None:
    settings = read(EXAMPLE, DEFAULT_POOLS, {})
    pools = {pool.name: pool for pool in settings.pools}
    assert set(pools) == {*CAPABILITIES, "asr-dictation"}
    assert pools["asr-dictation"].capability == "asr"
    assert pools["asr-dictation"].locales == ("en-GB",)
    assert pool_limits(pools["asr"]).max_sessions == 32


def test_every_capability_has_a_pool_and_a_place() -> None:
    assert [pool.capability for pool in DEFAULT_POOLS] == list(CAPABILITIES)
    for place in CAPABILITIES.values():
        module, _, name = place.partition(":")
        assert name == "SPEC"
        assert (EXAMPLE.parents[1] / Path(*module.split("."))).with_suffix(".py").is_file()


def test_options_go_before_the_file() -> None:
    settings = commands._settings(options(config=EXAMPLE, port=9100, pool_port=0, services="asr,tts"))
    assert (settings.port, settings.pool_port) == (9100, 0)
    assert [pool.name for pool in settings.pools] == ["asr", "asr-dictation", "tts"], "a capability means all its pools"


def test_a_pool_can_be_named_alone() -> None:
    settings = commands._settings(options(config=EXAMPLE, services="asr-dictation"))
    assert [pool.name for pool in settings.pools] == ["asr-dictation"]


@pytest.mark.parametrize(
    ("given", "named"), [({"services": "asr,sing"}, "'sing'"), ({"port": 0}, "port"), ({"config": "none.yaml"}, "none")]
)
def test_what_is_wrong_is_named(given: dict[str, object], named: str) -> None:
    given = {key: Path(value) if key == "config" else value for key, value in given.items()}  # type: ignore[arg-type]
    with pytest.raises(FailedPrecondition, match=named):
        commands._settings(options(**given))


def test_what_must_last_is_kept_per_user_and_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert commands._settings(options(port=9100)).state_dir == str(tmp_path / "antiphon" / "9100")
    monkeypatch.setenv("ANTIPHON_STATE_DIR", "/srv/antiphon")
    assert commands._settings(options(port=9100)).state_dir == "/srv/antiphon"
    assert not list(tmp_path.iterdir())
