"""A video file, decoded by PyAV (FFmpeg) at the rate the rules need."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from detector.errors import Failure
from detector.types import Image
from ingest.gate import Rate
from ingest.sources import SourceBase, SourceSettings
from ingest.sources.clock import StreamClock
from ingest.types import Frame

NOT_BEFORE = datetime(2000, 1, 1, tzinfo=UTC)
"""Cameras with a flat battery write 1904 or 1970."""


class FileSource(SourceBase):
    """Frames of one video file.

    The first frame's time is `starts_at` if given, else the container's creation_time, else the file's
    modification time; `time_basis` says which. All others follow by their presentation times.
    """

    live = False

    def __init__(self, source: str, source_id: str, settings: SourceSettings) -> None:
        """Open the file.

        Raises:
            Failure: the file is empty, cut off, no video, or of a codec that cannot be decoded.
        """
        super().__init__(source_id)
        self._path = Path(source)
        self._rate = Rate(settings.fps)
        self._container = open_video(self._path)
        try:
            self._stream = video_stream(self._container, self._path)
        except Failure:
            self._container.close()
            raise
        self._stream.thread_count = settings.threads
        self._clock = StreamClock(float(self._stream.average_rate or 0) or None)
        self.starts_at, self.time_basis = self._origin(settings.starts_at)
        self._closed = False

    def frames(self) -> Iterator[Frame]:
        """Give the frames that are due.

        Raises:
            Failure: not one picture could be decoded.
        """
        for picture in self._pictures():
            if self.stopped:
                return
            seconds = self._clock.seconds(picture.pts, picture.time_base)
            index = self.status.read
            self.status.read += 1
            if not self._rate.due(seconds):
                continue
            at = self.starts_at + timedelta(seconds=seconds)
            self.status.given += 1
            self.status.last_frame_at = at
            yield Frame(self.source_id, index, at, bgr(picture))
        self._check_complete()

    def close(self) -> None:
        """Let go of the file."""
        super().close()
        if not self._closed:
            self._closed = True
            self._container.close()

    def _pictures(self) -> Iterator[VideoFrame]:
        packets = self._container.demux(self._stream)
        while not self._closed:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                self.status.dropped["undecodable"] += 1
                return
            if packet is None:
                return
            try:
                pictures = packet.decode()
            except av.error.FFmpegError:
                self.status.dropped["undecodable"] += 1
                continue
            yield from pictures

    def _check_complete(self) -> None:
        read, expected = self.status.read, self._stream.frames
        if read == 0:
            raise Failure(f"No picture of {self._path} can be decoded: its video data is missing or damaged.")
        if expected and read < 0.98 * expected - 2:
            self.status.warn(
                f"{self._path} is cut short: {read} of {expected} frames are there; they were analysed."
            )
        elif self.status.dropped["undecodable"]:
            lost = self.status.dropped["undecodable"]
            self.status.warn(
                f"{self._path} is damaged: {lost} packets could not be decoded; the rest was analysed."
            )

    def _origin(self, given: datetime | None) -> tuple[datetime, str]:
        if given is not None:
            return given.astimezone(UTC), "given"
        created = _creation_time({**self._stream.metadata, **self._container.metadata}.get("creation_time"))
        if created is not None:
            return created, "creation_time"
        return datetime.fromtimestamp(self._path.stat().st_mtime, UTC), "mtime"


def open_video(path: Path) -> InputContainer:
    """Open a video file.

    Raises:
        Failure: it cannot be read, is empty, cut off before its index, or no video.
    """
    try:
        if path.stat().st_size == 0:
            raise Failure(f"{path} is empty (0 bytes); was the recording or the copy interrupted?")
        return av.open(str(path), metadata_errors="replace")
    except av.error.InvalidDataError as error:
        raise Failure(_why_invalid(path)) from error
    except (av.error.FFmpegError, OSError) as error:
        raise Failure(f"{path} cannot be opened: {error.strerror or error}.") from error


def _why_invalid(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(4096)
    if head[4:8] == b"ftyp":
        return (
            f"{path} is cut off: its index (moov) is missing, as when a recording is not ended properly; "
            "copy it again, or repair it with a tool such as untrunc."
        )
    if b"\0" not in head:
        return f"{path} is not a video: it holds text; give an mp4, mkv, avi, mov or ts file."
    return f"{path} is not a video, or is damaged at its beginning; give an mp4, mkv, avi, mov or ts file."


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Give the first video stream that has a decoder.

    Raises:
        Failure: there is none; the codec is named.
    """
    streams = [s for s in container.streams.video if Disposition.attached_pic not in s.disposition]
    if not streams:
        raise Failure(f"{path} holds no video stream; is it a sound recording?")
    stream = streams[0]
    # an unknown codec leaves the stream without a context, whatever the type stubs say
    if cast("object | None", stream.codec_context) is None:
        raise Failure(
            f"{path} has video of codec {_codec_name(path)}, which cannot be decoded; convert it to H.264."
        )
    return stream


def _codec_name(path: Path) -> str:
    """Read the sample entry's four letters from an mp4's stsd box; FFmpeg hides them for unknown ones."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for start in (0, max(0, size - (1 << 22))):
            file.seek(start)
            part = file.read(1 << 22)
            at = part.find(b"stsd")
            if at >= 0:
                letters = part[at + 16 : at + 20].decode("latin-1").strip()
                return repr(letters) if letters.isprintable() else "unknown"
    return "unknown"


def _creation_time(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        created = datetime.fromisoformat(text)
    except ValueError:
        return None
    if created.tzinfo is None:
        created = created.replace(tzinfo=UTC)
    return created.astimezone(UTC) if created >= NOT_BEFORE else None


def bgr(picture: VideoFrame) -> Image:
    """Give the picture upright as it is meant to be shown: uint8 (H, W, 3) BGR, read-only."""
    image = cast(Image, picture.to_ndarray(format="bgr24"))
    quarter_turns = round(picture.rotation / 90) % 4
    if quarter_turns:
        image = np.ascontiguousarray(np.rot90(image, quarter_turns))
    image.setflags(write=False)
    return image
