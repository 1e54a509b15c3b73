"""`antiphon skill`: writes a new skill, and tries one as the platform would. Needs `pip install 'antiphon[skill]'`."""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import json
import logging
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

import grpc

from antiphon.channels import OPTIONS
from antiphon.commands.options import FAILED, OK

if TYPE_CHECKING:
    from antiphon.skill.v1 import manifest_pb2
    from antiphon.skills import Skill
    from antiphon.skills.samples import Sample
    from antiphon.skills.trial import Tried

STARTER: Final = "water"
FILES: Final = {"manifest.yaml": "manifest.yaml", "skill.py": "skill.py", "test_skill.py.txt": "test_skill.py"}
"""Files of the starter, and what they are called in a new skill."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ADDRESS: Final = re.compile(r"[^/\s]+:\d{1,5}")

_NEW: Final = """\
examples:
  antiphon skill new water
  antiphon skill new plant_watering --dir ~/skills/plants
"""
_TEST: Final = """\
examples:
  antiphon skill test water
  antiphon skill test water --say "i drank three glasses of water"
  antiphon skill test localhost:9100 --locale de --all

exit codes: 0 all is well, 1 something is to be mended, 2 no such skill, 3 nobody answers
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's own verbs."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    form = argparse.RawDescriptionHelpFormatter
    made = actions.add_parser("new", help="write a working skill", epilog=_NEW, formatter_class=form)
    made.add_argument("name", metavar="NAME", help="its skill_id: lower case letters, digits and underscores")
    made.add_argument("--dir", type=Path, metavar="FOLDER", help="where to write it (default: ./NAME)")
    made.set_defaults(run=new)
    tried = actions.add_parser("test", help="check and try a skill", epilog=_TEST, formatter_class=form)
    tried.add_argument("skill", metavar="PATH|HOST:PORT", help="its folder or file, or where its server listens")
    tried.add_argument("--say", metavar="TEXT", help="try this, read by the skill's own phrases")
    tried.add_argument("--locale", default="", help="only this language (default: all; for --say: en)")
    tried.add_argument("--all", action="store_true", help="every phrase, not only a few of each intent")
    tried.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object a line")
    tried.set_defaults(run=test)


# --- new --------------------------------------------------------------------------------------------------------------


async def new(options: argparse.Namespace) -> int:
    """Writes the folder of a new skill. Raises ValueError when the name is none or the folder holds something."""
    name, folder = options.name, options.dir or Path(options.name)
    if not _NAME.fullmatch(name):
        raise ValueError(f"'{name}': lower case letters, digits and underscores, beginning with a letter, at most 64")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there already")
    folder.mkdir(parents=True, exist_ok=True)
    title = "".join(part.capitalize() for part in name.split("_"))
    for source, file in FILES.items():
        text = resources.files("antiphon.skills").joinpath("starter", source).read_text(encoding="utf-8")
        if name != STARTER:
            text = (
                text.replace(f"skill_id: {STARTER}", f"skill_id: {name}")
                .replace("Water(", f"{title}(")
                .replace("Water.", f"{title}.")
                .replace("import Water", f"import {title}")
            )
        (folder / file).write_text(text, encoding="utf-8")
    print(f"{folder}: {', '.join(FILES.values())}")
    print(f"try it:      antiphon skill test {folder}")
    print(f"serve it:    python {folder / 'skill.py'} 127.0.0.1:9100")
    print("register it: antiphon skills --register 127.0.0.1:9100")
    return OK


# --- test -------------------------------------------------------------------------------------------------------------


async def test(options: argparse.Namespace) -> int:
    """Checks the manifests, tries the phrases and prints a table; 1 if something is to be mended."""
    trial = _sdk()
    async with _reached(options.skill) as (channel, target):
        run = trial.Trial(channel, target)
        manifests = await run.manifests()
        if not manifests:
            print(f"{options.skill}: no skill is hosted there", file=sys.stderr)
            return FAILED
        fine = True
        for manifest in manifests:
            fine = _checked(manifest, options) and fine
            chosen = _chosen(manifest, options)
            if options.say and not chosen:
                continue
            async for tried in run.run(chosen, manifest.permissions):
                _print(tried, options)
                fine = fine and not tried.problems
        if options.say and not any(_chosen(manifest, options) for manifest in manifests):
            print(f"no phrase reads {options.say!r}", file=sys.stderr)
            return FAILED
    return OK if fine else FAILED


