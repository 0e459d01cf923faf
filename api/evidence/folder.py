"""Evidence in a folder: `public/ab/ab12….jpg` and `sealed/ab/ab12….mp4`, sealed for this user alone."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from api.errors import EvidenceMismatch, NotFound, OutOfSpace, TooLarge, Unacceptable
from api.evidence import MEDIA_TYPES, EvidenceFile
from detector.errors import Failure

CHUNK_BYTES: Final = 256 * 1024
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
SHA256: Final = re.compile(r"[0-9a-f]{64}")


class FolderEvidence:
    """Keep evidence in a folder, content-addressed.

    A file appears under its name only when it is whole, checked and on the disk (temporary name, fsync,
    rename, fsync of the folder). What a killed process left unfinished is removed at the next start.

    Raises:
        Failure: the folder cannot be made.
    """

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)
        try:
            for side, mode in (("public", 0o755), ("sealed", 0o700), ("incoming", 0o700)):
                folder = self._root / side
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(mode)
            for left in (self._root / "incoming").iterdir():
                _remove_stale(left)
        except OSError as error:
            raise Failure(f"the evidence folder {self._root} cannot be used: {error.strerror}.") from error

    def put(
        self, sha256: str, media_type: str, chunks: Iterable[bytes], *, sealed: bool, limit_bytes: int
    ) -> EvidenceFile:
        """Store a file whole or not at all."""
        target = self._path(sha256, media_type, sealed=sealed)
        known = self.find(sha256, sealed=sealed)
        if known is not None:
            _check(sha256, chunks, limit_bytes, None)
            return known
        try:
            size = self._write(target, sha256, chunks, limit_bytes)
        except OSError as error:
            if error.errno not in FULL:
                raise Failure(f"evidence could not be written: {error.strerror}.") from error
            raise OutOfSpace(
                f"no space is left for evidence in {self._root}: free some, then send again."
            ) from error
        return EvidenceFile(sha256, media_type, size, sealed, created=True)

    def _write(self, target: Path, sha256: str, chunks: Iterable[bytes], limit_bytes: int) -> int:
        handle, name = tempfile.mkstemp(dir=self._root / "incoming", prefix=f"{os.getpid()}-")
        try:
            try:
                size = _check(sha256, chunks, limit_bytes, handle)
                os.fchmod(handle, 0o600 if target.parts[-3] == "sealed" else 0o644)
                os.fsync(handle)
            finally:
                os.close(handle)
            if not target.parent.exists():
                target.parent.mkdir(exist_ok=True)
                _sync_folder(target.parent.parent)
            Path(name).replace(target)
            _sync_folder(target.parent)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return size

    def find(self, sha256: str, *, sealed: bool) -> EvidenceFile | None:
        """Give what is known of a file, None where it is not stored."""
        for media_type in MEDIA_TYPES:
            try:
                size = self._path(sha256, media_type, sealed=sealed).stat().st_size
            except FileNotFoundError:
                continue
            return EvidenceFile(sha256, media_type, size, sealed)
        return None

    def read(self, file: EvidenceFile, start: int, stop: int) -> Iterator[bytes]:
        """Give the bytes from start up to, not including, stop."""
        path = self._path(file.sha256, file.media_type, sealed=file.sealed)
        try:
            stream = path.open("rb")
        except FileNotFoundError as error:
            raise NotFound(f"evidence {file.sha256} is no longer stored.") from error
        with stream:
            stream.seek(start)
            left = stop - start
            while left > 0:
                chunk = stream.read(min(CHUNK_BYTES, left))
                if not chunk:
                    return
                left -= len(chunk)
                yield chunk

    def _path(self, sha256: str, media_type: str, *, sealed: bool) -> Path:
        if not SHA256.fullmatch(sha256):
            raise Unacceptable(f"{sha256[:80]!r} is no sha256: 64 hexadecimal digits in lower case are.")
        side = "sealed" if sealed else "public"
        return self._root / side / sha256[:2] / f"{sha256}{MEDIA_TYPES[media_type]}"


def _check(sha256: str, chunks: Iterable[bytes], limit_bytes: int, handle: int | None) -> int:
    """Copy chunks to a file (None: nowhere) while hashing; give the size, or raise."""
    digest = hashlib.sha256()
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit_bytes:
            raise TooLarge(f"evidence {sha256} is larger than the limit of {limit_bytes} bytes.")
        digest.update(chunk)
        if handle is not None:
            _write_all(handle, chunk)
    if size == 0:
        raise EvidenceMismatch(f"evidence {sha256} came without a single byte.")
    if digest.hexdigest() != sha256:
        raise EvidenceMismatch(f"evidence announced as {sha256} has the sha256 {digest.hexdigest()}.")
    return size


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_stale(left: Path) -> None:
    """Remove an unfinished upload whose process is gone; a second server on the same folder keeps its own."""
    pid = left.name.partition("-")[0]
    if not (pid.isdigit() and pid != str(os.getpid()) and Path(f"/proc/{pid}").exists()):
        left.unlink(missing_ok=True)
