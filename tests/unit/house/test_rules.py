"""The rules of tests/conftest.py, each run on a small suite that keeps or breaks it."""

from __future__ import annotations

from pathlib import Path

import pytest

import tests.conftest as house

pytestmark = pytest.mark.unit


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty suite under the rules, outside CI and without data."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("ANTIPHON_DATA", raising=False)
    pytester.makeconftest(Path(house.__file__).read_text(encoding="utf-8"))
    markers = "\n".join(f'    "{name}: x",' for name in [*house.CATEGORIES, *house.NEEDS])
    pytester.makepyprojecttoml(
        '[tool.pytest]\nstrict = true\nasyncio_mode = "auto"\nasyncio_default_fixture_loop_scope = "function"\n'
        f"markers = [\n{markers}\n]\n"
    )
    return pytester


def run(suite: pytest.Pytester, source: str, *options: str) -> pytest.RunResult:
    suite.makepyfile(f"import pytest\n{source}")
    return suite.runpytest_inprocess("-p", "no:cacheprovider", *options)


def run_apart(suite: pytest.Pytester, source: str) -> pytest.RunResult:
    """In a process of its own, for rules that patch modules which this very run also uses."""
    suite.makepyfile(f"import pytest\n{source}")
    return suite.runpytest_subprocess("-p", "no:cacheprovider")


# --- categories -------------------------------------------------------------------------------------------------------


def test_a_test_without_a_category_fails_collection(suite: pytest.Pytester) -> None:
    result = run(suite, "def test_it(): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_it: it is marked with none of unit, integration*"])


def test_a_test_with_two_categories_fails_collection(suite: pytest.Pytester) -> None:
    result = run(suite, "@pytest.mark.unit\n@pytest.mark.system\ndef test_it(): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_it: it is marked as system and unit"])


def test_a_deselected_test_needs_a_category_too(suite: pytest.Pytester) -> None:
    result = run(suite, "def test_it(): pass\n@pytest.mark.unit\ndef test_other(): pass", "-m", "unit")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_an_unknown_marker_fails_collection(suite: pytest.Pytester) -> None:
    result = run(suite, "@pytest.mark.unit\n@pytest.mark.slow\ndef test_it(): pass")
    assert result.ret != pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*'slow' not found in `markers`*"])


@pytest.mark.parametrize("need", ["data", "gpu"])
def test_a_unit_test_needs_neither_data_nor_gpu(suite: pytest.Pytester, need: str) -> None:
    result = run(suite, f"@pytest.mark.unit\n@pytest.mark.{need}\ndef test_it(): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*a unit test needs neither data nor gpu*{need}"])


def test_the_data_fixture_needs_the_data_category(suite: pytest.Pytester) -> None:
    result = run(suite, "@pytest.mark.system\ndef test_it(data): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*uses the fixture `data` and is not marked as data"])


@pytest.mark.parametrize("marks", ["unit", "integration", "system", "gpu", "triton gpu"])
def test_one_category_is_enough(suite: pytest.Pytester, marks: str) -> None:
    decorators = "\n".join(f"@pytest.mark.{mark}" for mark in marks.split())
    result = run(suite, f"{decorators}\ndef test_it(): pass")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.OK


def test_the_longest_category_sets_the_time_limit_unless_the_test_does(suite: pytest.Pytester) -> None:
    source = """
@pytest.mark.unit
@pytest.mark.timeout(7)
def test_own(request):
    assert request.node.get_closest_marker("timeout").args == (7,)

@pytest.mark.unit
def test_unit(request):
    assert request.node.get_closest_marker("timeout").args == (30,)

@pytest.mark.integration
@pytest.mark.gpu
def test_longest(request):
    assert request.node.get_closest_marker("timeout").args == (120,)
"""
    run(suite, source).assert_outcomes(passed=3)


# --- data and skips ---------------------------------------------------------------------------------------------------

DATA_TEST = "@pytest.mark.data\ndef test_it(data): assert (data / 'clip.wav').exists()"
SKIPPING_TEST = "@pytest.mark.system\ndef test_it(): pytest.skip('no such thing here')"


