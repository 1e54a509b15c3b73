"""Write a skill: something the assistant can do.

    from pathlib import Path
    from antiphon.skills import Skill, Turn, load_manifest, run

    class Dice(Skill):
        manifest = load_manifest(Path(__file__).with_name("manifest.yaml"))

        async def handle(self, turn: Turn):
            yield turn.say(f"You rolled a {secrets.randbelow(6) + 1}.")

    if __name__ == "__main__":
        run([Dice()], "0.0.0.0:9000")

A manifest says what people may ask and how they say it; `handle` answers one turn and yields what comes of it, and
keeps what it must with `turn.change`. `run` serves it over plain gRPC; register its address with the SkillRegistry
service and enable it. `antiphon skill new` writes all of it. The skills in `skills/` are written with nothing else.
Needs `pip install antiphon[skill]`.
"""

from __future__ import annotations

from antiphon.skills.host import SkillHost
from antiphon.skills.manifest import ManifestError, load_manifest, read_manifest
from antiphon.skills.server import run, serve
from antiphon.skills.skill import Answerable, Event, Skill, SkillError, Turn
from antiphon.skills.storage import Json, Shelf, StorageError, StorageProblem

__all__ = [
    "Answerable",
    "Event",
    "Json",
    "ManifestError",
    "Shelf",
    "Skill",
    "SkillError",
    "SkillHost",
    "StorageError",
    "StorageProblem",
    "Turn",
    "load_manifest",
    "read_manifest",
    "run",
    "serve",
]
