"""`antiphon learn rewrites` as an operator has it, on a Ray cluster that it starts and ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from services.arbitration.learning.interactions import Pseudonyms
from services.arbitration.learning.parquet import ParquetPlace
from services.arbitration.learning.publication import RewriteBook
from services.runtime.store_sqlite import SqliteSessionStore
from tests.fakes.interaction_log import row

pytestmark = pytest.mark.system


def test_rewrites_are_mined_on_ray(tmp_path: Path) -> None:
    state, log = tmp_path / "state", tmp_path / "log"
    state.mkdir()
    config = tmp_path / "platform.yaml"
    config.write_text(f"state_dir: {state}\n")
    rows = []
    for locale, words in (("en", "turn on the tv"), ("de", "fernseher an"), ("fr", "allume la télé")):
        for number in range(6):
            person = f"{locale}{number}"
            rows.append(row(f"{person}-1", user=person, locale=locale, at=0.0, text=f"telly {locale}", reward=0.0))
            rows.append(row(f"{person}-2", user=person, locale=locale, at=9.0, text=words, intent="tv.on"))
    ParquetPlace(str(log), keep_days=None).write(rows)
    command = ("learn", "rewrites", "--log", str(log), "--config", str(config))
    done = subprocess.run(
        [sys.executable, "-m", "antiphon", *command],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"acme {locale}: 12 turns, 1 rewrites" for locale in ("de", "en", "fr")]
    assert "3 new rewrites published" in done.stderr

    async def published() -> list[str]:
        store = await SqliteSessionStore.open(state / "sessions.sqlite3")
        book = RewriteBook(store, Pseudonyms(b""))
        found = [each.target for locale in ("de", "en", "fr") for each in await book.of("acme", locale)]
        await store.close()
        return found

    assert asyncio.run(published()) == ["fernseher an", "turn on the tv", "allume la télé"]
