"""tools/check-triton.sh: what a user hears whose machine cannot run the local Triton server."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.unit


def check(programs: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "tools" / "check-triton.sh"],
        env={"PATH": f"{programs}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(("getconf", "told"), [("echo glibc 2.31", "has glibc 2.31"), ("exit 1", "another C library")])
def test_a_c_library_that_is_too_old_is_named(tmp_path: Path, getconf: str, told: str) -> None:
    program(tmp_path, "getconf", getconf)
    checked = check(tmp_path)
    assert checked.returncode == 1
    assert "needs glibc 2.35 or newer" in checked.stderr
    assert told in checked.stderr
    assert not checked.stdout


def test_a_python_without_its_library_is_not_taken(tmp_path: Path) -> None:
    program(tmp_path, "getconf", "echo glibc 2.40")
    # It answers where its library would lie, and does not find it there.
    python = program(tmp_path, "python", "case $2 in *CDLL*) exit 1 ;; *) echo /nowhere ;; esac")
    checked = check(tmp_path, PYTHON=str(python))
    assert checked.returncode == 1
    assert "shared library" in checked.stderr
    assert str(python) in checked.stderr
