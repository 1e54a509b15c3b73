"""The bytes between the replica and an engine's worker: commands down, events up.

Both ends are of one build. Audio goes as it came, after one byte; the rest is JSON, which the standard library reads
and writes faster than we could. An answer without events is empty, which is the common case.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from services.asr import events as kinds
from services.asr.events import Event
from services.asr.grammar import LanguageModel
from services.asr.requests import Endpointing, EndpointingUpdate, Phrase, SessionConfig
from services.runtime.audio import AudioFormat, Encoding

AUDIO, CONFIG, FINALIZE, BIASING, ENDPOINTING, LANGUAGE_MODEL, FINISH = b"A", b"C", b"F", b"B", b"E", b"L", b"X"


def pack_config(config: SessionConfig) -> bytes:
    fields = dataclasses.asdict(dataclasses.replace(config, language_model=None))
    fields["language_model"] = _packed(config.language_model) if config.language_model else None
    return CONFIG + json.dumps(fields).encode()


def unpack_config(body: bytes) -> SessionConfig:
    fields: dict[str, Any] = json.loads(body)
    audio, model = fields.pop("format"), fields.pop("language_model")
    return SessionConfig(
        format=AudioFormat(Encoding(audio["encoding"]), audio["rate_hz"]),
        endpointing=Endpointing(**fields.pop("endpointing")),
        phrases=tuple(Phrase(**phrase) for phrase in fields.pop("phrases")),
        language_model=_found(model) if model else None,
        **fields,
    )


def pack_endpointing(update: EndpointingUpdate) -> bytes:
    return ENDPOINTING + json.dumps(vars(update)).encode()


def unpack_endpointing(body: bytes) -> EndpointingUpdate:
    return EndpointingUpdate(**json.loads(body))


def pack_phrases(phrases: tuple[Phrase, ...]) -> bytes:
    return BIASING + json.dumps([[phrase.text, phrase.boost] for phrase in phrases]).encode()


def unpack_phrases(body: bytes) -> tuple[Phrase, ...]:
    return tuple(Phrase(text, boost) for text, boost in json.loads(body))


def pack_language_model(model: LanguageModel) -> bytes:
    return LANGUAGE_MODEL + json.dumps(_packed(model)).encode()


def unpack_language_model(body: bytes) -> LanguageModel:
    return _found(json.loads(body))


def _packed(model: LanguageModel) -> list[str]:
    """Where it is: what became of the phrases is not the worker's affair."""
    return [model.key, model.folder]


def _found(fields: list[str]) -> LanguageModel:
    key, folder = fields
    return LanguageModel(key, folder, accepted=0)


def pack_events(events: list[Event]) -> bytes:
    if not events:
        return b""
    return json.dumps([[type(event).__name__, dataclasses.asdict(event)] for event in events]).encode()


def unpack_events(body: bytes) -> list[Event]:
    return [_event(kind, fields) for kind, fields in json.loads(body)] if body else []


def _event(kind: str, fields: dict[str, Any]) -> Event:
    match kind:
        case "Final":
            fields["alternatives"] = tuple(_alternative(each) for each in fields["alternatives"])
        case "Endpoint":
            fields["reason"] = kinds.EndpointReason(fields["reason"])
        case "BiasingReport":
            fields["unmatched"] = tuple(
                kinds.UnmatchedPhrase(each["text"], each["reason"], tuple(each["words"]))
                for each in fields["unmatched"]
            )
    event: Event = getattr(kinds, kind)(**fields)
    return event


def _alternative(fields: dict[str, Any]) -> kinds.Alternative:
    words = tuple(kinds.Word(**word) for word in fields.pop("words"))
    return kinds.Alternative(words=words, **fields)
