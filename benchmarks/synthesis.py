"""Speech synthesis by stage: time to first audio, text that streams in, real-time factor, and many at once.

    python -m benchmarks synthesis [--runs=N] [--streams=N]

The synthesiser is driven as its servicer drives it, in this process, with espeak-ng in its own processes as served.
Times are wall clock unless they say CPU. `text` is writing out figures, `engine` the first answer of the process,
`whole` the first audio that leaves; the rest is cutting, levels, format. Another load on the machine shows in all.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from services.runtime.audio import AudioFormat, Encoding
from services.tts.engines import Prosody
from services.tts.engines.espeak import EspeakEngine
from services.tts.normalizer import normalize
from services.tts.output import Audio
from services.tts.settings import TtsSettings
from services.tts.synthesizer import SpeechRequest, Summary, Synthesizer

SENTENCES = {
    "en-US": "Your timer for 10 minutes ends at 7:30 pm, and it is 21 °C in the kitchen.",
    "de": "Ihr Timer über 10 Minuten endet um 19:30 Uhr, und in der Küche sind es 21 °C.",
    "es": "Su temporizador de 10 minutos termina a las 19:30, y hay 21 °C en la cocina.",
    "fr": "Votre minuteur de 10 minutes se termine à 19h30, et il fait 21 °C dans la cuisine.",
    "it": "Il timer di 10 minuti finisce alle 19:30, e ci sono 21 °C in cucina.",
}
TOKEN_S = 0.05  # between two words of text that streams in, as a language model writes
FORMAT = AudioFormat(Encoding.LINEAR16, 16_000)


@dataclass(frozen=True)
class Spoken:
    """One utterance: seconds to its first audio, and of audio; CPU seconds of the engine."""

    first_s: float
    audio_s: float
    cpu_s: float


async def speak(synthesizer: Synthesizer, text: str, language: str) -> Spoken:
    began = time.perf_counter()
    utterance = synthesizer.prepare(SpeechRequest(language=language, format=FORMAT))
    utterance.feed(text)
    utterance.end()
    first_s = audio_s = cpu_s = 0.0
    async for event in utterance.events():
        if isinstance(event, Audio):
            first_s = first_s or time.perf_counter() - began
        elif isinstance(event, Summary):
            audio_s, cpu_s = event.audio_s, event.cpu_s
    return Spoken(first_s, audio_s, cpu_s)


async def streamed(synthesizer: Synthesizer, text: str, language: str) -> tuple[float, float, float]:
    """Seconds to first audio from the first word and from the end of the first sentence, and before the text's end."""
    utterance = synthesizer.prepare(SpeechRequest(language=language, format=FORMAT))
    sentence_s = end_s = 0.0

    async def write() -> None:
        nonlocal sentence_s, end_s
        for word in text.split(" "):
            await asyncio.sleep(TOKEN_S)
            utterance.feed(word + " ")
            if word.endswith(".") and not sentence_s:
                sentence_s = time.perf_counter()
        utterance.end()
        end_s = time.perf_counter()

    began, first_s = time.perf_counter(), 0.0
    writer = asyncio.create_task(write())
    async for event in utterance.events():
        if isinstance(event, Audio) and not first_s:
            first_s = time.perf_counter()
    await writer
    return first_s - began, first_s - sentence_s, end_s - first_s


async def stages(engine: EspeakEngine, synthesizer: Synthesizer, language: str) -> tuple[float, float]:
    """Seconds of writing out figures, and of the engine's first answer."""
    sentence = SENTENCES[language]
    began = time.perf_counter()
    said = normalize(sentence, language)
    text_s = time.perf_counter() - began
    voice = synthesizer.catalogue.choose("", language)[0]
    began = time.perf_counter()
    async for _ in engine.speak(said.text, voice, Prosody()):
        break
    return text_s, time.perf_counter() - began


def percentiles(values: Sequence[float], scale: float = 1000) -> str:
    """ "p50 / p95", in ms."""
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return f"{statistics.median(values) * scale:6.1f} /{cuts[18] * scale:6.1f}"


async def run(options: argparse.Namespace) -> None:
    engine = EspeakEngine()
    await engine.start()
    try:
        synthesizer = Synthesizer(engine, TtsSettings(max_waiting=10_000))
        await alone(engine, synthesizer, options.runs)
        for count in (1, 8, options.streams):
            await together(synthesizer, count)
    finally:
        await engine.close()


async def alone(engine: EspeakEngine, synthesizer: Synthesizer, runs: int) -> None:
    print(
        f"{runs} runs each, p50 / p95 in ms      text            engine          whole           real-time factor (CPU)"
    )
    for language, sentence in SENTENCES.items():
        await speak(synthesizer, sentence, language)  # the voice's data come from the disk the first time
        parts = [await stages(engine, synthesizer, language) for _ in range(runs)]
        spoken = [await speak(synthesizer, sentence, language) for _ in range(runs)]
        factor = statistics.median(each.cpu_s / each.audio_s for each in spoken)
        columns = [percentiles(values) for values in (*zip(*parts, strict=True), [each.first_s for each in spoken])]
        print(f"  one sentence, {language:6}         {'  '.join(columns)}  {factor:.4f}")
    for language, sentence in SENTENCES.items():
        found = [await streamed(synthesizer, f"{sentence} {sentence}", language) for _ in range(max(2, runs // 10))]
        first, after, before = zip(*found, strict=True)
        print(
            f"  streamed text, {language:6} first audio {percentiles(first)} after the first word, "
            f"{percentiles(after)} after its sentence, {statistics.median(before):.2f} s before the text ended"
        )


async def together(synthesizer: Synthesizer, count: int) -> None:
    """All at once, each a sentence: what the last of them waits for."""
    languages = list(SENTENCES)
    wanted = [languages[number % len(languages)] for number in range(count)]
    began = time.perf_counter()
    spoken = await asyncio.gather(*(speak(synthesizer, SENTENCES[language], language) for language in wanted))
    took = time.perf_counter() - began
    firsts = [each.first_s for each in spoken] * (2 if count == 1 else 1)
    made = sum(each.audio_s for each in spoken)
    print(f"  {count:4} at once: first audio {percentiles(firsts)} ms, {made / took:.0f} s of audio per second")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50, help="utterances per language (default 50)")
    parser.add_argument("--streams", type=int, default=64, help="utterances at once, at most (default 64)")
    asyncio.run(run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