def _sdk() -> ModuleType:
    """The kit, imported only here: the client alone has no YAML."""
    try:
        from antiphon.skills import trial
    except ModuleNotFoundError as error:
        raise ValueError(f"this needs more than the client (no {error.name}): pip install 'antiphon[skill]'") from None
    return trial


def _chosen(manifest: manifest_pb2.SkillManifest, options: argparse.Namespace) -> Sequence[Sample]:
    from antiphon.skills import samples

    now = datetime.now(UTC)
    if options.say:
        found = samples.read(manifest, options.say, options.locale or "en", now)
        return [found] if found else []
    made: Iterable[Sample] = samples.samples(manifest, now, everything=options.all)
    return [sample for sample in made if not options.locale or sample.locale == options.locale]


def _checked(manifest: manifest_pb2.SkillManifest, options: argparse.Namespace) -> bool:
    from antiphon.skills.checks import findings

    found = findings(manifest)
    if not options.json:
        print(f"{manifest.skill_id} {manifest.version}: {len(manifest.intents)} intents, {', '.join(manifest.locales)}")
    for finding in found:
        kind = "error" if finding.error else "warning"
        if options.json:
            print(json.dumps({"skill": manifest.skill_id, kind: finding.message, "where": finding.where}))
        else:
            print(f"  {kind}: {finding.where}: {finding.message}")
    return not any(finding.error for finding in found)


def _print(tried: Tried, options: argparse.Namespace) -> None:
    sample = tried.sample
    if options.json:
        fields = {
            "locale": sample.locale,
            "text": sample.text,
            "intent": sample.interpretation.intent,
            "outcome": tried.outcome,
            "answer": tried.answer,
            "seconds": round(tried.seconds, 4),
            "problems": list(tried.problems),
        }
        print(json.dumps(fields, ensure_ascii=False))
        return
    mark = "FAIL" if tried.problems else "ok"
    said = f"{sample.text[:44]:<44}  {sample.intent.name[:18]:<18}"
    print(f"  {mark:<4}  {sample.locale:<5} {said} {tried.seconds * 1e3:5.0f} ms  {_visible(tried.answer)[:100]}")
    for problem in tried.problems:
        print(f"        {_visible(problem)}")


def _visible(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)


@asynccontextmanager
async def _reached(where: str) -> AsyncIterator[tuple[grpc.aio.Channel, str]]:
    """A channel to a skill's server: the one that listens there, or one started here for the skills of a path."""
    if _is_address(where):
        async with grpc.aio.insecure_channel(where, options=OPTIONS) as channel:
            yield channel, where
        return
    _sdk()
    from antiphon.skills import serve

    logging.basicConfig(format="        %(message)s")  # what a skill raises is for its author's eyes
    logging.getLogger("antiphon.skills.host").setLevel(logging.DEBUG)

    skills = _loaded(Path(where))
    folder = Path(tempfile.mkdtemp(prefix="antiphon-skill-"))
    server, port = await serve(skills, folder=folder)
    try:
        target = f"127.0.0.1:{port}"
        async with grpc.aio.insecure_channel(target, options=OPTIONS) as channel:
            yield channel, target
    finally:
        await server.stop(grace=None)
        shutil.rmtree(folder, ignore_errors=True)


def _is_address(where: str) -> bool:
    return _ADDRESS.fullmatch(where) is not None and not Path(where).exists()


def _loaded(path: Path) -> list[Skill]:
    """The skills that a file defines: instances, else classes, of `Skill`. Raises ValueError."""
    from antiphon.skills import ManifestError, Skill

    file = path / "skill.py" if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"{file}: no such file, and no address HOST:PORT")
    spec = importlib.util.spec_from_file_location(f"skill_under_test_{file.parent.name}", file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{file}: no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    sys.path.insert(0, str(file.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except ManifestError as error:
        raise ValueError(str(error)) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the author's own program: say what it raised
        raise ValueError(f"{file}: {type(error).__name__}: {error}") from None
    finally:
        sys.path.remove(str(file.parent.resolve()))
    found = [value for value in vars(module).values() if isinstance(value, Skill)]
    own = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Skill) and value.__module__ == module.__name__
    ]
    skills = found or [kind() for kind in own]
    if not skills:
        raise ValueError(f"{file}: defines no Skill")
    return skills
