"""Between `UpdateSkill`'s messages and the domain; the servicer calls it."""

from __future__ import annotations

from antiphon.nlu.v1 import understanding_pb2 as pb
from antiphon.types.v1 import provenance_pb2
from services.nlu.one_vs_all.lessons import State
from services.nlu.one_vs_all.models import NAME, SkillModels
from services.nlu.one_vs_all.updating import Taken, Wanted
from services.nlu.provenance import phrase_provenance

_MOST_WARNINGS = 100
_MOST_STALE = 100


def wanted_update(request: pb.UpdateSkillRequest) -> Wanted:
    return Wanted(
        wire=request.manifest.SerializeToString(deterministic=True),
        key=request.idempotency_key,
        base_version=request.base_version,
        block=request.divergence_policy != pb.DIVERGENCE_POLICY_WARN,
        max_divergence=request.max_divergence if request.HasField("max_divergence") else None,
        validate_only=request.validate_only,
    )


def update_response(taken: Taken, pool: str) -> pb.UpdateSkillResponse:
    """With the provenance of the skill's models; of its phrases until these are trained."""
    serving = taken.state is State.SERVING and taken.models is not None
    model = model_provenance(taken.models, pool) if serving and taken.models else None
    return pb.UpdateSkillResponse(
        state=pb.UpdateState.Value(f"UPDATE_STATE_{taken.state.value}" if taken.state else "UPDATE_STATE_VALIDATED"),
        model=model or phrase_provenance(taken.skill.digest, pool),
        divergence=taken.divergence,
        stale_skills=[
            pb.StaleSkill(skill_id=name, divergence=share) for name, share in list(taken.stale.items())[:_MOST_STALE]
        ],
        warnings=taken.warnings[:_MOST_WARNINGS],
    )


def model_provenance(models: SkillModels, pool: str, language: str = "") -> provenance_pb2.ModelProvenance:
    """Of the binary models of one skill."""
    return provenance_pb2.ModelProvenance(
        model=models.name,
        digest=f"sha256:{models.sha256}",
        backend="embedded",
        engine="antiphon",
        pool=pool,
        locale=language,
        mode=provenance_pb2.MODEL_MODE_FINETUNED,
        latency_class=provenance_pb2.LATENCY_CLASS_INTERACTIVE,
    )


def own_models(name: str) -> str:
    """The skill whose binary models go by a name in provenance; empty for other models."""
    head, _, rest = name.partition(f"{NAME}.")
    return rest.partition("@")[0] if rest and not head else ""
