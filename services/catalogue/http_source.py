"""A file on a web server, read from any byte on; `downloading.py` calls it as often as it takes.

Only https is spoken, and http to this machine itself (a mirror on loopback); a redirect leads to nothing
weaker than what was asked for. Whatever the network or the server does becomes an error of `runtime/errors.py`.
"""

from __future__ import annotations

import errno
import http.client
import ipaddress
import re
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from typing import IO, Self
from urllib.parse import urlsplit

from services.runtime.errors import AntiphonError, FailedPrecondition, NotFound, Unavailable

MAX_REDIRECTS = 5
_CONTENT_RANGE = re.compile(r"bytes (?P<first>\d{1,18})-(?P<last>\d{1,18})/(?P<total>\d{1,18}|\*)")
_UNSATISFIED = re.compile(r"bytes \*/(?P<total>\d{1,18})")
_LENGTH = re.compile(r"[0-9]{1,18}")
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_NOT_HERE = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_CUTS = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})


class Cut(AntiphonError):
    """The connection or the server failed in a way that another try may mend; never leaves this package."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a server sends: the rest of a file from byte `first` on.

    Attributes:
        body: None if everything is here already.
        total: bytes of the whole file; None if the server does not say.
        validator: what names this state of the file (a strong ETag, else its date); empty if nothing does.
    """

    body: http.client.HTTPResponse | None
    first: int
    total: int | None
    validator: str

    def read(self, size: int) -> bytes:
        """What has come, at most `size` bytes; none at the end. Raises Cut."""
        try:
            return self.body.read1(size) if self.body else b""
        except (http.client.HTTPException, OSError) as error:  # a cut chunk, a reset, a read that took too long
            raise Cut(f"the connection broke off ({type(error).__name__})", reason="CONNECTION_CUT") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.body:
            self.body.close()


class HttpSource:
    """Opens files by their address.

    Args:
        timeout_s: longest silence of a server, also while it connects.
        context: certificates to trust; those of the machine unless given.
    """

    def __init__(self, *, timeout_s: float = 30.0, context: ssl.SSLContext | None = None) -> None:
        self._timeout = timeout_s
        self._context = context

    def open(self, url: str, *, first: int = 0, validator: str = "") -> Piece:
        """Asks for the file from byte `first` on, if it is still as `validator` says; else from the beginning.

        Raises:
            FailedPrecondition: `ADDRESS_REFUSED`: not https, or a redirect that leads out of it.
            NotFound: `DOWNLOAD_MISSING`: the server has no such file, or not for everybody.
            Unavailable: `NETWORK_MISSING`: the host cannot be reached or is not who it says.
            Cut: another try may help.
        """
        check_address(url)
        request = urllib.request.Request(url, headers={"User-Agent": "antiphon", "Accept-Encoding": "identity"})  # noqa: S310 - checked above
        if first:
            request.add_header("Range", f"bytes={first}-")
            if validator:
                request.add_header("If-Range", validator)
        try:
            response = self._opener(url).open(request, timeout=self._timeout)
        except urllib.error.HTTPError as error:
            try:
                return _refused(url, error, first)
            finally:
                error.close()
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise _unreachable(url, error) from None
        return _piece(url, response, first)

    def _opener(self, url: str) -> urllib.request.OpenerDirector:
        handlers: list[urllib.request.BaseHandler] = [_Redirects()]
        handlers.append(urllib.request.HTTPSHandler(context=self._context or ssl.create_default_context()))
        if _is_this_machine(urlsplit(url).hostname or ""):
            handlers.append(urllib.request.ProxyHandler({}))
        return urllib.request.build_opener(*handlers)


class _Redirects(urllib.request.HTTPRedirectHandler):
    max_redirections = MAX_REDIRECTS

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        fp.close()  # or the library would read the answer's body, however long, before it goes on
        check_address(newurl, came_from=req.full_url)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_address(url: str, came_from: str = "") -> None:
    """Raises FailedPrecondition `ADDRESS_REFUSED` unless it is https, or http that never leaves this machine."""
    parts = urlsplit(url)
    local = parts.scheme == "http" and _is_this_machine(parts.hostname or "")
    if parts.scheme == "https" or (local and not came_from.startswith("https:")):
        return
    how = f"{urlsplit(came_from).hostname} redirects to" if came_from else "this is"
    raise FailedPrecondition(
        f"{how} {parts.scheme}://{parts.hostname or ''}, which anybody on the way could change: refused, only https",
        reason="ADDRESS_REFUSED",
    )


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _piece(url: str, response: http.client.HTTPResponse, first: int) -> Piece:
    headers = response.headers
    if headers.get("Content-Encoding", "identity") != "identity":
        response.close()
        raise NotFound(f"{_host(url)} sends another form than the file itself", reason="DOWNLOAD_MISSING")
    validator = _validator(headers)
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        given = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        if given is None or int(given["first"]) != first:
            response.close()
            raise Cut(f"{_host(url)} sends another part than was asked for", reason="CONNECTION_CUT")
        return Piece(response, first, None if given["total"] == "*" else int(given["total"]), validator)
    length = _LENGTH.fullmatch(headers.get("Content-Length", ""))
    return Piece(response, 0, int(length[0]) if length else None, validator)


def _validator(headers: Message) -> str:
    tag = headers.get("ETag", "")
    found = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
    return found if len(found) <= 200 and found.isascii() and found.isprintable() else ""


def _refused(url: str, error: urllib.error.HTTPError, first: int) -> Piece:
    """What an error of the server means; a range that begins at the end of the file is a whole file."""
    host = _host(error.url or url)
    if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and first:
        told = _UNSATISFIED.fullmatch(error.headers.get("Content-Range", ""))
        if told is not None and int(told["total"]) == first:
            return Piece(None, first, first, _validator(error.headers))
        raise Cut(f"{host} has a file of another length now", reason="FILE_CHANGED")
    if error.code in _PASSING:
        raise Cut(f"{host} answers {error.code}", reason="SERVER_BUSY")
    if error.code in _NOT_HERE:
        raise NotFound(f"{host} has no such file, or not for everybody ({error.code})", reason="DOWNLOAD_MISSING")
    if 300 <= error.code < 400:
        raise NotFound(f"{host} redirects without end, or to what is no web address", reason="DOWNLOAD_MISSING")
    raise NotFound(f"{host} answers {error.code}", reason="DOWNLOAD_MISSING")


def _unreachable(url: str, error: Exception) -> AntiphonError:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    host = _host(url)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Unavailable(f"{host} does not prove who it is: {cause.verify_message}", reason="NETWORK_MISSING")
    cut = isinstance(cause, http.client.HTTPException) or (isinstance(cause, OSError) and cause.errno in _CUTS)
    if cut:
        return Cut(f"{host} broke off before it answered", reason="CONNECTION_CUT")
    why = "no answer in time" if isinstance(cause, TimeoutError) else _words(cause)
    return Unavailable(f"{host} cannot be reached: {why}", reason="NETWORK_MISSING")


def _words(cause: object) -> str:
    text = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    return text[:120].lower()


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the server"
