"""What others send: unpacked whole, or refused with nothing left behind."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from detector.errors import Failure, WrongUse
from training.dataset.archive import Limits, is_archive, unpack

FILES = {"set/images/a.png": b"picture", "set/labels/a.txt": b"0 0.5 0.5 1 1\n"}


def a_zip(path: Path, files: dict[str, bytes], **attributes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in attributes.items():
                setattr(info, key, value)
            packed.writestr(info, data)
    return path


def a_tar(path: Path, files: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix in {".gz", ".tgz"} else "w") as packed:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(data), "/etc/passwd"
            packed.addfile(info, io.BytesIO(data) if kind == tarfile.REGTYPE else None)
    return path


def pack(path: Path, files: dict[str, bytes]) -> Path:
    return a_zip(path, files) if path.suffix == ".zip" else a_tar(path, files)


KINDS = ["a.zip", "a.tar", "a.tar.gz", "a.tgz"]


def everything_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", KINDS)
def test_files_come_out_as_they_went_in(name, tmp_path):
    assert is_archive(Path(name))
    unpack(pack(tmp_path / name, FILES), tmp_path / "out")
    assert everything_below(tmp_path / "out") == FILES


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    "bad",
    [
        "../evil.txt",
        "set/../../evil.txt",
        "/tmp/evil.txt",
        "..\\evil.txt",
        "C:\\evil.txt",
        "C:evil.txt",
        "\\evil",
    ],
)
def test_names_that_lead_out_are_refused_and_nothing_is_left(name, bad, tmp_path):
    archive = pack(tmp_path / name, {**FILES, bad: b"evil"})
    before = everything_below(tmp_path)
    with pytest.raises(Failure, match=r"leads out of the folder; nothing was unpacked"):
        unpack(archive, tmp_path / "out")
    assert everything_below(tmp_path) == before
    assert not (tmp_path / "out").exists()
    assert not (tmp_path.parent / "evil.txt").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind, tmp_path):
    with pytest.raises(Failure, match=r"'x.png' is a link or device"):
        unpack(a_tar(tmp_path / "a.tar", {"x.png": b""}, kind), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_in_a_zip_are_refused(tmp_path):
    archive = a_zip(tmp_path / "a.zip", {"x.png": b"/etc/passwd"}, external_attr=(stat.S_IFLNK | 0o777) << 16)
    with pytest.raises(Failure, match=r"'x.png' is a link or device"):
        unpack(archive, tmp_path / "out")


GROWING = Limits(ratio=2, ratio_from_bytes=1000)


@pytest.mark.parametrize(
    ("name", "limits", "said"),
    [
        *((name, Limits(entries=1), "more than 1 entries") for name in KINDS),
        *((name, Limits(total_bytes=10), "unpacks to more than 0 MiB") for name in KINDS),
        *((name, GROWING, "grows more than 2 times") for name in KINDS if name != "a.tar"),
    ],
)
def test_bombs_are_refused(name, limits, said, tmp_path):
    archive = pack(tmp_path / name, {"a.txt": b"0" * 100, "b.txt": bytes(100_000)})
    with pytest.raises(Failure, match=said):
        unpack(archive, tmp_path / "out", limits)
    assert not (tmp_path / "out").exists()


def test_a_zip_that_lies_about_a_size_is_refused(tmp_path):
    archive = a_zip(tmp_path / "a.zip", {"a.txt": bytes(100_000)})
    data = bytearray(archive.read_bytes())
    at = data.rindex(b"PK\x01\x02") + 24
    data[at : at + 4] = (10).to_bytes(4, "little")
    archive.write_bytes(data)
    with pytest.raises(Failure, match="is damaged"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tar_header_that_claims_gigabytes_is_not_read(tmp_path):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**30
    (tmp_path / "a.tgz").write_bytes(gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + bytes(2**16)))
    with pytest.raises(Failure, match="is damaged"):
        unpack(tmp_path / "a.tgz", tmp_path / "out")


def test_an_encrypted_zip_says_so(tmp_path):
    archive = a_zip(tmp_path / "a.zip", FILES)
    data = bytearray(archive.read_bytes())
    at = data.index(b"PK\x01\x02") + 8
    data[at] |= 1
    archive.write_bytes(data)
    with pytest.raises(Failure, match="is encrypted; pack it without a password"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("name", KINDS)
def test_half_an_archive_is_damaged(name, tmp_path):
    archive = pack(tmp_path / name, {"a.png": bytes(range(256)) * 400})
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(Failure, match="is damaged"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", KINDS)
def test_what_macos_adds_is_left_out(name, tmp_path):
    archive = pack(
        tmp_path / name, {**FILES, "__MACOSX/set/._a.png": b"x", "set/.DS_Store": b"x", "set/._b.png": b"x"}
    )
    unpack(archive, tmp_path / "out")
    assert everything_below(tmp_path / "out") == FILES


def test_the_same_name_twice_is_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as packed:
        packed.addfile(tarfile.TarInfo("a.txt"))
        packed.addfile(tarfile.TarInfo("a.txt"))
    with pytest.raises(Failure, match=r"holds 'a.txt' twice"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


def test_a_missing_archive_is_wrong_use(tmp_path):
    with pytest.raises(WrongUse, match="there is no such file"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
