"""The other home of models: a Triton server, over gRPC.

`backends.py` makes one `TritonClient` per replica and hands it, alone or inside `resilient.py`, to a capability's
engines as a `ModelClient`. A client has one channel to one server. It repeats a call only where the model certainly has
not seen it, refuses calls beyond a bound, and turns whatever goes wrong into the runtime's errors.

Beside it: `calls.py` runs stateless models and `sequences.py` stateful ones, over `memory.py` and
`streams.py`; `models.py` asks what the server has loaded, `samples.py` makes the tiny inference;
`wire.py` has the messages and `errors.py` the errors.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import grpc.aio

from services.runtime.errors import (
    AntiphonError,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidInput,
    Overloaded,
    Unavailable,
)
from services.runtime.inference import ModelDefinition, SequenceStep, Tensor
from services.runtime.model_store import ModelStore
from services.runtime.triton.calls import Calls
from services.runtime.triton.errors import FAILURES, never_ran, translate
from services.runtime.triton.memory import SharedInputs
from services.runtime.triton.models import ServedModels, streamed_name
from services.runtime.triton.samples import sample_inputs
from services.runtime.triton.sequences import Sequences
from services.runtime.triton.streams import Farewells, Run
from services.runtime.triton.wire import (
    MAX_MESSAGE_BYTES,
    check_size,
    infer_request,
    mark_sequence,
    outputs_of,
    stub,
)

SharedMemory = Literal["auto", "off"]
T = TypeVar("T")

_PATIENCE = 60.0  # seconds for a call without a deadline: no part of a conversation takes longer, and nothing hangs
_LOAD_PATIENCE = 30.0  # seconds for the first inference of a model
_BACKOFF_MS = 1000
_GONE = frozenset({"SERVER_UNREACHABLE", "SERVER_GONE", "MODEL_NOT_READY"})
_URL = re.compile(r"(?:grpc://)?((?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5})/?")
_OPTIONS = (
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # A server that comes back is found within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", _BACKOFF_MS),
    # And the wait of another client of this process for the same server is not ours.
    ("grpc.use_local_subchannel_pool", 1),
    # One of the servers behind a name, and not the same one for every replica; all calls of a channel go there.
    ("grpc.service_config", '{"loadBalancingConfig": [{"pick_first": {"shuffleAddressList": true}}]}'),
)


@dataclass(frozen=True, slots=True)
class _Server:
    """What hangs on one channel."""

    channel: grpc.aio.Channel
    stub: Any
    models: ServedModels
    calls: Calls
    sequences: Sequences
    memory: SharedInputs | None
    farewells: Farewells


class TritonClient:
    """Runs the bundles of a store on a Triton server. It connects at the first call, not when it is made.

    Args:
        store: the definitions; the server must have been given the repository made from the same bundles.
        url: `host:port` of the server's gRPC service, inside the cluster: without encryption or credentials.
        shared_memory: "auto" hands large inputs over without gRPC where the server is on this host and can.
        max_in_flight: calls at once; beyond that a call is refused with Overloaded.
        max_sequences: sequences open at once.

    Raises:
        FailedPrecondition: `SETTINGS_INVALID`, the url is none.
    """

    def __init__(
        self,
        store: ModelStore,
        url: str,
        *,
        shared_memory: SharedMemory = "auto",
        max_in_flight: int = 256,
        max_sequences: int = 4096,
    ) -> None:
        self._store = store
        self._address = _address(url)
        self._share = shared_memory == "auto" and _on_this_host(self._address)
        self._places = max_in_flight
        self._max_sequences = max_sequences
        self._made: _Server | None = None
        self._closed = False

    def definition(self, model: str) -> ModelDefinition:
        return self._store.get(model)

    def backend(self, model: str) -> str:
        """ "triton"; see `ModelClient.backend`."""
        self._store.get(model)
        return "triton"

    async def load(self, model: str) -> ModelDefinition:
        """Compares the server's model with the definition, then runs it once: a server calls dead models ready.

        Raises:
            FailedPrecondition: `MODEL_MISSING`, `MODEL_DIGEST_MISMATCH`, or `MODEL_DEFINITION_INVALID` with the tensor.
            Unavailable, Internal: it does not answer, or not as it should.
        """
        definition = self._store.get(model)
        self._server.models.forget()
        try:
            await self._timed(definition, _LOAD_PATIENCE, self._tiny(definition))
        except Unavailable as error:
            # A service may start in the moment when its server does.
            if not never_ran(error) or not await self._server.calls.there_again(_BACKOFF_MS / 500):
                raise
            await self._timed(definition, _LOAD_PATIENCE, self._tiny(definition))
        return definition

    async def probe(self, model: str, *, deadline: float = 2.0) -> None:
        """Runs the model once on the smallest inputs; what is wrong is raised, within `deadline` seconds.

        A server takes a second to find out that a model's process is dead: with less, it only seems slow.
        """
        definition = self._store.get(model)
        await self._timed(definition, deadline, self._tiny(definition))

    async def revive(self, model: str) -> None:
        """Has the server load a model anew whose process is dead, and proves that it runs.

        Raises:
            FailedPrecondition: `MODEL_RELOAD_REFUSED`, or as of `load`.
            Unavailable, Internal: it does not answer, or not as it should.
        """
        await self._server.models.reload(self._store.get(model), 0.0, anew=True)
        await self.load(model)

    async def reload(self, model: str, drain_s: float) -> None:
        """Has the server read the model again and proves that it runs.

        New sequences of this client are refused meanwhile (`MODEL_RELOADING`), open ones may end within `drain_s`
        seconds and are lost after that. Other clients' sequences are not known here: reload one client after another.

        Raises:
            FailedPrecondition: `MODEL_RELOAD_REFUSED`, or as of `load`.
            Unavailable, Internal: it does not answer, or not as it should.
        """
        definition = self._store.get(model)
        await self._server.models.reload(definition, drain_s)
        try:
            await self.load(model)
        except (Unavailable, Internal):  # unchanged files are not read again, and a dead process stays dead
            await self.revive(model)

    async def infer(
        self,
        model: str,
        inputs: Mapping[str, Tensor],
        *,
        sequence: SequenceStep | None = None,
        deadline: float | None = None,
    ) -> Mapping[str, Tensor]:
        """See `ModelClient.infer`."""
        definition = self._store.get(model)
        definition.check(inputs)
        check_size(definition, inputs)
        if deadline is not None and deadline <= 0:
            raise DeadlineExceeded(f"No time was left to run model {definition.id}.")
        with self._place(definition):
            if definition.states:
                return await self._timed(definition, deadline, self._step(definition, inputs, sequence))
            return await self._timed(definition, deadline, self._server.calls.run(definition, inputs, deadline))

    async def stream(
        self, model: str, inputs: Mapping[str, Tensor], *, deadline: float | None = None
    ) -> AsyncIterator[Mapping[str, Tensor]]:
        """See `ModelClient.stream`. Whoever stops early has the server's run ended within `streams.LINGER`."""
        definition = self._store.get(model)
        if definition.streaming is None:
            raise InvalidInput(
                f"Model {definition.id} does not declare streaming.", reason="STREAMING_NOT_DECLARED", field="model"
            )
        definition.check(inputs)
        check_size(definition, inputs)
        ends = None if deadline is None else time.monotonic() + deadline
        with self._place(definition):
            await self._timed(definition, deadline, self._server.models.verify(definition))
            run = Run(self._server.stub.ModelStreamInfer(), self._server.farewells)
            request = infer_request(definition, inputs, streamed_name(definition))
            try:
                await self._timed(definition, _left(ends), run.begin(request))
                while (answer := await self._timed(definition, _left(ends), run.piece())) is not None:
                    yield outputs_of(definition, answer)
            finally:
                run.leave()

    async def close(self) -> None:
        """Ends the open sequences, within bounds; nothing can be inferred afterwards."""
        server, self._made, self._closed = self._made, None, True
        if server is not None:
            server.sequences.close()
            await server.farewells.close()
            if server.memory is not None:
                await server.memory.close()
            await server.channel.close()

    @property
    def shared_regions(self) -> int:
        """Regions of memory that this client and the server share now."""
        return self._made.memory.regions if self._made is not None and self._made.memory is not None else 0

    @property
    def _server(self) -> _Server:
        """Made inside a running loop: channels belong to one."""
        if self._closed:
            raise Unavailable("The client of the Triton server is closed.", reason="CLIENT_CLOSED")
        if self._made is None:
            channel = grpc.aio.insecure_channel(self._address, options=_OPTIONS)
            rpc, farewells = stub(channel), Farewells()
            sequences = Sequences(rpc, farewells, self._max_sequences)
            models = ServedModels(rpc, sequences)
            memory = SharedInputs(rpc) if self._share else None
            calls = Calls(channel, rpc, models, memory)
            self._made = _Server(channel, rpc, models, calls, sequences, memory, farewells)
        return self._made

    @contextmanager
    def _place(self, definition: ModelDefinition) -> Iterator[None]:
        if self._places <= 0:
            raise Overloaded(f"Too many calls wait for model {definition.id}.", retry_after=0.1)
        self._places -= 1
        try:
            yield
        finally:
            self._places += 1

    async def _timed(self, definition: ModelDefinition, seconds: float | None, work: Awaitable[T]) -> T:
        """Runs one exchange within the time left; everything that gRPC raises ends here."""
        try:
            async with asyncio.timeout(_PATIENCE if seconds is None else seconds):
                return await work
        except TimeoutError:
            raise DeadlineExceeded(f"Model {definition.id} did not answer in time.") from None
        except FAILURES as error:
            raise self._noted(translate(error, definition)) from None
        except Unavailable as error:
            raise self._noted(error) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # The channel was closed under the call, which gRPC tells as if the caller had been cancelled.
            raise Unavailable("The client of the Triton server was closed.", reason="CLIENT_CLOSED") from None

    def _noted(self, error: AntiphonError) -> AntiphonError:
        if error.reason in _GONE and self._made is not None:
            self._made.models.forget()  # what comes back may have other models
        return error

    async def _tiny(self, definition: ModelDefinition) -> None:
        await self._server.models.verify(definition)
        request = infer_request(definition, sample_inputs(definition), definition.triton_name)
        if definition.states:
            mark_sequence(request, secrets.randbits(63) | 1, start=True, end=True)
        outputs_of(definition, await self._server.stub.ModelInfer(request))

    async def _step(
        self, definition: ModelDefinition, inputs: Mapping[str, Tensor], step: SequenceStep | None
    ) -> Mapping[str, Tensor]:
        if step is None:
            raise InvalidInput(
                f"Model {definition.id} keeps state: a call needs a sequence.", reason="SEQUENCE_MISSING"
            )
        server = self._server
        if step.start:
            server.models.refuse_while_reloading(definition)
        await server.models.verify(definition)
        request = infer_request(definition, inputs, definition.triton_name)
        response = await server.sequences.run(definition, step, request)
        try:
            return outputs_of(definition, response)
        except Internal:
            server.sequences.leave(definition, step.id)  # its state may be as wrong as its answer
            raise


def _left(ends: float | None) -> float | None:
    return None if ends is None else max(0.0, ends - time.monotonic())


def _address(url: str) -> str:
    match = _URL.fullmatch(url)
    if match is None or not 0 < int(match.group(1).rpartition(":")[2]) < 1 << 16:
        raise FailedPrecondition(
            "The address of the Triton server is host:port of its gRPC service, such as triton:8001.",
            reason="SETTINGS_INVALID",
        )
    return match.group(1)


def _on_this_host(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
