"""The server's part of `antiphon models`: `repository`, and list, pull, import and verify of `services/catalogue`.

`antiphon/cli.py` finds it by the entry-point group `antiphon.commands` when one of these words follows `models`; alone,
`antiphon models` asks a running platform. Returns the exit code: 0 done, 1 it failed, 2 wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from services.catalogue.commands import add_verbs
from services.runtime.errors import AntiphonError
from services.runtime.model_store import ModelStore, model_folders
from services.runtime.triton.repository import PLATFORMS, write_repository

OK, FAILED = 0, 1
_SERVICES = Path(__file__).resolve().parent


def models(arguments: Sequence[str]) -> int:
    """`antiphon models VERB ...`."""
    parser = argparse.ArgumentParser(
        prog="antiphon models",
        description="Model bundles: those that ship, those you add, and the Triton repository made from both. "
        "Without a verb: the models that serve on a running platform.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    add_verbs(verbs)
    _add_repository(verbs)
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except AntiphonError as error:
        print(f"antiphon models {options.verb}: {error.message}", file=sys.stderr)
        return FAILED


def bundled_folders(capabilities: Collection[str] = ()) -> list[Path]:
    """Where the capabilities keep the bundles that ship with them; of these capabilities alone if any is named."""
    folders = sorted(_SERVICES.glob("*/models"))
    return [folder for folder in folders if not capabilities or folder.parent.name in capabilities]


def _add_repository(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    summary = "write a Triton model repository"
    parser = verbs.add_parser(
        "repository",
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]} of every ONNX model that ships, that was installed, or that "
        "lies in a folder of ANTIPHON_MODELS.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  antiphon models repository --out repository\n"
        "      tritonserver --model-repository=repository                         on a GPU\n"
        "      tritonserver --model-repository=repository --model-config-name=cpu  without one\n"
        "  antiphon models repository --out repository --platform cpu             without one by default",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder that is not there, or empty")
    parser.add_argument("--platform", choices=PLATFORMS, default="gpu", help="which form serves by default")
    parser.set_defaults(run=repository)


def repository(options: argparse.Namespace) -> int:
    """`antiphon models repository`: the names of its models, one per line. A broken bundle is mended or removed first.

    Otherwise its model would be missing on the server, and nobody would know until it is asked for.
    """
    store = ModelStore([*model_folders(), *bundled_folders()])
    for error in store.broken:
        raise error
    names = write_repository(store.models(), options.out, options.platform)
    for name in names:
        print(name)
    print(f"{len(names)} models in {options.out}", file=sys.stderr)
    return OK
