"""Values of the contract <-> values of the domain, one function each; `servicer.py` calls them."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Literal

from google.protobuf.duration_pb2 import Duration

from antiphon.asr.v1 import recognition_pb2 as pb
from antiphon.types.v1 import audio_pb2, provenance_pb2, speech_pb2, text_pb2, value_pb2
from services.asr.events import (
    Alternative,
    BiasingReport,
    Endpoint,
    Final,
    GrammarReport,
    Partial,
    SessionStats,
    SpeechActivity,
    UnmatchedPhrase,
)
from services.asr.grammar import GrammarClass, PhraseGrammar
from services.asr.recordings import Container
from services.asr.requests import Endpointing, EndpointingUpdate, Phrase, SessionConfig
from services.runtime.audio import AudioFormat
from services.runtime.errors import FailedPrecondition, InvalidInput

_ENCODING = "AUDIO_ENCODING_"
_WITHOUT_SPACES = frozenset({"zh", "yue", "ja", "th", "lo", "km", "my"})
_CONTAINERS = {audio_pb2.AUDIO_ENCODING_WAV: Container.WAV, audio_pb2.AUDIO_ENCODING_FLAC: Container.FLAC}


def duration(seconds: float) -> Duration:
    value = Duration()
    value.FromNanoseconds(round(seconds * 1e9))
    return value


# Requests


def session_config(
    config: pb.RecognitionConfig, model: str, defaults: Endpointing, source: AudioFormat | None = None
) -> SessionConfig:
    """Raises InvalidInput for values out of range, FailedPrecondition for what no engine here does.

    `source` is the format of the audio where it is not the one that the config names (a file was read).
    """
    options = config.options
    _check_served(options)
    return SessionConfig(
        model=model,
        format=source or audio_format(config.format),
        max_alternatives=options.max_alternatives or 1,
        interim=options.interim_results,
        words=options.words,
        speech_activity=options.speech_activity,
        endpointing=endpointing_update(options.endpointing).applied_to(defaults),
        phrases=phrases(options.biasing),
        compute_budget=options.compute_budget if options.HasField("compute_budget") else None,
    )


def audio_format(given: audio_pb2.AudioFormat) -> AudioFormat:
    known = given.encoding in audio_pb2.AudioEncoding.values()
    encoding = audio_pb2.AudioEncoding.Name(given.encoding).removeprefix(_ENCODING) if known else "unknown"
    return AudioFormat.parse(encoding, given.sample_rate_hertz, given.channel_count, field="config.format")


def container(given: audio_pb2.AudioFormat) -> Container | None:
    """The kind of file that a recording is; None for raw audio. A rate, if one is given, does not matter."""
    return _CONTAINERS.get(given.encoding)


def endpointing_update(given: speech_pb2.EndpointingConfig) -> EndpointingUpdate:
    """The two flags have no presence in the contract: they are taken as they stand."""

    def seconds(name: Literal["start_timeout", "end_silence", "max_length"]) -> float | None:
        return getattr(given, name).ToNanoseconds() / 1e9 if given.HasField(name) else None

    return EndpointingUpdate(
        start_timeout=seconds("start_timeout"),
        end_silence=seconds("end_silence"),
        max_length=seconds("max_length"),
        sensitivity=given.sensitivity if given.HasField("sensitivity") else None,
        continuous=given.continuous,
        client_only=given.client_only,
    )


def phrases(given: speech_pb2.BiasingConfig) -> tuple[Phrase, ...]:
    return tuple(Phrase(unicodedata.normalize("NFC", phrase.text), phrase.boost) for phrase in given.phrases)


def grammar_digest(given: speech_pb2.PhraseGrammar) -> str:
    """SHA-256 of the deterministic serialisation, hex."""
    return hashlib.sha256(given.SerializeToString(deterministic=True)).hexdigest()


def grammar(given: speech_pb2.PhraseGrammar, digest: str) -> PhraseGrammar:
    """Raises InvalidInput for one that is too large, or has a value out of range."""
    return PhraseGrammar(
        tuple((phrase.text, phrase.weight) for phrase in given.phrases),
        tuple(
            GrammarClass(
                each.name,
                tuple((entry.text, entry.weight) for entry in each.entries),
                _value_type(each.value_type),
            )
            for each in given.classes
        ),
        given.share if given.HasField("share") else None,
        digest,
    )


def _value_type(number: int) -> str:
    names = {value: name for name, value in value_pb2.ValueType.items()}
    if number not in names:
        raise InvalidInput(
            f"{number} is no type of value", reason="VALUE_TYPE_UNKNOWN", field="options.grammar.classes.value_type"
        )
    return names[value_pb2.ValueType.ValueType(number)].removeprefix("VALUE_TYPE_") if number else ""


def unknown_catalogues(given: speech_pb2.BiasingConfig) -> tuple[str, ...]:
    """No catalogue is known here, so all of them."""
    return tuple(given.catalogues)


def _check_served(options: pb.RecognitionOptions) -> None:
    for name, asked in (
        ("multi_speaker", options.HasField("multi_speaker")),
        ("profanity_filter", options.profanity_filter),
    ):
        if asked:
            raise FailedPrecondition(
                f"no model of this pool serves {name}", reason="FEATURE_MISSING", field=f"options.{name}"
            )


# Responses


def result(
    event: Partial | Final, locale: str, models: Sequence[provenance_pb2.ModelProvenance]
) -> pb.RecognitionResult:
    message = pb.RecognitionResult(
        revision=event.revision,
        start_offset=duration(event.start),
        result_end_offset=duration(event.end),
        language_code=locale,
        utterance_index=event.utterance,
        compute_spent=event.spent,
        models=models,
    )
    if isinstance(event, Partial):
        message.alternatives.append(alternative(Alternative(event.text), locale))
        message.stability = event.stability
        message.stable_prefix_code_points = len(written(event.text[: event.stable_prefix], locale))
    else:
        message.alternatives.extend(alternative(each, locale) for each in event.alternatives)
        message.is_final = True
        message.stability = 1.0
        message.stable_prefix_code_points = len(message.alternatives[0].spoken_text) if event.alternatives else 0
    return message


def stats(
    taken: SessionStats, audio_seconds: float, utterances: int, models: Sequence[provenance_pb2.ModelProvenance]
) -> pb.RecognitionStats:
    return pb.RecognitionStats(
        audio_duration=duration(audio_seconds),
        speech_duration=duration(taken.speech_seconds),
        cpu_time=None if taken.cpu_seconds is None else duration(taken.cpu_seconds),
        compute_spent=taken.spent,
        utterance_count=utterances,
        models=models,
    )


def written(text: str, locale: str) -> str:
    """Words as the language writes them: engines put a space between any two."""
    return text.replace(" ", "") if locale.partition("-")[0] in _WITHOUT_SPACES else text


def alternative(given: Alternative, locale: str) -> speech_pb2.SpeechAlternative:
    """Spoken and display text are the same: nothing here formats text yet."""
    text = written(given.text, locale)
    gap = len(written(" ", locale))
    message = speech_pb2.SpeechAlternative(
        spoken_text=text,
        display_text=text,
        confidence=given.confidence,
        acoustic_score=given.acoustic_score,
        language_score=given.language_score,
    )
    at = 0
    for word in given.words:
        message.words.append(
            speech_pb2.Word(
                text=word.text,
                start_offset=duration(word.start),
                end_offset=duration(word.end),
                confidence=word.confidence,
                span=text_pb2.TextSpan(start=at, end=at + len(word.text)),
            )
        )
        at += len(word.text) + gap
    return message


def endpoint(event: Endpoint) -> speech_pb2.EndpointEvent:
    message = speech_pb2.EndpointEvent(
        reason=speech_pb2.EndpointReason.Value(f"ENDPOINT_REASON_{event.reason}"),
        decided_offset=duration(event.decided),
        utterance_index=event.utterance,
    )
    if event.speech_start is not None and event.speech_end is not None:
        message.speech_start_offset.CopyFrom(duration(event.speech_start))
        message.speech_end_offset.CopyFrom(duration(event.speech_end))
    return message


def speech_activity(event: SpeechActivity) -> speech_pb2.SpeechActivity:
    return speech_pb2.SpeechActivity(
        is_speech=event.is_speech, offset=duration(event.offset), level_dbfs=event.level_dbfs
    )


def biasing_report(event: BiasingReport | None, unknown: Sequence[str]) -> speech_pb2.BiasingReport:
    """What became of the phrases, and of the catalogues that are unknown."""
    heard = event.unmatched if event else ()
    return speech_pb2.BiasingReport(
        accepted_count=event.accepted if event else 0,
        unmatched=[
            *map(_unmatched, heard),
            *(speech_pb2.UnmatchedPhrase(text=name, reason="UNKNOWN_CATALOGUE") for name in unknown),
        ],
    )


def grammar_report(event: GrammarReport) -> speech_pb2.GrammarReport:
    return speech_pb2.GrammarReport(
        accepted_count=event.accepted,
        unmatched=map(_unmatched, event.unmatched),
        build_time=duration(event.build_seconds),
        digest=event.digest,
    )


def _unmatched(each: UnmatchedPhrase) -> speech_pb2.UnmatchedPhrase:
    return speech_pb2.UnmatchedPhrase(text=each.text, reason=each.reason, words=each.words)
