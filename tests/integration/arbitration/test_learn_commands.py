"""`antiphon learn` on a log and a state of its own, without a platform and without Ray."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from services.arbitration.learning.interactions import Interaction, Pseudonyms
from services.arbitration.learning.parquet import ParquetPlace
from services.arbitration.learning.publication import RewriteBook
from services.arbitration.learning.rollout import Phase, Rollout, RolloutBook
from services.learn_commands import FAILED, LOG_VARIABLE, OK, USAGE, learn
from services.runtime.store_sqlite import SqliteSessionStore
from tests.fakes.interaction_log import option, row

pytestmark = pytest.mark.integration


class Place:
    """A platform's state folder with a log in it."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.state.mkdir()
        self.log = self.state / "interactions"
        self.config = folder / "platform.yaml"
        self.config.write_text(f"state_dir: {self.state}\n")

    def write(self, rows: list[Interaction]) -> None:
        ParquetPlace(str(self.log), keep_days=None).write(rows)

    def learn(self, *arguments: str) -> int:
        return learn([*arguments, "--config", str(self.config)])

    def published(self, locale: str) -> list[tuple[str, str]]:
        async def read() -> list[tuple[str, str]]:
            store = await SqliteSessionStore.open(self.state / "sessions.sqlite3")
            found = await RewriteBook(store, Pseudonyms(b"")).of("acme", locale)
            await store.close()
            return [(each.source, each.target) for each in found]

        return asyncio.run(read())

    def rollout(self) -> Rollout | None:
        async def read() -> Rollout | None:
            store = await SqliteSessionStore.open(self.state / "sessions.sqlite3")
            found = await RolloutBook(store).get()
            await store.close()
            return found

        return asyncio.run(read())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv(LOG_VARIABLE, raising=False)
    return Place(tmp_path)


def rephrasing(people: int, locale: str = "en") -> list[Interaction]:
    """So many people say "telly on" in vain, and then what works."""
    rows = []
    for number in range(people):
        person = f"p{number}"
        rows.append(row(f"{locale}{person}1", user=person, locale=locale, at=0.0, text="telly on", reward=0.0))
        rows.append(
            row(f"{locale}{person}2", user=person, locale=locale, at=9.0, text="turn on the tv", intent="tv.on")
        )
    return rows


def choosing(turns: int) -> list[Interaction]:
    """Turns in which every ranker agrees on the first."""
    options = (option("clock", 0.9, margin=0.8, locale_exact=1.0), option("watch", 0.05))
    return [row(f"t{n}", user=f"p{n % 50}", options=options, chosen=0, reward=float(n % 10 > 0)) for n in range(turns)]


class TestRewrites:
    def test_they_are_mined_by_language_and_published(self, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
        place.write([*rephrasing(9), *rephrasing(2, "de")])
        assert place.learn("rewrites", "--here") == OK
        out, err = capsys.readouterr()
        assert out.splitlines() == ["acme de: 4 turns, 0 rewrites", "acme en: 18 turns, 1 rewrites"]
        assert "1 new rewrites published" in err
        assert place.published("en") == [("telly on", "turn on the tv")]
        assert place.learn("rewrites", "--here", "--show") == OK
        out, err = capsys.readouterr()
        assert "telly on -> turn on the tv" in out
        assert "0 new rewrites published" in err

    def test_a_dry_run_publishes_nothing(self, place: Place) -> None:
        place.write(rephrasing(9))
        assert place.learn("rewrites", "--here", "--dry-run") == OK
        assert not place.published("en")

    def test_without_a_log_it_says_how_to_get_one(self, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
        assert place.learn("rewrites", "--here") == FAILED
        assert f"{LOG_VARIABLE}=state" in capsys.readouterr().err
        place.config.write_text("nonsense: 1\n")
        assert place.learn("rewrites", "--here") == USAGE


class TestRankers:
    def test_one_that_may_be_tried_is_begun_shown_and_stopped(
        self, place: Place, capsys: pytest.CaptureFixture[str]
    ) -> None:
        place.write(choosing(1_200))
        assert place.learn("evaluate", "--ranker", "shortlist") == OK
        assert place.rollout() is None
        assert place.learn("evaluate", "--ranker", "shortlist", "--begin") == OK
        begun = place.rollout()
        assert begun is not None
        assert (begun.ranker, begun.phase) == ("SHORTLIST", Phase.SHADOW)
        assert place.learn("rollout") == OK
        assert "SHORTLIST: shadow since" in capsys.readouterr().out
        assert place.learn("rollout", "--stop") == OK
        stopped = place.rollout()
        assert stopped is not None
        assert stopped.phase is Phase.ROLLED_BACK

    def test_one_that_is_blocked_is_never_begun(self, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
        place.write(choosing(100))
        assert place.learn("evaluate", "--ranker", "shortlist", "--begin") == FAILED
        assert "blocked: 100 turns are too few" in capsys.readouterr().out
        assert place.rollout() is None
