"""Where a capability's models run, from the environment: in its own process, or on a Triton server.

Every capability's `app.py` asks `model_client` for its `ModelClient` and hands that to its engines, so that the choice
is a setting and nothing else:

    ANTIPHON_BACKEND           embedded (default) or triton
    ANTIPHON_<CAPABILITY>_BACKEND   the same for one capability, before the general one
    ANTIPHON_TRITON_URL        host:port of the server's gRPC service
    ANTIPHON_TRITON_FALLBACK   embedded (default): in this process while the server is away; none: calls are refused
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from services.runtime.errors import FailedPrecondition
from services.runtime.inference import ModelClient
from services.runtime.model_store import ModelStore
from services.runtime.onnx import OnnxClient
from services.runtime.resilient import ResilientClient, ServerClient

BACKEND_VARIABLE = "ANTIPHON_BACKEND"
URL_VARIABLE = "ANTIPHON_TRITON_URL"
FALLBACK_VARIABLE = "ANTIPHON_TRITON_FALLBACK"

EMBEDDED, TRITON, NONE = "embedded", "triton", "none"


@dataclass(frozen=True)
class BackendSettings:
    """Where the models of one capability run.

    Attributes:
        backend: "embedded" or "triton".
        triton_url: of the server; needed for "triton" alone.
        fallback: "embedded" or "none".
    """

    backend: str = EMBEDDED
    triton_url: str = ""
    fallback: str = EMBEDDED

    @classmethod
    def read(cls, capability: str, environ: Mapping[str, str] = os.environ) -> BackendSettings:
        """Raises FailedPrecondition `SETTINGS_INVALID` naming the variable; empty ones are as if they were not set."""
        own = f"ANTIPHON_{capability.upper()}_BACKEND"
        variable = own if environ.get(own) else BACKEND_VARIABLE
        backend = _one_of(environ, variable, (EMBEDDED, TRITON))
        fallback = _one_of(environ, FALLBACK_VARIABLE, (EMBEDDED, NONE))
        url = environ.get(URL_VARIABLE, "").strip()
        if backend == TRITON and not url:
            raise FailedPrecondition(
                f"{variable} is {TRITON}, and {URL_VARIABLE} names no server: set it to host:port of its gRPC service.",
                reason="SETTINGS_INVALID",
                field=URL_VARIABLE,
            )
        return cls(backend, url, fallback)


async def model_client(
    store: ModelStore,
    capability: str,
    *,
    threads: int = 2,
    max_waiting: int = 256,
    environ: Mapping[str, str] = os.environ,
) -> ModelClient:
    """The client that the environment asks for; nothing is connected or loaded yet.

    Args:
        store: bundles of the capability and the operator.
        capability: its name in the registry, such as "nlu".
        threads, max_waiting: of the embedded home; see `OnnxClient`.

    Raises:
        FailedPrecondition: `SETTINGS_INVALID`, or `BACKEND_NOT_INSTALLED` with what to install.
    """
    settings = BackendSettings.read(capability, environ)
    if settings.backend == EMBEDDED:
        return OnnxClient(store, threads=threads, max_waiting=max_waiting)
    server = _triton(store, settings.triton_url)
    fallback = OnnxClient(store, threads=threads, max_waiting=max_waiting) if settings.fallback == EMBEDDED else None
    return ResilientClient(server, fallback)


def _triton(store: ModelStore, url: str) -> ServerClient:
    """Imported here alone: a machine without the extra runs everything else."""
    try:
        from services.runtime.triton.client import TritonClient
    except ImportError as missing:
        raise FailedPrecondition(
            f"The backend {TRITON} needs what is not installed here ({missing.name}): pip install antiphon[triton]",
            reason="BACKEND_NOT_INSTALLED",
        ) from missing
    return TritonClient(store, url)


def _one_of(environ: Mapping[str, str], variable: str, allowed: tuple[str, ...]) -> str:
    """The first of `allowed` where nothing is set."""
    value = environ.get(variable, "").strip().lower() or allowed[0]
    if value not in allowed:
        raise FailedPrecondition(
            f"{variable} is '{value[:40]}'; it can be {' or '.join(allowed)}.",
            reason="SETTINGS_INVALID",
            field=variable,
        )
    return value
