"""The way to a platform: address, TLS, credentials, and calls that are repeated where that is right.

Every client in `client.py` has one `Connection`. Nothing above this module sees grpc's own errors.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncGenerator, AsyncIterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.message import Message

from antiphon.errors import AntiphonApiError, from_rpc_error
from antiphon.retries import RetryPolicy

DEFAULT_TARGET = "127.0.0.1:9000"
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # A device on a bad network learns within half a minute that the other end is gone.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Repeats are this package's own (retries.py): grpc's would not know what is safe.
    ("grpc.enable_retries", 0),
]


class Connection:
    """One channel to one platform; an async context manager.

    Args:
        target: "host:port".
        tls_ca: PEM file of the authority that signed the server's certificate; None without TLS of that kind.
        tls: TLS with the authorities of this system, where `tls_ca` is None.
        api_key: sent with every call; empty sends none.
        pool: pool to reach through the front door in place of the default one; empty for the default.
        retry: when failed calls are repeated.

    Raises:
        ValueError: an API key would travel in plaintext beyond this machine.
        OSError: `tls_ca` cannot be read.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        tls_ca: Path | str | None = None,
        tls: bool = False,
        api_key: str = "",
        pool: str = "",
        retry: RetryPolicy | None = None,
    ) -> None:
        secure = tls or tls_ca is not None
        if api_key and not secure and not is_loopback(target):
            raise ValueError(f"an API key is not sent in plaintext to {target}: use TLS (tls_ca or tls)")
        self.target = target
        self.retry = retry or RetryPolicy()
        self.metadata: list[tuple[str, str]] = []
        if api_key:
            self.metadata.append(("authorization", f"Bearer {api_key}"))
        if pool:
            self.metadata.append(("application", pool))
        self._authority = Path(tls_ca).read_bytes() if tls_ca is not None else None
        self._secure = secure
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the channel; open calls are cancelled."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel, opened when first asked for: it belongs to the event loop that runs then."""
        if self._channel is None:
            if self._secure:
                credentials = grpc.ssl_channel_credentials(self._authority)
                self._channel = grpc.aio.secure_channel(self.target, credentials, options=OPTIONS)
            else:
                self._channel = grpc.aio.insecure_channel(self.target, options=OPTIONS)
        return self._channel

    async def call(self, method: Any, request: Any, timeout: float, *, repeatable: bool = True) -> Any:
        """One unary call, repeated where the rules of `retries.py` allow it.

        Args:
            method: a unary-unary method of a stub on `channel`.
            request: its message.
            timeout: seconds for each try.
            repeatable: the call changes nothing, or the request carries an idempotency key.

        Raises:
            AntiphonApiError: it failed for good.
        """
        tries = 0
        while True:
            tries += 1
            try:
                return await method(request, timeout=timeout, metadata=self.metadata)
            except grpc.RpcError as failed:
                error = from_rpc_error(failed, self.target)
            await self.wait_before_retry(error, tries, repeatable)

    async def wait_before_retry(self, error: AntiphonApiError, tries: int, repeatable: bool = True) -> None:
        """Waits as long as the next try should, or raises `error` where there should be none."""
        delay = self.retry.delay(error, tries, repeatable)
        if delay is None:
            raise error
        await asyncio.sleep(delay)

    async def stream(self, method: Any, request: Any, timeout: float | None = None) -> AsyncGenerator[Any, None]:
        """The messages that answer one message. Never repeated.

        Raises:
            AntiphonApiError: it failed; messages that came before were yielded.
        """
        call = method(request, timeout=timeout, metadata=self.metadata)
        try:
            async for message in call:
                yield message
        except grpc.RpcError as failed:
            raise from_rpc_error(failed, self.target) from None
        finally:
            call.cancel()

    async def exchange(
        self, method: Any, requests: AsyncIterable[Any], timeout: float | None = None
    ) -> AsyncGenerator[Any, None]:
        """The messages that answer a stream of messages, which goes out beside them. Never repeated.

        Raises:
            AntiphonApiError: it failed; messages that came before were yielded.
            Exception: whatever `requests` raised; the call is cancelled then.
        """
        call = method(timeout=timeout, metadata=self.metadata)
        sending = asyncio.create_task(_send(call, requests))
        try:
            async for message in call:
                yield message
        except grpc.RpcError as failed:
            raise from_rpc_error(failed, self.target) from None
        except asyncio.CancelledError:
            _raise_failure(sending)
            raise
        finally:
            sending.cancel()
            call.cancel()

    async def upload(self, method: Any, requests: AsyncIterable[Any], timeout: float | None = None) -> Any:
        """The one answer to a stream of messages. Never repeated.

        Raises:
            AntiphonApiError: it failed.
            Exception: whatever `requests` raised; the call is cancelled then.
        """
        call = method(timeout=timeout, metadata=self.metadata)
        sending = asyncio.create_task(_send(call, requests))
        try:
            return await call
        except grpc.RpcError as failed:
            raise from_rpc_error(failed, self.target) from None
        except asyncio.CancelledError:
            _raise_failure(sending)
            raise
        finally:
            sending.cancel()
            call.cancel()


async def _send(call: Any, requests: AsyncIterable[Any]) -> None:
    """Writes `requests` into `call`; ends quietly when the call has ended, because its reader learns why."""
    try:
        async for request in requests:
            await write(call, request)
        await call.done_writing()
    except (grpc.RpcError, asyncio.InvalidStateError):
        return
    except BaseException:
        call.cancel()
        raise


def _raise_failure(sending: asyncio.Task[None]) -> None:
    """Raises what the source of a call's messages raised: the call was cancelled because of it."""
    if sending.done() and not sending.cancelled() and (failure := sending.exception()) is not None:
        raise failure from None


async def write(call: Any, request: Message) -> None:
    """Writes one message into a streaming call of grpc.aio, in the place of `call.write`.

    When a write meets the end of a call, `call.write` puts an INTERNAL of its own in the place of the status that the
    server sent, so that a refusal with all its details looks like a lost replica (grpcio 1.85, aio/_call.py). This
    writes beneath it, and tells the server's status.

    Raises:
        grpc.aio.AioRpcError: the call has failed, as the server said.
        asyncio.InvalidStateError: the server has ended the call well.
    """
    await call.wait_for_connection()
    try:
        if not call.done():
            await call._cython_call.send_serialized_message(request.SerializeToString())
            return
    except grpc.aio.InternalError:
        pass  # the call has ended, and its status is here or on its way
    code = await call.code()
    if code == grpc.StatusCode.OK:
        raise asyncio.InvalidStateError("the server has ended the call")
    raise grpc.aio.AioRpcError(
        code, await call.initial_metadata(), await call.trailing_metadata(), details=await call.details()
    )


def is_loopback(target: str) -> bool:
    """True if "host:port" is this machine over loopback, or a Unix socket."""
    if target.startswith("unix:"):
        return True
    host = target.rsplit(":", 1)[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
