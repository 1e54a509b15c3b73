"""A web server on loopback that serves files as well, and as badly, as servers do. For the tests of the catalogue."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Served:
    """A file, and how it is served.

    Attributes:
        etag: empty for none.
        ranges: whether parts of it are sent.
        cuts: after how many bytes of the body the connection is cut, for one request after the other.
        statuses: answered, one request after the other, before the file is.
        redirect: where to instead.
        length: told instead of the true one; -1 tells none and sends chunks.
        pause_s: before each 10 kB of the body.
        endless: sends the content again and again.
    """

    content: bytes = b""
    etag: str = '"one"'
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    redirect: str = ""
    length: int | None = None
    pause_s: float = 0.0
    endless: bool = False


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    range: str
    if_range: str


class FileServer:
    """Serves `files` by path, and remembers what was `asked`."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.files: dict[str, Served] = {}
        self.asked: list[Asked] = []
        self._server = _Server(("127.0.0.1", 0), _Handler, self)
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self._scheme = "https"

    def url(self, path: str) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}{path}"

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.02)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def running(certificate: Path | None = None) -> Iterator[FileServer]:
    """A server on a thread of its own."""
    server = FileServer(certificate)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], owner: FileServer) -> None:
        super().__init__(address, handler)
        self.owner = owner

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves, or a handshake that fails, is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        owner = self.server.owner
        given, if_range = self.headers.get("Range", ""), self.headers.get("If-Range", "")
        owner.asked.append(Asked(self.path, given, if_range))
        served = owner.files.get(self.path)
        if served is None:
            self.send_error(404)
        elif served.statuses:
            self.send_error(served.statuses.pop(0))
        elif served.redirect:
            self.send_response(302)
            self.send_header("Location", served.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._send(served, self._first(served, given, if_range))

    def log_message(self, format: str, *args: Any) -> None:
        """The tests' output stays theirs."""

    def _first(self, served: Served, given: str, if_range: str) -> int:
        fits = served.ranges and given and (not if_range or if_range == served.etag)
        return int(given.removeprefix("bytes=").rstrip("-")) if fits else 0

    def _send(self, served: Served, first: int) -> None:
        total = len(served.content)
        if first >= total and first:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if first else 200)
        if served.etag:
            self.send_header("ETag", served.etag)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
        if served.length == -1:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            told = served.length if served.length is not None else total
            self.send_header("Content-Length", str(told - first))
        self.end_headers()
        self._body(served, first)

    def _body(self, served: Served, first: int) -> None:
        cut = served.cuts.pop(0) if served.cuts else None
        body = served.content[first:] if cut is None else served.content[first : first + cut]
        while True:
            for at in range(0, len(body), 10_000):
                time.sleep(served.pause_s)
                piece = body[at : at + 10_000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if served.length == -1 else piece)
            if not served.endless:
                break
        if cut is None and served.length == -1:
            self.wfile.write(b"0\r\n\r\n")
        if cut is not None:
            self.close_connection = True
