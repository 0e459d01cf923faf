"""Unpack what others sent, .zip or .tar(.gz): nothing outside the folder, no links, no bombs."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, cast

from detector.errors import Failure, WrongUse

_CHUNK = 2**20
_READ_MAX = 2**26
"""tarfile reads headers whole, whatever size they claim; none that is honest is larger than this."""

_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".tgz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".tar": lambda path: path.open("rb"),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may grow to.

    Args:
        entries: files and folders.
        total_bytes: of all files, unpacked.
        ratio: unpacked to packed; JPEG hardly shrinks and label text does so tenfold.
        ratio_from_bytes: the ratio counts once this much is unpacked.
    """

    entries: int = 500_000
    total_bytes: int = 100 * 2**30
    ratio: float = 100.0
    ratio_from_bytes: int = 64 * 2**20


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    is_folder: bool
    size: int
    content: IO[bytes] | None


def is_archive(path: Path) -> bool:
    """Say whether a file name is that of an archive.

    >>> is_archive(Path("a.tar.gz")), is_archive(Path("a.ZIP")), is_archive(Path("a.json"))
    (True, True, False)
    """
    name = path.name.lower()
    return name.endswith((".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz"))


def unpack(archive: Path, folder: Path, limits: Limits | None = None) -> None:
    """Unpack into `folder`, which must not exist; on any fault it is gone again.

    Raises:
        WrongUse: there is no such file.
        Failure: an entry leaves the folder, is a link or device, is there twice or encrypted; the whole is
            too large, shrinks too well to be honest, or is damaged.
    """
    if not archive.is_file():
        raise WrongUse(f"{archive}: there is no such file.")
    folder.mkdir()
    try:
        _unpack(archive, folder, limits or Limits())
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _unpack(archive: Path, folder: Path, limits: Limits) -> None:
    try:
        entries = _zip_entries if archive.suffix.lower() == ".zip" else _tar_entries
        _write(entries(archive), archive, folder, limits)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise Failure(f"{archive}: is damaged or no archive ({error}); fetch it again.") from error
    except (NotImplementedError, RuntimeError) as error:  # zipfile: compressed in a way it does not know
        raise Failure(f"{archive}: cannot be unpacked ({error}); pack it again as plain zip.") from error
    except OSError as error:
        raise Failure(f"{archive}: cannot be unpacked ({error}).") from error


def _write(entries: Iterator[_Entry], archive: Path, folder: Path, limits: Limits) -> None:
    packed, total, seen = max(1, archive.stat().st_size), 0, set[PurePosixPath]()
    for count, entry in enumerate(entries, 1):
        name = _safe_name(entry.name, archive)
        if count > limits.entries:
            raise Failure(f"{archive}: has more than {limits.entries} entries; that is no data set.")
        _check_size(total + entry.size, packed, archive, limits)
        target = folder.joinpath(*name.parts)
        if entry.is_folder:
            target.mkdir(parents=True, exist_ok=True)
            continue
        if name in seen:
            raise Failure(f"{archive}: holds {entry.name!r} twice; pack it again.")
        seen.add(name)
        if _is_junk(name):
            continue
        total += _copy(entry, target)
        _check_size(total, packed, archive, limits)


def _safe_name(text: str, archive: Path) -> PurePosixPath:
    """Give the name as a path below the folder.

    Raises:
        Failure: it is absolute, has a drive, leads upwards or holds a control character.
    """
    name = PurePosixPath(text.replace("\\", "/"))
    leads_out = name.is_absolute() or ".." in name.parts or bool(PureWindowsPath(text).drive)
    if leads_out:
        raise Failure(f"{archive}: the entry {text!r} leads out of the folder; nothing was unpacked.")
    if not text or any(ord(letter) < 32 for letter in text):
        raise Failure(f"{archive}: the entry {text!r} has no usable name; nothing was unpacked.")
    return name


def _is_junk(name: PurePosixPath) -> bool:
    """Say whether macOS put this beside the files; `._a.jpg` is no picture."""
    return name.parts[0] == "__MACOSX" or name.name == ".DS_Store" or name.name.startswith("._")


def _check_size(total: int, packed: int, archive: Path, limits: Limits) -> None:
    if total > limits.total_bytes:
        raise Failure(
            f"{archive}: unpacks to more than {limits.total_bytes // 2**20} MiB; send it in smaller parts."
        )
    if total > limits.ratio_from_bytes and total / packed > limits.ratio:
        raise Failure(
            f"{archive}: grows more than {limits.ratio:g} times when unpacked, which pictures never do; "
            "nothing was unpacked."
        )


def _copy(entry: _Entry, target: Path) -> int:
    """Write a file's content; give its size as it was, whatever the archive claimed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with target.open("xb") as file:
        while entry.content and (chunk := entry.content.read(_CHUNK)):
            size += len(chunk)
            if size > entry.size:
                raise tarfile.ReadError(f"{entry.name!r} is larger than it claims")
            file.write(chunk)
    return size


def _zip_entries(archive: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as packed:
        for info in packed.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise Failure(f"{archive}: {info.filename!r} is a link or device; pack plain files only.")
            if info.flag_bits & 1:
                raise Failure(f"{archive}: {info.filename!r} is encrypted; pack it without a password.")
            if info.is_dir():
                yield _Entry(info.orig_filename, is_folder=True, size=0, content=None)
                continue
            with packed.open(info) as content:
                yield _Entry(info.orig_filename, is_folder=False, size=info.file_size, content=content)


def _tar_entries(archive: Path) -> Iterator[_Entry]:
    opener = _OPENERS[archive.suffix.lower()]
    with (
        opener(archive) as stream,
        tarfile.open(fileobj=cast("IO[bytes]", _Bounded(stream)), mode="r:") as packed,
    ):
        for member in packed:
            if not (member.isfile() or member.isdir()):
                raise Failure(f"{archive}: {member.name!r} is a link or device; pack plain files only.")
            content = packed.extractfile(member) if member.isfile() else None
            yield _Entry(member.name, member.isdir(), member.size, content)


class _Bounded(io.RawIOBase):
    """A stream that refuses to be read in pieces larger than `_READ_MAX`."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= _READ_MAX:
            raise tarfile.ReadError(f"one header claims {size} bytes")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()
