"""`SkillRegistryService`: which skills there are and who has them."""

from __future__ import annotations

import ipaddress

from antiphon.arbitration.v1 import registry_pb2
from antiphon.skill.v1 import manifest_pb2
from services.arbitration.adapters.decisions import from_manifest
from services.arbitration.adapters.skills import GrpcSkills
from services.arbitration.circuits import APART, Circuits
from services.arbitration.hypotheses import DIALOGUE_SKILL
from services.arbitration.manifests import Manifest, problems
from services.arbitration.registrations import Registrations
from services.arbitration.registry_of_skills import Overlap, RegisteredSkill, speaks
from services.runtime.calls import Call
from services.runtime.errors import InvalidInput, NotFound, Unsupported

MAX_PAGE = 1000
MAX_USER = 128
_ADMIN = "admin"


class SkillRegistryServicer:
    """One per replica. Registering is for operators (scope `admin`) and makes this server call out to an address."""

    def __init__(self, registrations: Registrations, skills: GrpcSkills, circuits: Circuits) -> None:
        self._registrations = registrations
        self._circuits = circuits
        self._registry = registrations.registry
        self._skills = skills

    async def Register(  # noqa: N802 - named by the contract
        self, request: registry_pb2.RegisterRequest, call: Call
    ) -> registry_pb2.RegisterResponse:
        """Reads the manifests of a skill server and makes its skills known."""
        call.require(_ADMIN)
        if request.tls:
            raise Unsupported("skills over TLS come later; use an address on a private network", field="tls")
        _check_address(request.address)
        manifests = await self._skills.manifests_at(request.address)
        wanted = [m for m in manifests if not request.skill_id or m.skill_id == request.skill_id]
        if not wanted:
            raise NotFound("the server at this address has no such skill", reason="SKILL_NOT_FOUND", field="skill_id")
        response = registry_pb2.RegisterResponse()
        for message in wanted:
            manifest = from_manifest(message)
            response.warnings.extend(await self._register(manifest, request))
            if request.enable and not request.validate_only:
                await self._registrations.enable(call.principal.tenant, manifest.id)
            skill = self._registry.find(manifest.id, manifest.version) or RegisteredSkill(manifest, request.address)
            told = self._message(skill, call.principal.tenant)
            told.enabled = told.enabled and self._registry.find_for(call.principal.tenant, manifest.id) is skill
            response.skills.append(told)
        return response

    async def List(  # noqa: N802 - named by the contract
        self, request: registry_pb2.ListRequest, call: Call
    ) -> registry_pb2.ListResponse:
        """Skills in the order of their ids, a page at a time."""
        tenant = call.principal.tenant
        user = call.principal.user
        skills = (self._registry.enabled if request.enabled_only else self._registry.all)(tenant, user)
        if request.language_code:
            skills = tuple(s for s in skills if speaks(s.manifest, request.language_code).served)
        # What belongs to the conversation itself is registered as a skill, but is nobody's to enable.
        rest = [s for s in skills if s.manifest.id > request.page_token and s.manifest.id != DIALOGUE_SKILL]
        size = min(request.page_size or 100, MAX_PAGE)
        if size < 0:
            raise InvalidInput(f"page_size is 0 to {MAX_PAGE}", field="page_size")
        page = rest[:size]
        return registry_pb2.ListResponse(
            skills=[self._with_versions(skill, tenant, user) for skill in page],
            next_page_token=page[-1].manifest.id if len(rest) > size else "",
        )

    async def Enable(  # noqa: N802 - named by the contract
        self, request: registry_pb2.EnableRequest, call: Call
    ) -> registry_pb2.EnableResponse:
        """Lets a skill serve the caller's tenant, or one user of it, in the version they pin, or no longer.

        Users choose for themselves; for others, an operator does.
        """
        _check_user(request.user_id, call)
        tenant, user, version = call.principal.tenant, request.user_id, request.version
        if version and not request.enabled:
            raise InvalidInput("a skill is disabled in all its versions; pin another one", field="version")
        await self._registrations.enable(tenant, request.skill_id, request.enabled, user, version)
        skill = self._registry.find_for(tenant, request.skill_id, user) or self._registry.skill(request.skill_id)
        return registry_pb2.EnableResponse(skill=self._with_versions(skill, tenant, user))

    async def Remove(  # noqa: N802 - named by the contract
        self, request: registry_pb2.RemoveRequest, call: Call
    ) -> registry_pb2.RemoveResponse:
        """Forgets a skill, or one version of it, for everyone; built-in ones stay."""
        call.require(_ADMIN)
        found = self._registry.find(request.skill_id, request.version)
        if found is None:
            return registry_pb2.RemoveResponse(removed=False)
        if found.built_in:
            raise InvalidInput(
                "a built-in skill can be disabled, not removed", reason="SKILL_BUILT_IN", field="skill_id"
            )
        await self._registrations.remove(request.skill_id, request.version)
        return registry_pb2.RemoveResponse(removed=True)

    async def _register(self, manifest: Manifest, request: registry_pb2.RegisterRequest) -> list[str]:
        existing = self._registry.find(manifest.id)
        if existing is not None and existing.built_in:
            raise InvalidInput(f"'{manifest.id}' is the id of a built-in skill", reason="SKILL_BUILT_IN")
        if request.validate_only:
            found = problems(manifest)
            if found:
                text = "; ".join(f"{problem.field}: {problem.message}" for problem in found)
                raise InvalidInput(text, reason="MANIFEST_INVALID", field="address")
            return []
        overlaps = await self._registrations.register(manifest, request.address, trial=not request.enable)
        return [_warning(overlap) for overlap in overlaps]

    def _message(self, skill: RegisteredSkill, tenant: str, user: str = "") -> registry_pb2.RegisteredSkill:
        skill_id, version = skill.manifest.id, skill.manifest.version
        circuit = self._circuits.state(skill_id if skill.built_in else f"{skill_id}{APART}{version}")
        return registry_pb2.RegisteredSkill(
            manifest=manifest_pb2.SkillManifest.FromString(skill.manifest.wire),
            address=skill.endpoint,
            enabled=self._registry.is_enabled(tenant, skill_id, user),
            circuit=registry_pb2.CircuitState.Value(f"CIRCUIT_STATE_{circuit}"),
            pinned=self._registry.pins(tenant, skill_id, version, user),
        )

    def _with_versions(self, skill: RegisteredSkill, tenant: str, user: str) -> registry_pb2.RegisteredSkill:
        """The version that serves, and what the contract tells of the others."""
        message = self._message(skill, tenant, user)
        for other in self._registry.versions(skill.manifest.id):
            if other is not skill:
                told = message.versions.add()
                told.CopyFrom(self._message(other, tenant, user))
                told.enabled = told.enabled and not other.trial
                told.manifest.CopyFrom(
                    manifest_pb2.SkillManifest(skill_id=other.manifest.id, version=other.manifest.version)
                )
        return message


def _warning(overlap: Overlap) -> str:
    return (
        f"{overlap.intent} ({overlap.locale}) shares a phrase with {overlap.other_intent} of {overlap.other_skill}: "
        "ranking decides between them"
    )


def _check_user(user: str, call: Call) -> None:
    if len(user) > MAX_USER or "\n" in user:
        raise InvalidInput(f"user_id has at most {MAX_USER} characters on one line", field="user_id")
    if user and user != call.principal.user:
        call.require(_ADMIN)


def _check_address(address: str) -> None:
    """`host:port`; link-local and unspecified addresses are nobody's skill server."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536 or len(address) > 255 or "/" in address:
        raise InvalidInput("address is host:port", field="address")
    try:
        found = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return
    if found.is_link_local or found.is_unspecified or found.is_multicast:
        raise InvalidInput("this address is not one of a skill server", reason="ADDRESS_REFUSED", field="address")
