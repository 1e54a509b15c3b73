"""`antiphon skills`: which skills the platform has, and adding one of one's own."""

from __future__ import annotations

import argparse

from antiphon.arbitration.v1 import registry_pb2
from antiphon.client import SkillsClient
from antiphon.commands.options import FAILED, OK, as_json, connect
from antiphon.rendering import word


def add(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's own options."""
    actions = parser.add_mutually_exclusive_group()
    actions.add_argument("--register", metavar="HOST:PORT", help="add the skills of the server there, and enable them")
    actions.add_argument("--check", metavar="HOST:PORT", help="only say what registering would say")
    actions.add_argument("--enable", metavar="ID", help="let a skill take part")
    actions.add_argument("--disable", metavar="ID", help="no longer")
    actions.add_argument("--remove", metavar="ID", help="forget a skill")
    parser.add_argument("--version", default="", metavar="X.Y.Z", help="enable (and pin) or remove just this version")
    parser.add_argument("--beside", action="store_true", help="register a new version for those alone who pin it")
    parser.add_argument("--user", default="", metavar="ID", help="enable or disable for this user of the account alone")
    parser.add_argument("--locale", default="", help="only skills that answer in this language")
    parser.set_defaults(run=run)


async def run(options: argparse.Namespace) -> int:
    """Lists the skills, or changes them; 1 if there was nothing to remove."""
    async with connect(SkillsClient, options) as client:
        if options.register or options.check:
            address, checked = options.register or options.check, bool(options.check)
            added = await client.register(address, enable=not options.beside, validate_only=checked)
            return _show(list(added.skills), list(added.warnings), options)
        if options.enable or options.disable:
            skill = await client.enable(
                options.enable or options.disable,
                enabled=bool(options.enable),
                user=options.user,
                version=options.version,
            )
            return _show([skill], [], options)
        if options.remove:
            removed = await client.remove(options.remove, options.version)
            name = f"{options.remove} {options.version}".rstrip()
            if not options.json:
                print(f"{name}: {'removed' if removed else 'there was no such skill'}")
            return OK if removed else FAILED
        return _show(await client.skills(options.locale), [], options)


def _show(skills: list[registry_pb2.RegisteredSkill], warnings: list[str], options: argparse.Namespace) -> int:
    for skill in skills:
        if options.json:
            print(as_json(skill))
            continue
        manifest = skill.manifest
        print(f"{_state(skill)}, {len(manifest.intents)} intents, {', '.join(manifest.locales)}")
        for other in skill.versions:
            print(_state(other, beside=True))
    for warning in warnings:
        print(f"warning: {warning}")
    return OK


def _state(skill: registry_pb2.RegisteredSkill, *, beside: bool = False) -> str:
    """Which version it is, whether it takes part (one beside it does not, here) and where it is."""
    state = "beside" if beside else "enabled" if skill.enabled else "not enabled"
    pinned = ", pinned" if skill.pinned else ""
    circuit = word(registry_pb2.CircuitState.Name(skill.circuit), "CIRCUIT_STATE_")
    broken = "" if circuit in ("closed", "unspecified") else f", circuit {circuit}"
    name = "" if beside else skill.manifest.skill_id
    return f"{name:<20} {skill.manifest.version:<10} {state}{pinned}{broken}, {skill.address or 'built in'}"
