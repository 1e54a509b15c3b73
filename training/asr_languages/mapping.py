"""Which English phones sound most like another language's: `python -m training.asr_languages.mapping LANGUAGE`.

Speech whose words are known is aligned with pronunciations made by drawing a phone for each sound from `CANDIDATES`;
the aligner takes what the acoustic model finds likeliest. What was taken of what was offered is printed by sound: from
that `models/g2p-*/sounds.yaml` was written. Speech: the tuning commands of `evaluate.py` (synthetic), and one real
paragraph of each language (audio/azure9, `training/audio1`), which counts REAL_WEIGHT.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pocketsphinx

from services.asr.engines.pocketsphinx.decoder import level_db
from services.asr.engines.pocketsphinx.g2p import Pronouncer, joined
from services.runtime.audio import Pcm
from training.asr_languages.evaluate import real, spoken, tuning_commands

_VARIANTS = 24  # of each word
_ROUNDS = 2  # other draws each time
_REAL_WEIGHT = 3.0
_LEVEL_DB, _FLOOR = 66.0, 45.0  # as the decoder hears it

CANDIDATES: Mapping[str, str] = {
    "a": "AA|AH|AE", "aː": "AA|AH|AE|AO", "ɑ": "AA|AO|AH", "e": "EY|EH|IH|IY", "eː": "EY|IY|IH|EH", "ɛ": "EH|AE|EY|AH",
    "ɛː": "EH|AE|EY", "i": "IY|IH", "iː": "IY|IH", "ɪ": "IH|IY|EH", "o": "OW|AO|UH|AA", "oː": "OW|AO|UW|UH",
    "ɔ": "AO|AA|AH|OW", "u": "UW|UH|OW", "uː": "UW|UH|OW", "ʊ": "UH|UW|AO|OW", "y": "UW|IY|IH|Y UW|UH",
    "yː": "UW|IY|IH|Y UW|UH", "ʏ": "IH|UH|UW|IY", "ø": "ER|UH|EH|AH|UW", "øː": "ER|UH|EH|AH|UW", "œ": "ER|EH|AH|UH",
    "ə": "AH|IH|EH|UH|ER", "ɐ": "AH|AA|ER|AO", "ɐ̯": "AH|AA|ER|R", "ʁ": "R|HH|G|AH|K", "r": "R|D|ER|L|DH",
    "ɾ": "R|D|T|DH|L",
    "x": "HH|K|SH|G", "ç": "SH|HH|HH Y|K|S", "χ": "HH|K|SH|G", "ʒ": "ZH|JH|SH", "b": "B|V|W|P", "d": "D|DH|T|L",
    "ɡ": "G|K|W|HH", "v": "V|F|B|W", "w": "W|V|UW", "z": "Z|S", "s": "S|Z|SH", "θ": "TH|S|F|T", "ts": "T S|S|Z|T|D Z",
    "tts": "T S|S|T|CH", "dz": "D Z|Z|T S", "ddz": "D Z|Z|T S", "tʃ": "CH|SH|T|JH", "ttʃ": "CH|T CH", "dʒ": "JH|ZH|CH",
    "ddʒ": "JH|D JH", "pf": "P F|F|P", "ʎ": "L Y|Y|L|L IY|IY", "ɲ": "N Y|N|NG|N IY|M", "j": "Y|IY|IH", "ɥ": "W|Y|UW|IY",
    "ʝ": "Y|JH|IY|D Y", "p": "P|B", "t": "T|D", "k": "K|G", "ŋ": "NG|N|NG G", "n̩": "AH N|N|IH N", "l̩": "AH L|L",
    "m̩": "AH M|M", "ɑ̃": "AA N|AO N|AA|AO|AO NG|AH N", "ɔ̃": "OW N|AO N|OW|AO|AO NG|OW M",
    "ɛ̃": "AE N|EH N|AE|AE NG|AH N|AY",
    "œ̃": "AH N|ER N|AE N|EH N", "aɪ̯": "AY|AA IY|EY", "aʊ̯": "AW|AA UH|OW", "ɔɪ̯": "OY|AO IY|AO Y", "ɔʏ̯": "OY|AO IY|AO Y",
    "ei": "EY|EH IY", "ai": "AY|AA IY", "eu": "EH UW|EH W|EY UW", "l": "L|AH L|W", "h": "HH|K", "i̯": "Y|IY|IH",
    "f": "F|TH", "ʃ": "SH|S", "n": "N|M|NG", "m": "M|N",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("language")
    parser.add_argument("--count", type=int, default=150)
    options = parser.parse_args()
    data = Path(os.environ.get("ANTIPHON_DATA", "../shared/data"))
    with tempfile.TemporaryDirectory() as folder:
        synthetic = spoken(options.language, tuning_commands(options.language, options.count), Path(folder))
    clips = [(text, pcm, 1.0) for text, pcm in synthetic]
    clips += [(text, pcm, _REAL_WEIGHT) for text, pcm in real(options.language, data)[:1]]
    offered: Counter[tuple[str, str]] = Counter()
    taken: Counter[tuple[str, str]] = Counter()
    for draw in range(_ROUNDS):
        _align(options.language, clips, random.Random(draw), offered, taken)
    for sound in sorted({sound for sound, _ in offered}, key=lambda sound: -_all_of(sound, offered)):
        shares = {phone: taken[sound, phone] / offered[sound, phone] for each, phone in offered if each == sound}
        best = sorted(shares.items(), key=lambda item: -item[1])
        print(sound, round(_all_of(sound, taken)), *(f"{phone}={share:.3f}" for phone, share in best), sep="\t")


def _all_of(sound: str, counts: Mapping[tuple[str, str], float]) -> float:
    return sum(count for (each, _), count in counts.items() if each == sound)


def _align(
    language: str,
    clips: Sequence[tuple[str, Pcm, float]],
    rng: random.Random,
    offered: Counter[tuple[str, str]],
    taken: Counter[tuple[str, str]],
) -> None:
    pronouncer = Pronouncer.load(language)
    words = sorted({word for text, _, _ in clips for word in text.split()})
    variants = {word: list(_variants(pronouncer, word, rng)) for word in words}
    with tempfile.TemporaryDirectory() as folder:
        dictionary = Path(folder) / "words.dict"
        lines = [
            f"{word}{f'({at + 1})' if at else ''} {' '.join(choice[sound] for sound in sounds)}"
            for word in words
            for at, (sounds, choice) in enumerate(variants[word])
        ]
        dictionary.write_text("\n".join(lines) + "\n", encoding="utf-8")
        model = str(Path(pocketsphinx.get_model_path()) / "en-us" / "en-us")
        decoder = pocketsphinx.Decoder(
            hmm=model,
            dict=str(dictionary),
            lm=None,
            loglevel="FATAL",
            cmn="batch",
            beam=1e-80,
            wbeam=1e-60,
            pbeam=1e-80,
        )
        missed = 0
        for text, pcm, weight in clips:
            if not all(variants[word] for word in text.split()):
                continue
            heard = _aligned(decoder, text, pcm)
            missed += not heard
            for word, at in heard:
                for _, choice in variants[word]:
                    offered.update(dict.fromkeys(choice.items(), weight))
                taken.update(dict.fromkeys(variants[word][at][1].items(), weight * len(variants[word])))
        print(f"# {missed} of {len(clips)} clips could not be aligned")


def _variants(pronouncer: Pronouncer, word: str, rng: random.Random) -> Iterator[tuple[list[str], dict[str, str]]]:
    """A word's sounds, and for each sound a phone; different ones."""
    listed = pronouncer.words.get(word, "").split("|")[0].split()
    spoken_parts = [
        pronouncer.words[part].split("|")[0].split() if part in pronouncer.words else pronouncer.spoken(part)
        for part in word.split("-")
    ]
    assert pronouncer.sounds is not None
    sounds = list(joined(listed or [sound for part in spoken_parts for sound in part], pronouncer.sounds))
    seen = set()
    for _ in range(_VARIANTS if sounds else 0):
        choice = {
            sound: rng.choice(CANDIDATES.get(sound, pronouncer.sounds[sound][0]).split("|"))
            for sound in sorted(set(sounds))
        }
        said = " ".join(choice[sound] for sound in sounds)
        if said not in seen:
            seen.add(said)
            yield sounds, choice


def _aligned(decoder: pocketsphinx.Decoder, text: str, pcm: Pcm) -> list[tuple[str, int]]:
    """Words with the number of the pronunciation that was taken."""
    gain = 10 ** ((_LEVEL_DB - level_db(pcm)) / 20)
    floor = np.random.default_rng(7).standard_normal(pcm.size) * _FLOOR
    audio = np.clip(pcm * gain + floor, -32_768, 32_767).astype(np.int16)
    decoder.set_align_text(text)
    decoder.start_utt()
    decoder.process_raw(audio.tobytes(), full_utt=True)
    decoder.end_utt()
    found = []
    for segment in decoder.seg() or ():
        word, _, number = segment.word.partition("(")
        if not word.startswith(("<", "[", "+")) and word:
            found.append((word, int(number.rstrip(")")) - 1 if number else 0))
    return found if [word for word, _ in found] == text.split() else []


if __name__ == "__main__":
    main()
