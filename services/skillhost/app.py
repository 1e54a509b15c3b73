"""Wires the skill host; `services/registry.py` names its `SPEC`."""

from __future__ import annotations

import os
from pathlib import Path

from antiphon.skill.v1 import skill_pb2
from antiphon.skills import SkillHost
from antiphon.skills.storage import FOLDER
from antiphon.types.v1 import capability_pb2
from services.runtime.settings import load
from services.runtime.spec import Application, Runtime, ServiceSpec
from services.skillhost.discovery import installed_skills
from services.skillhost.servicer import SkillServicer
from services.skillhost.settings import SkillHostSettings

SERVICE = skill_pb2.DESCRIPTOR.services_by_name["SkillService"]


async def build(runtime: Runtime) -> Application:
    """Find the skills and put the service together."""
    settings = load(SkillHostSettings, runtime.options, "ANTIPHON_SKILLS")
    skills = installed_skills(settings.only)
    names = tuple(f"{skill.manifest.skill_id} {skill.manifest.version}" for skill in skills)
    locales = sorted({locale for skill in skills for locale in skill.manifest.locales})

    async def describe() -> capability_pb2.DescribeResponse:
        return capability_pb2.DescribeResponse(
            locales=locales, features=names, notes=["Hosts the skills named under features; each runs in this process."]
        )

    host = SkillHost(skills, _folder(runtime))
    return Application({SERVICE.full_name: SkillServicer(host)}, describe, close=host.close)


def _folder(runtime: Runtime) -> Path | None:
    """Where skills keep what they keep: as the operator says, else beside the platform's state; memory without one."""
    if named := os.environ.get(FOLDER):
        return Path(named)
    return Path(runtime.state_dir) / "skills" if runtime.state_dir else None


SPEC = ServiceSpec(capability="skills", services=(SERVICE,), build=build)
