"""Pictures and clips that prove an event, stored by content; `ingest.recorder` makes them.

Public pictures lie in the open, the originals of far still and clip apart, in `sealed/`.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal
from uuid import uuid4

from detector.errors import Failure
from ingest.report import EvidenceRef, Role

MediaType = Literal["image/jpeg", "video/mp4"]
SUFFIX: dict[MediaType, str] = {"image/jpeg": ".jpg", "video/mp4": ".mp4"}


@dataclass(frozen=True, slots=True)
class Piece:
    """One picture or clip, not yet stored. See `EvidenceRef` for the fields."""

    role: Role
    data: bytes
    media_type: MediaType
    frame_index: int
    at: datetime
    sealed: bool = False


class EvidenceWriter:
    """Store evidence under `folder` by content: `<sha[:2]>/<sha>.jpg`, originals under `sealed/`.

    A file is there wholly or not at all, and on the disk before `put` returns. Putting it twice is once.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folders.

        Raises:
            Failure: they cannot be made.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "sealed").mkdir(mode=0o700, exist_ok=True)
            (folder / "sealed").chmod(0o700)
        except OSError as error:
            raise _cannot_write(folder, error) from error

    def put(self, piece: Piece) -> EvidenceRef:
        """Store one piece.

        Raises:
            Failure: the disk is full or cannot be written; nothing half-written is left, try again later.
        """
        ref = EvidenceRef(
            role=piece.role,
            sha256=hashlib.sha256(piece.data).hexdigest(),
            media_type=piece.media_type,
            size_bytes=len(piece.data),
            sealed=piece.sealed,
            frame_index=piece.frame_index,
            at=piece.at,
        )
        path = self.path_of(ref)
        if path.is_file() and path.stat().st_size == ref.size_bytes:
            return ref
        try:
            _write_whole(path, piece.data, 0o600 if piece.sealed else 0o644)
        except OSError as error:
            raise _cannot_write(self.folder, error) from error
        return ref

    def put_all(self, pieces: Iterable[Piece]) -> tuple[EvidenceRef, ...]:
        """Store all pieces of an event; after a `Failure` the same call may be made again."""
        return tuple(self.put(piece) for piece in pieces)

    def path_of(self, ref: EvidenceRef) -> Path:
        """Give where the piece lies."""
        root = self.folder / "sealed" if ref.sealed else self.folder
        return root / ref.sha256[:2] / (ref.sha256 + SUFFIX[ref.media_type])


def _write_whole(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(mode=0o755 if mode & 0o044 else 0o700, exist_ok=True)
    draft = path.with_name(f".{uuid4().hex}.tmp")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(folder: Path, error: OSError) -> Failure:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Failure(
            f"The disk that holds {folder} is full; free some space: nothing is lost, it is tried again."
        )
    return Failure(f"Evidence cannot be written to {folder}: {error.strerror or error}; make it writable.")
