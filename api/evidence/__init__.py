"""EvidenceStore: where pictures and clips lie, by content. Protocol and kinds only."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol, cast

from detector.errors import WrongUse

KINDS: Final = MappingProxyType({"folder": "api.evidence.folder:FolderEvidence"})

MEDIA_TYPES: Final = MappingProxyType({"image/jpeg": ".jpg", "video/mp4": ".mp4"})
"""What evidence may be, and the suffix it is kept under."""


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """A stored file. `created` is False where it had been stored before."""

    sha256: str
    media_type: str
    size_bytes: int
    sealed: bool
    created: bool = False


class EvidenceStore(Protocol):
    """Where evidence lies: public copies and sealed originals apart, each under its sha256."""

    def put(
        self, sha256: str, media_type: str, chunks: Iterable[bytes], *, sealed: bool, limit_bytes: int
    ) -> EvidenceFile:
        """Store a file whole or not at all; storing it twice is storing it once.

        Raises:
            EvidenceMismatch: the bytes have another sha256, or there are none. TooLarge: over the limit.
            OutOfSpace: the disk is full. Whatever is raised, nothing is left behind.
        """

    def find(self, sha256: str, *, sealed: bool) -> EvidenceFile | None:
        """Give what is known of a file, None where it is not stored (on that side)."""

    def read(self, file: EvidenceFile, start: int, stop: int) -> Iterator[bytes]:
        """Give the bytes from start up to, not including, stop."""


def open_evidence(kind: str, address: str) -> EvidenceStore:
    """Open an evidence store.

    Raises:
        WrongUse: no such kind. Failure: the store cannot be opened.
    """
    if kind not in KINDS:
        raise WrongUse(f"there is no evidence store of kind {kind!r}; there are {', '.join(sorted(KINDS))}.")
    module, _, name = KINDS[kind].partition(":")
    return cast("EvidenceStore", getattr(importlib.import_module(module), name)(address))
