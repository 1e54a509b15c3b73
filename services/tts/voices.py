"""Which voice speaks: by name, or by language with the fallback order of `runtime.language`.

Called by `synthesizer.py` for each request and by `servicer.py` for ListVoices.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.runtime.errors import FailedPrecondition, InvalidInput
from services.runtime.language import best_supported, canonical
from services.tts.engines import Voice


class VoiceCatalogue:
    """The voices of one engine.

    Args:
        voices: all of them.
    """

    def __init__(self, voices: Sequence[Voice]) -> None:
        self._by_id = {voice.id: voice for voice in voices}
        self._by_language: dict[str, Voice] = {}
        for language in {tag for voice in voices for tag in voice.languages}:
            speakers = [voice for voice in voices if language in voice.languages]
            self._by_language[language] = min(speakers, key=lambda voice: _preference(voice, language))

    @property
    def languages(self) -> list[str]:
        """BCP-47 tags, sorted."""
        return sorted(self._by_language)

    def list(self, language: str = "") -> list[Voice]:
        """Voices that a request for `language` could be given, the preferred one first; all when it is empty.

        Raises InvalidInput for what is no language tag.
        """
        if not language:
            return list(self._by_id.values())
        found = best_supported([language], self._by_language)
        wanted = canonical(language).split("-")[0]
        fitting = [v for v in self._by_id.values() if found in v.languages or v.language.split("-")[0] == wanted]
        return sorted(fitting, key=lambda voice: (voice is not self._by_language.get(found or ""), voice.id))

    def choose(self, voice_id: str, language: str) -> tuple[Voice, str]:
        """The voice for a request, and the language that it serves.

        Raises:
            InvalidInput: no language tag, or a voice that does not speak the language asked for.
            FailedPrecondition: no such voice (`VOICE_UNAVAILABLE`), or none for the language (`LOCALE_UNSUPPORTED`).
        """
        if voice_id:
            return self._named(voice_id, language)
        found = best_supported([canonical(language)], self._by_language)
        if found is None:
            raise FailedPrecondition(
                f"no voice speaks {canonical(language)}; ListVoices names what is spoken",
                reason="LOCALE_UNSUPPORTED",
                field="language_code",
                metadata={"language_code": canonical(language)},
            )
        return self._by_language[found], found

    def _named(self, voice_id: str, language: str) -> tuple[Voice, str]:
        voice = self._by_id.get(voice_id)
        if voice is None:
            raise FailedPrecondition(
                "there is no such voice; ListVoices names those there are", reason="VOICE_UNAVAILABLE", field="voice"
            )
        found = best_supported([language], voice.languages) if language else voice.language
        if found is None:
            raise InvalidInput(
                f"voice {voice.id} speaks {', '.join(voice.languages)}, not {canonical(language)}",
                reason="VOICE_LANGUAGE_MISMATCH",
                field="voice",
            )
        return voice, found


def _preference(voice: Voice, language: str) -> tuple[int, int, str]:
    return voice.languages[language], list(voice.languages).index(language), voice.id
