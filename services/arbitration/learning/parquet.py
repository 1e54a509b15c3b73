"""The interaction log as Parquet files, in any place that fsspec knows: a folder, an object store, a remote disk.

    URL/turns/date=2030-01-31/120501-3f2a-000001.parquet      one row per turn (`interactions.Interaction`)
    URL/remarks/date=2030-01-31/...                           feedback that came later, by turn

`replica` hands one to the log, `antiphon learn` reads. A file appears whole: it is written under another name first.
The folders are hive partitions, so that any reader of Parquet can take some days alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from services.arbitration.learning.interactions import SCHEMA, Interaction, plain_row, row_from
from services.arbitration.learning.log import SAID, Remark
from services.runtime.errors import FailedPrecondition, Unavailable

_VERSION: Final = b"antiphon.schema"
_OPTION: Final = pa.struct(
    [
        ("skill_id", pa.string()),
        ("intent", pa.string()),
        ("score", pa.float64()),
        ("probability", pa.float64()),
        ("features", pa.map_(pa.string(), pa.float64())),
        ("risk", pa.string()),
        ("harmless", pa.bool_()),
        ("listed", pa.float64()),
    ]
)
_SPECIAL: Final = {
    "at": pa.float64(),
    "answers_question": pa.bool_(),
    "options": pa.list_(_OPTION),
    "chosen": pa.int32(),
    "out_of_scope": pa.float64(),
    "propensity": pa.float64(),
    "explored": pa.bool_(),
    "held_out": pa.bool_(),
    "arms": pa.list_(pa.string()),
    "misses": pa.list_(pa.string()),
    "reward": pa.float64(),
}
TURNS: Final = pa.schema(
    [(f.name, _SPECIAL.get(f.name, pa.string())) for f in fields(Interaction)], {_VERSION: str(SCHEMA)}
)
REMARKS: Final = pa.schema(
    [("turn_id", pa.string()), ("tenant", pa.string()), ("kind", pa.string()), ("at", pa.float64())],
    {_VERSION: str(SCHEMA)},
)


@dataclass
class ParquetPlace:
    """Writes and reads one log. Implements `log.Place`.

    Args:
        url: fsspec's (`/var/lib/antiphon/log`, `s3://bucket/log`); its scheme's package must be installed.
        keep_days: days after which a partition is removed; None keeps all.
    """

    url: str
    keep_days: int | None = 90
    _writer: str = field(default_factory=lambda: secrets.token_hex(4))
    _number: int = 0
    _swept: str = ""

    def __post_init__(self) -> None:
        try:
            self._fs, self._root = fsspec.core.url_to_fs(self.url)
        except (ValueError, ImportError, OSError) as error:
            raise FailedPrecondition(
                f"the interaction log cannot be kept at this URL: {type(error).__name__}; a folder, or a URL whose "
                "fsspec package is installed, is what it takes",
                reason="LOG_URL",
            ) from error

    def check(self) -> None:
        """Raises FailedPrecondition when nothing can be written here."""
        path = f"{self._root}/.writable-{self._writer}"
        try:
            self._fs.makedirs(self._root, exist_ok=True)
            self._fs.pipe_file(path, b"")
            self._fs.rm_file(path)
        except Exception as error:
            raise FailedPrecondition(
                f"the interaction log cannot be written: {type(error).__name__}", reason="LOG_UNWRITABLE"
            ) from error

    def write(self, rows: Sequence[Interaction]) -> None:
        """One file per day. Raises Unavailable, then none or some days were kept."""
        by_day: dict[str, list[Interaction]] = {}
        for row in rows:
            by_day.setdefault(_day(row.at), []).append(row)
        for day, of_day in by_day.items():
            self._write(f"turns/date={day}", pa.Table.from_pylist([plain_row(row) for row in of_day], TURNS))
        self._sweep()

    def write_remarks(self, remarks: Sequence[Remark]) -> None:
        """The same for feedback."""
        by_day: dict[str, list[Remark]] = {}
        for remark in remarks:
            by_day.setdefault(_day(remark.at), []).append(remark)
        for day, of_day in by_day.items():
            self._write(f"remarks/date={day}", pa.Table.from_pylist([asdict(r) for r in of_day], REMARKS))

    def read(self, part: tuple[str, str] | None = None, *, brief: bool = False) -> Iterator[Interaction]:
        """Rows, in no order, with what was remarked about them.

        Args:
            part: tenant (its pseudonym) and locale whose rows are read; None reads all.
            brief: leave the candidates out, which are most of a row.

        Raises:
            FailedPrecondition: LOG_SCHEMA, written by a newer release; LOG_UNREADABLE.
        """
        said = (r for table in self._tables("remarks", ["turn_id", "kind"]) for r in table.to_pylist())
        rewards = {remark["turn_id"]: float(SAID[remark["kind"]]) for remark in said if remark["kind"] in SAID}
        columns = [name for name in TURNS.names if not (brief and name == "options")]
        for table in self._tables("turns", columns, part):
            for values in table.to_pylist():
                row = row_from({name: value for name, value in values.items() if value is not None})
                reward = rewards.get(row.turn_id)
                yield row if reward is None else replace(row, reward=reward)

    def parts(self) -> tuple[tuple[str, str], ...]:
        """Tenant and locale of all rows, in order. Raises as `read`."""
        found: set[tuple[str, str]] = set()
        for table in self._tables("turns", ["tenant", "locale"]):
            distinct = table.group_by(table.column_names).aggregate([]).to_pylist()
            found.update((row["tenant"], row["locale"]) for row in distinct)
        return tuple(sorted(found))

    def _tables(self, kind: str, columns: list[str], part: tuple[str, str] | None = None) -> Iterator[pa.Table]:
        """One table per file, as far as it has the columns: an earlier release wrote fewer."""
        filters = [("tenant", "=", part[0]), ("locale", "=", part[1])] if part else None
        try:
            for path in sorted(self._fs.glob(f"{self._root}/{kind}/date=*/*.parquet")):
                with self._fs.open(path, "rb") as file:
                    schema = pq.read_schema(file)
                    if int((schema.metadata or {}).get(_VERSION, b"0")) > SCHEMA:
                        raise FailedPrecondition("a newer release wrote this log", reason="LOG_SCHEMA")
                    known = [name for name in columns if name in schema.names]
                    yield pq.read_table(file, columns=known, filters=filters, partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise FailedPrecondition(
                f"the interaction log cannot be read: {type(error).__name__}", reason="LOG_UNREADABLE"
            ) from error

    def _write(self, folder: str, table: pa.Table) -> None:
        self._number += 1
        name = f"{datetime.now(UTC):%H%M%S}-{self._writer}-{self._number:06d}.parquet"
        path = f"{self._root}/{folder}/{name}"
        try:
            self._fs.makedirs(f"{self._root}/{folder}", exist_ok=True)
            with self._fs.open(f"{path}.part", "wb") as file:
                pq.write_table(table, file, compression="zstd")
            self._fs.mv(f"{path}.part", path)
        except Exception as error:
            raise Unavailable(
                f"the interaction log cannot be written: {type(error).__name__}", reason="LOG_UNWRITABLE"
            ) from error

    def _sweep(self) -> None:
        """Once a day: what is older than it may be."""
        today = _day(datetime.now(UTC).timestamp())
        if self.keep_days is None or self._swept == today:
            return
        self._swept = today
        oldest = f"{datetime.now(UTC) - timedelta(days=self.keep_days):%Y-%m-%d}"
        try:
            for folder in self._fs.glob(f"{self._root}/*/date=*"):
                if folder.rpartition("date=")[2] < oldest:
                    self._fs.rm(folder, recursive=True)
        except OSError:
            self._swept = ""  # tried again with the next file


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"
