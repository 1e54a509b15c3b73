"""One platform on Ray Serve for all system tests: starting it is what costs.

`platform` runs the default pools and the pools of the toy, with API keys on (`tests.fixtures.toy_pools.KEYS`), on free
loopback ports. A test that breaks something mends it before it ends: the next one meets the same platform.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.fixtures.runtime_cases")

from services.registry import CAPABILITIES, DEFAULT_POOLS  # noqa: E402 - after the rewrite is asked for
from services.runtime.deployment import RayPlatform  # noqa: E402
from services.runtime.platform import PlatformSettings, PoolSettings  # noqa: E402
from tests.conftest import data_folder  # noqa: E402
from tests.fixtures import bad_skills  # noqa: E402
from tests.fixtures.toy import SPEC_PATH  # noqa: E402
from tests.fixtures.toy_pools import TOY_POOLS, ToyPlatform, write_keys  # noqa: E402
from training.asr_commands.mandarin import build as build_mandarin  # noqa: E402

TURN_POOLS = (
    # A second pool of recognition, for British English: general dictation instead of commands.
    PoolSettings(
        "asr-dictation", "asr", locales=("en-GB",), settings={"models": {"en": "cmusphinx/en-dictation"}, "workers": 1}
    ),
    # And one of a neural recogniser, that only those who name it meet.
    PoolSettings(
        "asr-digits", "asr", locales=("en",), arm="digits", settings={"models": {"en": "antiphon/digits-conv"}}
    ),
    PoolSettings("skills-bad", "skills", tenants=("globex",), spec=bad_skills.SPEC_PATH),
)
RUNTIME_TESTS = Path(__file__).parent / "runtime"


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayPlatform]:
    """The platform; `platform.target` is its front door, `platform.directory` says where the pools are.

    The default pools are left out where only tests of the runtime were selected: they need but the toy.
    """
    others = [item for item in request.session.items if not item.path.is_relative_to(RUNTIME_TESTS)]
    capabilities = CAPABILITIES if others else {}
    pools = DEFAULT_POOLS if others else ()
    mandarin = _mandarin(tmp_path_factory.mktemp("models")) if others else ()
    folder, telemetry = tmp_path_factory.mktemp("platform"), tmp_path_factory.mktemp("telemetry")
    settings = PlatformSettings(
        port=0,
        pool_port=0,
        api_keys=write_keys(folder),
        telemetry_dir=str(telemetry),
        trace_ratio=1.0,
        pools=(*pools, *(TURN_POOLS if others else ()), *mandarin, *TOY_POOLS),
    )
    running = RayPlatform(settings, {**capabilities, "toy": SPEC_PATH})
    with _rays_own_warnings():
        running.__enter__()
    try:
        yield running
    finally:
        with _rays_own_warnings():
            running.stop()


def _mandarin(folder: Path) -> tuple[PoolSettings, ...]:
    """Pools that hear and understand Mandarin, with the model in the test data; none where there is no test data."""
    data = data_folder()
    if data is None:
        return ()
    build_mandarin(data, folder)
    os.environ["ANTIPHON_MODELS"] = str(folder)  # replicas inherit it; it names models beside the bundled ones
    settings = {"models": {"zh": "cmusphinx/zh-broadcast"}, "workers": 1}
    return (
        PoolSettings("asr-zh", "asr", locales=("zh",), settings=settings),
        PoolSettings("nlu-zh", "nlu", locales=("zh",)),
    )


@contextmanager
def _rays_own_warnings() -> Iterator[None]:
    """Ray warns about deprecated calls of its own, and about sockets that it leaves to the end of the process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture
def toys(platform: RayPlatform) -> ToyPlatform:
    """Where the toy is served."""
    return ToyPlatform("ray", platform.target, {pool.name: pool.target for pool in platform.directory.pools})
