"""Mandarin from a real clip, through the service's engine in its worker process."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import soundfile

from services.asr.engines.pocketsphinx.engine import PocketsphinxEngine
from services.asr.events import Event, Final
from services.asr.grammar import PhraseGrammar
from services.asr.recognizer import Recognizer
from services.asr.requests import Endpointing, SessionConfig
from services.asr.settings import AsrSettings
from services.runtime.model_store import ModelStore
from training.asr_commands.evaluate import distance
from training.asr_commands.mandarin import build

pytestmark = [pytest.mark.data, pytest.mark.asyncio(loop_scope="module")]

MODEL = "cmusphinx/zh-broadcast@1"


def characters(text: str) -> list[str]:
    return re.findall(r"[\u4e00-\u9fff]", text)


def heard(events: list[Event]) -> str:
    return "".join(event.alternatives[0].text for event in events if isinstance(event, Final) and event.alternatives)


async def test_a_clip_of_read_mandarin(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text is about speech software, which a broadcast model of 5,000 words hardly knows: most of it is wrong."""
    build(data, tmp_path)
    monkeypatch.setenv("ANTIPHON_MODELS", str(tmp_path))
    settings = AsrSettings(models={"zh": "cmusphinx/zh-broadcast"}, workers=1)
    engine = PocketsphinxEngine([ModelStore.with_bundled().get(settings.models["zh"])], 1)
    await engine.start()
    try:
        recognizer = Recognizer(engine, {"zh": MODEL}, settings)
        assert recognizer.select(["zh-CN"]).locale == "zh"
        folder = data / "audio" / "azure9" / "zh-CN" / "testing"
        text = (folder / "trans.txt").read_text(encoding="utf-8-sig").partition("\t")[2]
        pcm, rate_hz = soundfile.read(folder / "audio.flac", dtype="int16")
        assert rate_hz == 16_000
        session, events = await recognizer.open(SessionConfig(MODEL, endpointing=Endpointing(continuous=True)))
        for at in range(0, len(pcm), 1_600):
            events += await session.feed(pcm[at : at + 1_600].tobytes())
        events += await session.finish()
        await session.close()
        wanted, got = characters(text), characters(heard(events))
        rate = distance(wanted, got) / len(wanted)
        with capsys.disabled():
            sys.stdout.write(f"\nMandarin, one real clip of {len(wanted)} characters: CER {rate:.3f}\n")
        assert rate < 0.85
        task = engine.build(MODEL, PhraseGrammar((("这个项目的测试", 1.0),), share=1.0, digest="d"))
        assert (await task).accepted == 1
    finally:
        await engine.close()
