"""Settings: one frozen dataclass per service, read once at start from YAML options and the environment, then checked.

Each capability's `app.py` calls `load(AsrSettings, runtime.options, "ANTIPHON_ASR")`. The environment wins over the
options. A wrong key or value stops the start with a message that names the key.
"""

from __future__ import annotations

import dataclasses
import math
import os
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from services.runtime.errors import FailedPrecondition

T = TypeVar("T")
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def load(kind: type[T], options: Mapping[str, Any], prefix: str, environment: Mapping[str, str] | None = None) -> T:
    """Builds the settings dataclass `kind`.

    Args:
        kind: a frozen dataclass; a `__post_init__` may raise ValueError for values that contradict each other.
        options: the pool's `settings` table from YAML.
        prefix: environment prefix; `ANTIPHON_ASR` makes `ANTIPHON_ASR_MAX_ALTERNATIVES` set `max_alternatives`.
        environment: `os.environ` unless given.

    Raises:
        FailedPrecondition: unknown key, wrong type, or a value that `__post_init__` refuses.
    """
    environment = os.environ if environment is None else environment
    hints = get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(options) - set(names))
    if unknown:
        raise _wrong(f"unknown key '{unknown[0]}' for {kind.__name__}; known keys: {', '.join(names)}")
    values: dict[str, Any] = {}
    for name in names:
        variable = f"{prefix}_{name}".upper()
        if variable in environment:
            values[name] = _convert(environment[variable], hints[name], variable)
        elif name in options:
            values[name] = _convert(options[name], hints[name], f"{kind.__name__}.{name}")
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise _wrong(f"{kind.__name__}: {error}") from error


def _convert(value: Any, hint: Any, key: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None or value == "":
            return None
        return _convert(value, next(a for a in arguments if a is not type(None)), key)
    if origin is tuple:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)):
            raise _wrong(f"{key}: expected a list, got {type(value).__name__}")
        return tuple(_convert(item, arguments[0], key) for item in items if item != "")
    if origin in (dict, Mapping) or (isinstance(origin, type) and issubclass(origin, Mapping)):
        if not isinstance(value, Mapping):
            raise _wrong(f"{key}: expected a table, got {type(value).__name__}")
        return dict(value)
    return _scalar(value, hint, key)


def _scalar(value: Any, hint: Any, key: str) -> Any:
    if hint is bool:
        text = str(value).lower()
        if text not in _TRUE + _FALSE:
            raise _wrong(f"{key}: expected true or false, got '{value}'")
        return text in _TRUE
    if hint in (int, float):
        return _number(value, hint, key)
    if hint is str:
        if not isinstance(value, str):
            raise _wrong(f"{key}: expected text, got {type(value).__name__}")
        return value
    if isinstance(hint, type) and not isinstance(value, hint):
        raise _wrong(f"{key}: expected {hint.__name__}, got {type(value).__name__}")
    return value


def _number(value: Any, kind: type[int] | type[float], key: str) -> int | float:
    try:
        number = kind(value)
        if isinstance(value, bool) or number != float(value) or not math.isfinite(number):  # 3.7 is no int
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise _wrong(f"{key}: expected {kind.__name__}, got '{value}'") from None
    return number


def _wrong(message: str) -> FailedPrecondition:
    return FailedPrecondition(f"settings: {message}", reason="SETTINGS_INVALID")