def test_a_data_test_without_data_is_left_out_and_said_so(suite: pytest.Pytester) -> None:
    result = run(suite, DATA_TEST)
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*left out: 1 (not run on this machine)*", "ANTIPHON_DATA names no*", "  *test_it"])


def test_a_data_test_without_data_fails_ci(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    result = run(suite, DATA_TEST)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*left out: 1 (in CI nothing may be skipped)*"])


def test_a_data_test_gets_the_folder(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = suite.mkdir("recordings")
    (folder / "clip.wav").touch()
    monkeypatch.setenv("ANTIPHON_DATA", str(folder))
    run(suite, DATA_TEST).assert_outcomes(passed=1)


def test_a_data_folder_that_is_missing_is_no_data(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_DATA", str(suite.path / "nowhere"))
    run(suite, DATA_TEST).assert_outcomes(skipped=1)


def test_any_skip_fails_ci_and_passes_elsewhere(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(suite, SKIPPING_TEST).ret == pytest.ExitCode.OK
    monkeypatch.setenv("CI", "true")
    result = run(suite, SKIPPING_TEST)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["no such thing here"])


def test_a_module_skipped_at_collection_fails_ci(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    suite.makepyfile(test_other="import pytest\n@pytest.mark.unit\ndef test_other(): pass")
    result = run(suite, "pytest.importorskip('no_such_module_anywhere')")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


# --- unit tests stay inside -------------------------------------------------------------------------------------------

OUTSIDE = {
    "connect": "import socket; socket.socket().connect(('127.0.0.1', 9))",
    "create_connection": "import socket; socket.create_connection(('127.0.0.1', 9))",
    "connect_ipv6": "import socket; socket.socket(socket.AF_INET6).connect_ex(('::1', 9))",
    "datagram": "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "listen": "import socket; socket.socket().bind(('127.0.0.1', 0))",
    "resolve": "import socket; socket.getaddrinfo('localhost', 9)",
    "asyncio": "import asyncio; asyncio.run(asyncio.open_connection('127.0.0.1', 9))",
    "grpc_channel": "grpc.insecure_channel('127.0.0.1:9')",
    "grpc_aio_channel": "grpc.aio.insecure_channel('127.0.0.1:9')",
    "grpc_aio_server": "grpc.aio.server()",
    "import_ray": "import ray",
    "import_ray_serve": "from ray import serve",
}


@pytest.mark.parametrize("deed", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_a_unit_test_that_reaches_outside_fails(suite: pytest.Pytester, deed: str) -> None:
    result = run_apart(suite, f"import grpc, grpc.aio\n@pytest.mark.unit\ndef test_it():\n    {deed}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*TouchedOutside: a unit test must not touch *"])


def test_a_unit_test_cannot_start_a_ray_that_another_test_imported(suite: pytest.Pytester) -> None:
    suite.makepyfile(ray="def init(**options): return 'started'")  # stands for the package: the rule goes by name
    source = "import ray\n@pytest.mark.unit\ndef test_it(): ray.init()\n@pytest.mark.system\ndef test_ray(): ray.init()"
    result = run_apart(suite, source)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*TouchedOutside: *Ray (ray.init)*"])


@pytest.mark.parametrize(
    "deed",
    [
        "import socket; a, b = socket.socketpair(); a.sendall(b'x'); assert b.recv(1) == b'x'; a.close(); b.close()",
        "import asyncio; asyncio.run(asyncio.sleep(0))",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)",
    ],
    ids=["socketpair", "asyncio", "subprocess"],
)
def test_a_unit_test_may_use_what_stays_on_its_machine(suite: pytest.Pytester, deed: str) -> None:
    run_apart(suite, f"@pytest.mark.unit\ndef test_it():\n    {deed}").assert_outcomes(passed=1)


def test_other_categories_may_use_the_network(suite: pytest.Pytester) -> None:
    deed = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.close()"
    run_apart(suite, f"@pytest.mark.integration\ndef test_it():\n    {deed}").assert_outcomes(passed=1)
