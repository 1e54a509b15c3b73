"""Platform settings: what may listen where, and pools from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.runtime.errors import FailedPrecondition
from services.runtime.platform import PlatformSettings, PoolSettings, is_loopback, longest_session_s, pool_limits, read

pytestmark = pytest.mark.unit

DEFAULT = (PoolSettings("asr", "asr"), PoolSettings("nlu", "nlu"))


def _read(tmp_path: Path, text: str, **environment: str) -> PlatformSettings:
    path = tmp_path / "antiphon.yaml"
    path.write_text(text)
    return read(path, DEFAULT, environment)


def test_without_a_file_the_default_pools_on_loopback() -> None:
    settings = read(None, DEFAULT, {})
    assert (settings.host, settings.port, settings.pools) == ("127.0.0.1", 9000, DEFAULT)
    assert [pool.target for pool in settings.directory().pools] == ["127.0.0.1:9201", "127.0.0.1:9202"]
    assert [pool.target for pool in settings.directory([7, 8]).pools] == ["127.0.0.1:7", "127.0.0.1:8"]


def test_pools_from_yaml_and_addresses_from_the_environment(tmp_path: Path) -> None:
    text = """
    port: 9100
    pools:
      asr: {}
      asr-zh: {capability: asr, locales: [zh], replicas: 2, limits: {max_sessions: 8}, settings: {model: big}}
    """
    settings = _read(tmp_path, text, ANTIPHON_PORT="9300")
    assert settings.port == 9300
    asr, chinese = settings.pools
    assert (asr.name, asr.capability, asr.replicas) == ("asr", "asr", 1)
    assert (chinese.capability, chinese.locales, chinese.replicas) == ("asr", ("zh",), 2)
    assert chinese.settings == {"model": "big"}
    assert pool_limits(chinese).max_sessions == 8


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("prot: 9000", "prot"),
        ("port: high", "port"),
        ("port: 70000", "port"),
        ("trace_ratio: 2", "trace_ratio"),
        ("pools: [asr]", "pools"),
        ("pools: {asr: 5}", "asr"),
        ("pools: {asr: {replica: 2}}", "replica"),
        ("pools: {asr: {replicas: 0}}", "replicas of pool 'asr'"),
        ("- a list", "table"),
        ("a: [", "antiphon.yaml"),
        ("host: 0.0.0.0", "api_keys and tls_certificate"),
        ("api_keys: /no/such/file.json", "api_keys"),
        ("tls_certificate: /no/such/file.pem", "tls_certificate"),
    ],
)
def test_mistakes_name_their_key(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        _read(tmp_path, text)
    assert refused.value.reason == "SETTINGS_INVALID"
    assert key in refused.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match=r"gone\.yaml"):
        read(tmp_path / "gone.yaml", DEFAULT, {})


def test_pool_names_are_unique() -> None:
    with pytest.raises(ValueError, match="asr"):
        PlatformSettings(pools=(DEFAULT[0], DEFAULT[0]))


@pytest.mark.parametrize("limits", [{"max_session": 4}, {"max_sessions": 0}, {"idle_s": "soon"}])
def test_wrong_limits_name_their_key(limits: dict[str, Any]) -> None:
    with pytest.raises(FailedPrecondition, match=next(iter(limits))):
        pool_limits(PoolSettings("asr", "asr", limits=limits))


def test_the_longest_session_of_any_pool_counts() -> None:
    pools = (DEFAULT[0], PoolSettings("long", "asr", limits={"session_s": 3600}))
    assert longest_session_s(pools) == 3600
    assert longest_session_s(()) == 600


@pytest.mark.parametrize(
    ("host", "inside"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("db", False)],
)
def test_is_loopback(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside
