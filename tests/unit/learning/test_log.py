"""Rows on their way to Parquet: nothing waits, nothing is lost in silence, nobody's words are kept unasked."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.arbitration.learning.interactions import Pseudonyms
from services.arbitration.learning.log import InteractionLog, Remark
from services.arbitration.learning.parquet import ParquetPlace
from services.arbitration.learning.school import opened_log
from services.runtime.errors import FailedPrecondition, Unavailable
from tests.fakes.interaction_log import MemoryPlace, option, row

pytestmark = pytest.mark.unit

FULL_ROW = row(
    "t1",
    options=(option("clock", 0.7, margin=0.25), option("watch", 0.2)),
    chosen=0,
    propensity=0.985,
    arms=("nlu=canary", "ranker=new"),
    misses=("fulfilment",),
    reward=None,
)


class TestBuffer:
    async def test_rows_are_written_together(self) -> None:
        place = MemoryPlace()
        log = InteractionLog(place)
        log.record(row("1"))
        log.record(row("2"))
        log.remark(Remark("1", "acme", "NEGATIVE", 1.0))
        assert not place.rows
        await log.flush()
        assert [each.turn_id for each in place.rows] == ["1", "2"]
        assert len(place.remarks) == 1
        assert log.dropped == 0

    async def test_a_full_buffer_drops_and_counts(self) -> None:
        place = MemoryPlace()
        log = InteractionLog(place, most=3)
        for number in range(10):
            log.record(row(str(number)))
        assert log.dropped == 7
        await log.flush()
        assert len(place.rows) == 3
        log.record(row("later"))
        assert log.dropped == 7

    async def test_rows_wait_in_order_while_the_place_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        place = MemoryPlace(broken=True)
        log = InteractionLog(place)
        log.record(row("1"))
        log.remark(Remark("1", "acme", "NEGATIVE", 1.0))
        await log.flush()
        assert "LOG_UNWRITABLE" in caplog.text
        place.broken = False
        log.record(row("2"))
        await log.flush()
        assert [each.turn_id for each in place.rows] == ["1", "2"]
        assert (len(place.remarks), log.dropped) == (1, 0)

    async def test_what_does_not_fit_meanwhile_is_counted(self) -> None:
        log = InteractionLog(MemoryPlace(broken=True), most=3)
        for number in range(5):
            log.record(row(str(number)))
            await log.flush()
        assert (len(log._rows), log.dropped) == (3, 2)
        await log.close()
        assert log.dropped == 5

    async def test_a_row_that_can_never_be_written_is_lost_alone(self, caplog: pytest.LogCaptureFixture) -> None:
        place = MemoryPlace()
        log = InteractionLog(place)
        place.rows = None  # type: ignore[assignment]
        log.record(row("1"))
        await log.flush()
        place.rows = []
        log.record(row("2"))
        await log.flush()
        assert ([each.turn_id for each in place.rows], log.dropped) == (["2"], 1)
        assert "rows of the interaction log are lost" in caplog.text

    async def test_without_a_place_nothing_is_kept(self) -> None:
        log = InteractionLog()
        for number in range(10):
            log.record(row(str(number)))
        assert (len(log._rows), log.dropped) == (0, 0)

    async def test_enough_rows_are_written_before_their_time(self) -> None:
        place = MemoryPlace()
        log = InteractionLog(place, rotate_rows=2, rotate_s=3600.0)
        following = asyncio.create_task(log.follow())
        log.record(row("1"))
        log.record(row("2"))
        for _ in range(500):
            if place.rows:
                break
            await asyncio.sleep(0.01)
        following.cancel()
        assert [each.turn_id for each in place.rows] == ["1", "2"]


class TestParquet:
    def test_what_is_written_is_read_back(self, tmp_path: Path) -> None:
        place = ParquetPlace(str(tmp_path), keep_days=None)
        other_day = row("t2", at=1e9 + 86_400, reward=0.0, text="telly on")
        place.write([FULL_ROW, other_day])
        read = sorted(ParquetPlace(str(tmp_path)).read(), key=lambda each: each.turn_id)
        assert read == [FULL_ROW, other_day]

    def test_any_reader_of_parquet_finds_days_and_a_version(self, tmp_path: Path) -> None:
        ParquetPlace(str(tmp_path), keep_days=None).write([FULL_ROW])
        (path,) = tmp_path.rglob("*.parquet")
        assert path.parent.name == f"date={datetime.fromtimestamp(FULL_ROW.at, UTC):%Y-%m-%d}"
        schema = pq.read_schema(path)
        assert schema.metadata[b"antiphon.schema"] == b"1"
        assert set(schema.names) == set(asdict(FULL_ROW))
        assert pq.read_table(path, partitioning=None).column("propensity").to_pylist() == [0.985]

    def test_remarks_outweigh_what_was_guessed(self, tmp_path: Path) -> None:
        place = ParquetPlace(str(tmp_path), keep_days=None)
        place.write([row("t1", reward=1.0), row("t2", reward=1.0)])
        place.write_remarks([Remark("t1", "acme", "NEGATIVE", 1e9), Remark("t2", "acme", "WRONG_DEVICE", 1e9)])
        assert {each.turn_id: each.reward for each in place.read()} == {"t1": 0.0, "t2": 1.0}

    def test_parts_are_read_alone(self, tmp_path: Path) -> None:
        place = ParquetPlace(str(tmp_path), keep_days=None)
        place.write([row("t1"), row("t2", locale="de"), row("t3", tenant="umbrella", options=FULL_ROW.options)])
        assert place.parts() == (("acme", "de"), ("acme", "en"), ("umbrella", "en"))
        (read,) = place.read(("umbrella", "en"), brief=True)
        assert (read.turn_id, read.options) == ("t3", ())

    def test_a_half_written_file_is_not_read(self, tmp_path: Path) -> None:
        place = ParquetPlace(str(tmp_path), keep_days=None)
        place.write([FULL_ROW])
        folder = next(tmp_path.rglob("*.parquet")).parent
        (folder / "000000-x-000001.parquet.part").write_bytes(b"PAR1")
        assert len(list(place.read())) == 1

    def test_old_days_go(self, tmp_path: Path) -> None:
        ParquetPlace(str(tmp_path), keep_days=None).write([FULL_ROW])
        ParquetPlace(str(tmp_path), keep_days=30).write([row("t2", at=time.time())])
        assert [each.turn_id for each in ParquetPlace(str(tmp_path)).read()] == ["t2"]

    def test_a_newer_schema_and_rubbish_are_refused(self, tmp_path: Path) -> None:
        folder = tmp_path / "turns" / "date=2030-01-01"
        folder.mkdir(parents=True)
        table = pa.table({"turn_id": ["t1"]}).replace_schema_metadata({b"antiphon.schema": b"2"})
        pq.write_table(table, folder / "a.parquet")
        with pytest.raises(FailedPrecondition, match="newer release"):
            list(ParquetPlace(str(tmp_path)).read())
        (folder / "a.parquet").write_bytes(b"rubbish")
        with pytest.raises(FailedPrecondition, match="cannot be read"):
            list(ParquetPlace(str(tmp_path)).read())

    @pytest.mark.parametrize("url", ["nosuchscheme://x/y", "/dev/null/log"])
    async def test_a_place_that_cannot_be_is_said_and_done_without(
        self, url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        log = await opened_log(url, 90)
        assert log.place is None
        assert "no interaction log is kept" in caplog.text

    def test_a_disk_that_goes_away_is_unavailable(self, tmp_path: Path) -> None:
        place = ParquetPlace(str(tmp_path / "log"))
        (tmp_path / "log").write_text("in the way")
        with pytest.raises(Unavailable):
            place.write([FULL_ROW])


def test_pseudonyms_depend_on_key_and_kind() -> None:
    one, other = Pseudonyms(b"one"), Pseudonyms(b"other")
    assert one.of("user", "acme", "ada") == one.of("user", "acme", "ada")
    pseudonyms = {one.of("user", "acme", "ada"), other.of("user", "acme", "ada"), one.of("tenant", "acme", "ada")}
    assert len(pseudonyms) == 3
    assert "one" not in repr(one)
