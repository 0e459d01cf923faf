"""A folder of stills in name order, as patrol apps and time-lapse cameras leave them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from detector.errors import Failure, WrongUse
from detector.types import Image
from ingest.sources import SourceBase, SourceSettings
from ingest.sources.exif import picture_size, taken_at
from ingest.types import Frame

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
PIXELS_MAX = 100_000_000
"""A picture of 16k by 8k is above this: it would take 400 MB for the pixels alone."""


class ImagesSource(SourceBase):
    """Frames of a folder, every picture one frame.

    Times: `starts_at` and `interval_s` if given (the second alone counts from the first picture's own time),
    else each picture's EXIF DateTimeOriginal (with its OffsetTimeOriginal, else `tz`), else its modification
    time. A picture that would not be later than the one before is put a millisecond after it.
    """

    live = False

    def __init__(self, source: str, source_id: str, settings: SourceSettings) -> None:
        """List the folder.

        Raises:
            Failure: it holds no picture.
            WrongUse: `interval_s` is not above zero.
        """
        super().__init__(source_id)
        self._folder = Path(source)
        self._settings = settings
        if settings.interval_s is not None and not settings.interval_s > 0:
            raise WrongUse(
                f"interval_s is {settings.interval_s}; give the seconds between two pictures, above 0."
            )
        self.paths = sorted(
            path for path in self._folder.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES
        )
        if not self.paths:
            raise Failure(f"The folder {source} holds no pictures (jpg, png, bmp, webp or tif).")
        self._origin: datetime | None = (
            None if settings.starts_at is None else settings.starts_at.astimezone(UTC)
        )

    def frames(self) -> Iterator[Frame]:
        """Give every picture that can be read.

        Raises:
            Failure: not one of them can be read.
        """
        for index, path in enumerate(self.paths):
            if self.stopped:
                return
            self.status.frames_in += 1
            try:
                image = read_picture(path)
            except Failure as failure:
                self.status.dropped["undecodable"] += 1
                self.status.warn(f"Skipped: {failure}")
                continue
            at = self._time_of(index, path)
            self.status.given += 1
            self.status.last_frame_at = at
            yield Frame(self.source_id, index, at, image)
        if self.status.given == 0:
            raise Failure(f"None of the {len(self.paths)} pictures in {self._folder} can be read.")

    def _time_of(self, index: int, path: Path) -> datetime:
        step = self._settings.interval_s
        if self._origin is not None or step is not None:
            if self._origin is None:
                self._origin = self._own_time(self.paths[0])
            return self._origin + timedelta(
                seconds=index * (step if step is not None else 1 / self._settings.fps)
            )
        own, last = self._own_time(path), self.status.last_frame_at
        return own if last is None or own > last else last + timedelta(milliseconds=1)

    def _own_time(self, path: Path) -> datetime:
        with path.open("rb") as file:
            taken = taken_at(file.read(1 << 17), self._settings.tz or UTC)
        return taken or datetime.fromtimestamp(path.stat().st_mtime, UTC)


def read_picture(path: Path) -> Image:
    """Read one picture upright: uint8 (H, W, 3) BGR, read-only.

    Raises:
        Failure: it is missing, empty, broken, or above `PIXELS_MAX`.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}.") from error
    if not data:
        raise Failure(f"{path} is empty (0 bytes).")
    size = picture_size(data)
    if size is not None and size[0] * size[1] > PIXELS_MAX:
        raise Failure(
            f"{path} is {size[0]}x{size[1]} px; scale it down to {PIXELS_MAX // 1_000_000} megapixels."
        )
    try:
        image: Image | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise Failure(f"{path} is not a picture that can be decoded: {error.err}.") from error
    if image is None:
        raise Failure(f"{path} is not a picture, or is damaged.")
    image.setflags(write=False)
    return image
