"""What the verbs share: where the platform is, how to print, and how files and places become requests."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from antiphon.channels import DEFAULT_TARGET, Connection
from antiphon.types.v1 import context_pb2

C = TypeVar("C", bound=Connection)
Verb = Callable[[argparse.Namespace], Coroutine[Any, Any, int]]
OK, FAILED = 0, 1


def common() -> argparse.ArgumentParser:
    """Options of every verb that calls the platform."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("platform")
    group.add_argument(
        "--target",
        default=os.environ.get("ANTIPHON_TARGET", DEFAULT_TARGET),
        metavar="HOST:PORT",
        help=f"address of the front door (default: $ANTIPHON_TARGET, else {DEFAULT_TARGET})",
    )
    group.add_argument(
        "--tls-ca",
        type=Path,
        default=os.environ.get("ANTIPHON_TLS_CA") or None,
        metavar="PEM",
        help="TLS, with the authority in this file (default: $ANTIPHON_TLS_CA)",
    )
    group.add_argument("--tls", action="store_true", help="TLS, with the authorities of this system")
    group.add_argument(
        "--api-key",
        default=os.environ.get("ANTIPHON_API_KEY", ""),
        metavar="KEY",
        help="API key; better in $ANTIPHON_API_KEY, which no list of processes shows",
    )
    group.add_argument("--pool", default="", metavar="NAME", help="a pool in place of the default one")
    parser.add_argument("--json", action="store_true", help="print each response as proto JSON, one a line")
    return parser


def connect(kind: type[C], options: argparse.Namespace) -> C:
    """A client of that kind for the platform that the options name. Raises ValueError and OSError as `Connection`."""
    return kind(options.target, tls_ca=options.tls_ca, tls=options.tls, api_key=options.api_key, pool=options.pool)


def as_json(message: Message) -> str:
    """Proto JSON on one line, with the field names of the contract."""
    return MessageToJson(message, indent=None, preserving_proto_field_name=True, ensure_ascii=False)


def session_context(locale: str, environment: Mapping[str, str] | None = None) -> context_pb2.SessionContext:
    """Who and where, as far as this machine knows."""
    _, _, region = locale.partition("-")
    return context_pb2.SessionContext(
        device=context_pb2.Device(device_id="command-line", model="antiphon"),
        time_zone=local_time_zone(environment),
        region=region if len(region) == 2 else "",
        language_codes=[locale],
    )


def local_time_zone(environment: Mapping[str, str] | None = None, link: Path = Path("/etc/localtime")) -> str:
    """IANA name of this machine's time zone; empty if it tells none."""
    named = (os.environ if environment is None else environment).get("TZ", "").lstrip(":")
    if named and not named.startswith("/"):
        return named
    try:
        parts = link.resolve(strict=True).parts
    except OSError:
        return ""
    return "/".join(parts[parts.index("zoneinfo") + 1 :]) if "zoneinfo" in parts else ""
