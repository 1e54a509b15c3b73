"""Wires the dialogue service; `services/registry.py` names its `SPEC`."""

from __future__ import annotations

import asyncio
import contextlib

from antiphon.dialogue.v1 import dialogue_pb2
from antiphon.types.v1 import capability_pb2, provenance_pb2
from services.dialogue.manager import DialogueManager
from services.dialogue.sentences import SENTENCES
from services.dialogue.servicer import MODEL, DialogueServicer, encode_prompt
from services.dialogue.settings import DialogueSettings
from services.runtime.settings import load
from services.runtime.spec import Application, Runtime, ServiceSpec
from services.runtime.store import sweep_regularly
from services.runtime.stores import open_store

SERVICE = dialogue_pb2.DESCRIPTOR.services_by_name["DialogueService"]

_FEATURES = ("state", "confirm", "clarify", "elicit_slot", "fallback", "apologize", "smalltalk")
_NOTES = (
    "Sentences and state by rule; no learned model.",
    "Knowledge collections and passages are not used: no answer claims to rest on them.",
)


async def build(runtime: Runtime) -> Application:
    """Open the store and put the service together."""
    settings = load(DialogueSettings, runtime.options, "ANTIPHON_DIALOGUE")
    store = await open_store(runtime, "dialogue.sqlite3")
    manager = DialogueManager(store, encode_prompt, settings.kept)
    sweeping = asyncio.create_task(sweep_regularly(store))

    async def describe() -> capability_pb2.DescribeResponse:
        model = capability_pb2.ModelInfo(
            model=MODEL,
            licence="Apache-2.0",
            locales=sorted(SENTENCES),
            backend="rules",
            mode=provenance_pb2.MODEL_MODE_RULES,
            description="Sentences by rule; no training data.",
        )
        return capability_pb2.DescribeResponse(
            models=[model], locales=sorted(SENTENCES), features=_FEATURES, notes=_NOTES
        )

    async def close() -> None:
        sweeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeping
        await store.close()

    return Application({SERVICE.full_name: DialogueServicer(manager, runtime.pool)}, describe, close=close)


SPEC = ServiceSpec(capability="dialogue", services=(SERVICE,), build=build)
