"""espeak-ng through ctypes.

Loaded by `espeak_worker.py` alone: it is GPL-3.0 and keeps its state in globals, so it never shares a process with a
service.

Source: https://github.com/espeak-ng/espeak-ng/blob/1.52.0/src/include/espeak-ng/speak_lib.h
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctypes import _Pointer

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: espeak_Synth returns when all audio has been handed over
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT
_CHARS_UTF8 = 1  # and neither espeakSSML (0x10) nor espeakPHONEMES (0x100): text is never markup
_ENDPAUSE = 0x1000
_PHONEMES_IPA = 0x02 | ord(" ") << 8  # the upper bits are the separator between phones
_EVENT_WORD = 1
_RATE, _PITCH = 1, 3
_LANGUAGE_FLAG = re.compile(r"\([a-z-]+\)")  # "(en)": espeak found a word of another language


class UnknownVoice(LookupError):
    """espeak has no such voice."""


class SpeaksTooLong(OverflowError):
    """The text speaks for longer than the caller wanted to hear."""


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


class _Voice(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.POINTER(ctypes.c_ubyte)),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


@dataclass
class Utterance:
    """What one call spoke: PCM16 mono, and (code point, sample) where each word begins."""

    pcm: bytearray = field(default_factory=bytearray)
    words: list[tuple[int, int]] = field(default_factory=list)


class Espeak:
    """The one instance of the library in this process. Not safe for threads."""

    def __init__(self, library: str, data: str) -> None:
        self._lib: Any = ctypes.CDLL(library)
        self._voice = ""
        self._utterance = Utterance()
        self._max_bytes = 0
        self._declare()
        self.sample_rate: int = self._lib.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), _DONT_EXIT)
        if self.sample_rate <= 0:
            raise OSError("espeak-ng does not start")
        self.version = str(self._lib.espeak_Info(None).decode())
        self._callback = _Callback(self._on_audio)  # espeak keeps the pointer: so must we
        self._lib.espeak_SetSynthCallback(self._callback)

    def _declare(self) -> None:
        lib = self._lib
        size, number, pointer = ctypes.c_size_t, ctypes.c_uint, ctypes.c_void_p
        lib.espeak_Synth.argtypes = [ctypes.c_char_p, size, number, ctypes.c_int, number, number, pointer, pointer]
        lib.espeak_TextToPhonemes.restype = ctypes.c_char_p
        lib.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_int]
        lib.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        lib.espeak_Info.restype = ctypes.c_char_p

    def voices(self) -> list[dict[str, object]]:
        """id, name, gender ("male", "female" or "") and languages, each with its priority (lower is preferred)."""
        listed = self._lib.espeak_ListVoices(None)
        found: list[dict[str, object]] = []
        while listed[len(found)]:
            voice = listed[len(found)].contents
            found.append(
                {
                    "id": voice.identifier.decode(),
                    "name": voice.name.decode().strip(),
                    "gender": {1: "male", 2: "female"}.get(voice.gender, ""),
                    "languages": _languages(voice.languages),
                }
            )
        return found

    def speak(self, text: str, voice: str, wpm: int, pitch: int, max_seconds: float) -> Utterance:
        """Speak `text`.

        Args:
            voice: an id from `voices`.
            wpm: words per minute, 80 to 450; espeak's own pace is 175.
            pitch: 0 to 100; 50 is the voice's own.
            max_seconds: of audio; a guard against text that expands.

        Raises:
            UnknownVoice, SpeaksTooLong, OSError: the last for a failure of espeak's.
        """
        self._select(voice)
        self._lib.espeak_SetParameter(_RATE, wpm, 0)
        self._lib.espeak_SetParameter(_PITCH, pitch, 0)
        self._utterance = spoken = Utterance()
        self._max_bytes = int(max_seconds * self.sample_rate) * 2
        body = text.encode()
        failed = self._lib.espeak_Synth(body, len(body) + 1, 0, 1, 0, _CHARS_UTF8 | _ENDPAUSE, None, None)
        if len(spoken.pcm) > self._max_bytes:
            raise SpeaksTooLong
        if failed:
            raise OSError(f"espeak_Synth returned {failed}")
        return spoken

    def phonemize(self, text: str, voice: str) -> str:
        """IPA of `text`; phones are separated by blanks. Raises UnknownVoice."""
        self._select(voice)
        buffer = ctypes.create_string_buffer(text.encode())
        position = ctypes.c_void_p(ctypes.addressof(buffer))
        clauses: list[str] = []
        while position.value:
            clauses.append(self._lib.espeak_TextToPhonemes(ctypes.byref(position), _CHARS_UTF8, _PHONEMES_IPA).decode())
        return " ".join(_LANGUAGE_FLAG.sub(" ", " ".join(clauses)).split())

    def _select(self, voice: str) -> None:
        if voice != self._voice:
            self._voice = voice if self._lib.espeak_SetVoiceByName(voice.encode()) == 0 else ""
        if not self._voice:
            raise UnknownVoice(voice)

    def _on_audio(self, wav: int | None, count: int, events: _Pointer[_Event]) -> int:
        """Take a chunk of about 60 ms. Returning 1 stops the synthesis."""
        spoken = self._utterance
        index = 0
        while events[index].type:
            if events[index].type == _EVENT_WORD:
                spoken.words.append((max(0, events[index].text_position - 1), max(0, events[index].sample)))
            index += 1
        if wav and count > 0:
            spoken.pcm += ctypes.string_at(wav, 2 * count)
        return int(len(spoken.pcm) > self._max_bytes)


def _languages(packed: _Pointer[ctypes.c_ubyte]) -> list[tuple[str, int]]:
    """espeak's list: a byte of priority and a zero-terminated name each, closed by a zero."""
    found: list[tuple[str, int]] = []
    at = 0
    while priority := packed[at]:
        at += 1
        name = bytearray()
        while packed[at]:
            name.append(packed[at])
            at += 1
        at += 1
        found.append((name.decode(), priority))
    return found
