"""Archives: good ones come out whole, bad ones leave nothing, and none reaches beyond its folder."""

from __future__ import annotations

import bz2
import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from services.catalogue.unpacking import Limits, is_archive, unpack
from services.runtime.errors import FailedPrecondition

pytestmark = pytest.mark.unit

SMALL = Limits(files=10, total_bytes=100_000)
TAR_KINDS = ("", "gz", "bz2", "xz")


def member(name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, size, 0o4777
    return info


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes], kind: str = "") -> Path:
    with tarfile.open(path, f"w:{kind}") as made:  # type: ignore[call-overload]
        for info, content in members:
            info.size = info.size or len(content)
            made.addfile(info, io.BytesIO(content.ljust(info.size, b"\0")))
    return path


def zipped(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members:
            made.writestr(name, content)
    return path


def refused(archive: Path, out: Path, limits: Limits = SMALL) -> FailedPrecondition:
    before = sorted(archive.parent.rglob("*"))
    with pytest.raises(FailedPrecondition) as error:
        unpack(archive, out, limits)
    assert not out.exists()
    assert sorted(archive.parent.rglob("*")) == before, "something was left, or written elsewhere"
    return error.value


@pytest.mark.parametrize("kind", TAR_KINDS)
def test_a_good_tar_comes_out_whole(tmp_path: Path, kind: str) -> None:
    big = bytes(range(256)) * 300
    archive = tar(
        tmp_path / "a",
        (member("./m", tarfile.DIRTYPE), b""),
        (member("m/tokens.txt"), b"a 0\n"),
        (member("./m/deep/" + "x" * 150 + ".onnx"), big),  # a name too long for the old header
        kind=kind,
    )
    unpack(archive, tmp_path / "out", SMALL)
    assert (tmp_path / "out/m/tokens.txt").read_text() == "a 0\n"
    assert (tmp_path / f"out/m/deep/{'x' * 150}.onnx").read_bytes() == big
    assert not any(path.stat().st_mode & 0o6111 for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_a_good_zip_comes_out_whole(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", ("m/", b""), ("m/tokens.txt", b"a 0\n"), ("m/deep/er.onnx", b"x" * 50_000))
    unpack(archive, tmp_path / "out", SMALL)
    assert (tmp_path / "out/m/deep/er.onnx").read_bytes() == b"x" * 50_000
    assert (tmp_path / "out/m/tokens.txt").read_text() == "a 0\n"


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "m/../../evil",
        "/evil",
        "m/..",
        "m\\..\\evil",
        "a\nb",
        "x" * 201,
        "d/" * 30 + "f",
        "\x1b[2J",
    ],
)
def test_names_that_lead_out_or_trick_the_eye_are_refused(tmp_path: Path, name: str) -> None:
    for archive in (
        tar(tmp_path / "a.tar", (member("m/ok"), b"x"), (member(name), b"evil")),
        zipped(tmp_path / "a.zip", ("m/ok", b"x"), (zipfile.ZipInfo(name), b"evil")),
    ):
        error = refused(archive, tmp_path / "out")
        assert error.reason == "ARCHIVE_UNSAFE"
        assert error.message.isprintable()


@pytest.mark.parametrize(
    "info",
    [
        member("m/link", tarfile.SYMTYPE, link="/etc/passwd"),
        member("m/link", tarfile.SYMTYPE, link="ok"),
        member("m/hard", tarfile.LNKTYPE, link="m/ok"),
        member("m/dev", tarfile.CHRTYPE),
        member("m/block", tarfile.BLKTYPE),
        member("m/pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda info: f"{info.type.decode()}-{info.linkname}",
)
def test_links_and_devices_are_refused(tmp_path: Path, info: tarfile.TarInfo) -> None:
    archive = tar(tmp_path / "a.tar", (member("m/ok"), b"x"), (info, b""))
    assert refused(archive, tmp_path / "out").reason == "ARCHIVE_UNSAFE"


def test_a_link_in_a_zip_is_refused_and_so_is_what_is_encrypted(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("m/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert refused(zipped(tmp_path / "a.zip", (link, b"/etc/passwd")), tmp_path / "out").reason == "ARCHIVE_UNSAFE"
    plain = zipped(tmp_path / "b.zip", ("m", b"x")).read_bytes()
    locked = plain.replace(b"PK\x03\x04\x14\x00\x00\x00", b"PK\x03\x04\x14\x00\x01\x00")
    locked = locked.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00")
    (tmp_path / "b.zip").write_bytes(locked)
    assert "encrypted" in refused(tmp_path / "b.zip", tmp_path / "out").message


@pytest.mark.parametrize(
    "names",
    [("m/a", "m/a"), ("m/a", "./m/a"), ("m", "m/a"), ("m/a", "m")],
)
def test_one_name_is_one_file(tmp_path: Path, names: tuple[str, str]) -> None:
    archive = tar(tmp_path / "a.tar", *((member(name), b"x") for name in names))
    assert refused(archive, tmp_path / "out").reason == "ARCHIVE_UNSAFE"


def test_a_file_is_not_made_a_folder_afterwards(tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar", (member("m"), b"x"), (member("m", tarfile.DIRTYPE), b""))
    assert refused(archive, tmp_path / "out").reason == "ARCHIVE_UNSAFE"


def test_too_many_files_and_too_many_bytes(tmp_path: Path) -> None:
    many = tar(tmp_path / "many.tar", *((member(f"f{number}"), b"") for number in range(11)))
    assert refused(many, tmp_path / "out").reason == "ARCHIVE_TOO_LARGE"
    for bomb in (
        tar(tmp_path / "bomb.tar", (member("zeros", size=3_000_000), b""), kind="bz2"),
        zipped(tmp_path / "bomb.zip", ("zeros", bytes(3_000_000))),
    ):
        assert bomb.stat().st_size < 10_000
        assert refused(bomb, tmp_path / "out").reason == "ARCHIVE_TOO_LARGE"


def test_a_header_of_absurd_size_is_not_read_into_memory(tmp_path: Path) -> None:
    info = member("x", tarfile.XHDTYPE)
    info.size = 10**10  # an extended header that would be 10 GB
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert refused(tmp_path / "a.tar", tmp_path / "out").reason == "ARCHIVE_TOO_LARGE"


def test_a_sparse_file_is_refused(tmp_path: Path) -> None:
    info = member("m/sparse", tarfile.GNUTYPE_SPARSE)
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    assert refused(tmp_path / "a.tar", tmp_path / "out").reason in ("ARCHIVE_UNSAFE", "ARCHIVE_DAMAGED")


@pytest.mark.parametrize("size", [-1, -512, -1024, -(2**40)])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_size_below_zero_leads_nowhere(tmp_path: Path, kind: bytes, size: int) -> None:
    info = member("m", kind)
    info.size = size
    header = info.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a.tar").write_bytes(member("ok", size=1).tobuf() + bytes(512) + header + bytes(2048))
    assert refused(tmp_path / "a.tar", tmp_path / "out").reason in ("ARCHIVE_DAMAGED", "ARCHIVE_TOO_LARGE")


def _cut(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])


def _flip(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(content)


@pytest.mark.parametrize("damage", [_cut, _flip])
@pytest.mark.parametrize("kind", [*TAR_KINDS[1:], "zip"])
def test_a_damaged_archive_is_said_to_be_one(tmp_path: Path, kind: str, damage: Callable[[Path], None]) -> None:
    noise = bytes((number * 7919) >> 5 & 0xFF for number in range(40_000))
    archive = tmp_path / "a"
    _ = zipped(archive, ("m", noise)) if kind == "zip" else tar(archive, (member("m"), noise), kind=kind)
    damage(archive)
    assert refused(archive, tmp_path / "out").reason == "ARCHIVE_DAMAGED"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"BZh9", b"<!doctype html>", bz2.compress(b"no tar")])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert refused(tmp_path / "a", tmp_path / "out").reason in ("ARCHIVE_UNKNOWN", "ARCHIVE_DAMAGED")


def test_an_empty_one_unpacks_to_nothing(tmp_path: Path) -> None:
    unpack(tar(tmp_path / "a", kind="gz"), tmp_path / "out", SMALL)
    assert not list((tmp_path / "out").iterdir())


def test_archives_are_known_by_how_they_begin(tmp_path: Path) -> None:
    (tmp_path / "a.tar.bz2").write_bytes(b"an onnx file")
    assert not is_archive(tmp_path / "a.tar.bz2")
    (tmp_path / "model.onnx").write_bytes(gzip.compress(b"x"))
    assert is_archive(tmp_path / "model.onnx")
    assert is_archive(tar(tmp_path / "plain", (member("x"), b"y")))
