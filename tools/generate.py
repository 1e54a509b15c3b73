"""Generates the Python stubs in `antiphon/*/v1` from `protos/`: run by hand (`make proto`) and by CI with `--check`.

It exists so that one command gives the same files on every machine: protoc, its plugins and the googleapis protos all
come from wheels of the environment it runs in. Stubs: `_pb2.py`, `_pb2_grpc.py`, and `.pyi` for both.
"""

import argparse
import filecmp
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import grpc_tools

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
GOOGLEAPIS = ROOT / "build" / "googleapis"
# In the grpcio-tools wheel: google/protobuf/*.proto.
WELL_KNOWN = Path(grpc_tools.__file__).resolve().parent / "_proto"
# What our contract may import, with what these import in turn.
GOOGLE_FOLDERS = ("google/api", "google/rpc", "google/type")


def copy_googleapis(target: Path = GOOGLEAPIS) -> None:
    """Makes `target`, the module that buf.yaml names, equal to the googleapis protos of the installed wheel.

    Files that are right stay as they are: buf may be reading them.
    """
    found = importlib.metadata.files("googleapis-common-protos") or []
    wanted = {file for file in found if file.suffix == ".proto" and file.parent.as_posix() in GOOGLE_FOLDERS}
    for stale in {path.relative_to(target) for path in target.rglob("*.proto")} - {Path(file) for file in wanted}:
        (target / stale).unlink()
    for file in wanted:
        source, copy = Path(str(file.locate())), target / file
        if not copy.exists() or not filecmp.cmp(source, copy, shallow=False):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def contract_files() -> list[str]:
    """Our proto files, relative to `protos/`, sorted."""
    return sorted(path.relative_to(PROTOS).as_posix() for path in PROTOS.rglob("*.proto"))


def serves(file: str) -> bool:
    """True if the proto file has a service: without one, a gRPC stub would be empty."""
    return re.search(r"^service \w+ \{", (PROTOS / file).read_text(), re.MULTILINE) is not None


def protoc(files: Iterable[str], *arguments: str) -> None:
    """Runs the protoc of grpcio-tools over `files`. Raises SystemExit with its status if it fails."""
    includes = [f"--proto_path={folder}" for folder in (PROTOS, GOOGLEAPIS, WELL_KNOWN)]
    command = [sys.executable, "-m", "grpc_tools.protoc", *includes, *arguments, *files]
    finished = subprocess.run(command, check=False)
    if finished.returncode:
        raise SystemExit(finished.returncode)


def generate(target: Path) -> None:
    """Writes all stubs below `target`, which gets the folders `antiphon/<capability>/v1`."""
    binaries = Path(sys.executable).parent
    files = contract_files()
    protoc(
        files,
        f"--plugin={binaries / 'protoc-gen-mypy'}",
        f"--python_out={target}",
        f"--mypy_out=quiet:{target}",
    )
    protoc(
        filter(serves, files),
        f"--plugin={binaries / 'protoc-gen-mypy_grpc'}",
        f"--grpc_python_out={target}",
        # Typed for aio channels alone: the project uses no others.
        f"--mypy_grpc_out=quiet,only_async:{target}",
    )
    for package in generated_packages(target):
        capability = package.parent.name
        (package / "__init__.py").write_text(
            f'"""Messages and stubs of `antiphon.{capability}.v1`, made from protos/ by tools/generate.py."""\n'
        )
        (package.parent / "__init__.py").write_text(
            f'"""The contract of `{capability}` by version, made from protos/ by tools/generate.py."""\n'
        )


def generated_packages(root: Path) -> list[Path]:
    """The folders `antiphon/<capability>/v1` below `root` that hold stubs, sorted."""
    return sorted({path.parent for path in (root / "antiphon").glob("*/v*/*_pb2.py")})


def generated_files(root: Path) -> Iterator[Path]:
    """The files that `generate` writes or once wrote below `root`, relative to it."""
    for package in generated_packages(root):
        for path in (package.parent / "__init__.py", *package.iterdir()):
            if path.suffix in {".py", ".pyi"}:
                yield path.relative_to(root)


def drift(fresh: Path) -> list[str]:
    """The generated files that differ between the tree and `fresh`, sorted, with what is wrong."""
    found = []
    for path in sorted({*generated_files(ROOT), *generated_files(fresh)}):
        if not (ROOT / path).exists():
            found.append(f"missing  {path}")
        elif not (fresh / path).exists():
            found.append(f"left over  {path}")
        elif not filecmp.cmp(ROOT / path, fresh / path, shallow=False):
            found.append(f"differs  {path}")
    return found


def install(fresh: Path) -> None:
    """Puts the files of `fresh` into the tree and takes out those that are generated no more. Leaves others alone."""
    for path in set(generated_files(ROOT)) - set(generated_files(fresh)):
        (ROOT / path).unlink()
    for path in generated_files(fresh):
        target = ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or not filecmp.cmp(fresh / path, target, shallow=False):
            shutil.copyfile(fresh / path, target)


def main(arguments: Sequence[str] | None = None) -> int:
    """Generates, or with `--check` only compares. Returns 1 if the tree has drifted, else 0."""
    parser = argparse.ArgumentParser(description="Generate the Python stubs from protos/.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the committed stubs have drifted")
    options = parser.parse_args(arguments)
    copy_googleapis()
    with tempfile.TemporaryDirectory(prefix="antiphon-stubs-") as folder:
        fresh = Path(folder)
        generate(fresh)
        if not options.check:
            install(fresh)
            return 0
        differences = drift(fresh)
    for difference in differences:
        print(difference, file=sys.stderr)
    if differences:
        print("The stubs do not match protos/: run `make proto` and commit what changes.", file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
