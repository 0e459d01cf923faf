"""A video file, decoded by PyAV (FFmpeg) at the rate the rules need."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, cast

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from detector.errors import Failure
from ingest.gate import ChangeWatch, Rate
from ingest.sources import SourceBase, SourceSettings
from ingest.sources.clock import PacketClock, StreamClock
from ingest.sources.decoding import Decoding, Shown
from ingest.sources.lookback import GAP_MAX_S
from ingest.sources.packets import LOOKED_BACK, Codec, Coded, Tape
from ingest.sources.picture import DecodedPicture, quarter_turns_of
from ingest.sources.scouting import Patience, Scout, Scouting
from ingest.sources.turns import Turn
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
        self._settings = settings
        self._rate = Rate(settings.fps)
        self._container = open_video(self._path)
        try:
            self._stream = video_stream(self._container, self._path)
        except Failure:
            self._container.close()
            raise
        self._stream.thread_count = settings.threads
        self._nominal_fps = float(self._stream.average_rate or 0) or None
        self.starts_at, self.time_basis = self._origin(settings.starts_at)
        self._closed = False
        self._decoding: Decoding | None = None
        self._scout: Scout | None = None
        self._codec = Codec.of(self._stream, settings.decode_device)
        self.status.codec = self._codec.name
        if settings.tape_s and self._codec.name in LOOKED_BACK:
            self.tape = Tape(settings.tape_s)
            self.tape.begin(self._codec)
        self._packet_clock = PacketClock(self._nominal_fps)

    def frames(self) -> Iterator[Frame]:
        """Give the frames that are due (decode "lookback": and differ).

        Raises:
            Failure: not one picture could be decoded.
        """
        looks_back = self._settings.decode in {"follow", "lookback"} and self._codec.name in LOOKED_BACK
        packets = self._packets()
        first = next(packets, None)
        if first is not None:
            both = chain([first], packets)
            timed = first.pts is not None
            yield from self._looked_back(both) if looks_back and timed else self._everything(both)
        if not self.stopped:
            self._check_complete()

    def set_fps(self, fps: float) -> None:
        """Give so many frames per second from now on."""
        self._rate.change(fps)

    def attend(self, *, unsettled: bool, due: datetime | None = None) -> None:
        """Skip nothing while something moves, nor what is due."""
        if self._decoding is not None:
            self._decoding.unsettled = unsettled
            self._decoding.due_s = math.inf if due is None else (due - self.starts_at).total_seconds()

    def consult(self, scout: Scout) -> None:
        """Ask `scout` about key frames."""
        self._scout = scout

    def _everything(self, packets: Iterator[Packet[Any]]) -> Iterator[Frame]:
        clock = StreamClock(self._nominal_fps)
        index = 0
        for picture in self._pictures(packets):
            if self.stopped:
                return
            seconds = clock.seconds(picture.pts, picture.time_base)
            index += 1
            if not self._rate.due(seconds):
                continue
            mark = None if self.tape is None or picture.pts is None else (self.tape.stream, picture.pts)
            at = self._given(seconds)
            yield Frame(self.source_id, index - 1, at, picture=DecodedPicture(picture), mark=mark)

    def _looked_back(self, packets: Iterator[Packet[Any]]) -> Iterator[Frame]:
        settings = self._settings
        watch = ChangeWatch(settings.watched)
        gap_s = min(GAP_MAX_S, settings.dwell_min_s)
        if self._scout is not None and settings.decode == "lookback":
            patience = Patience(gap_s, settings.dwell_min_s)
            self._decoding = Scouting(self._scout, self._codec, self._rate, self.status, watch, patience)
        else:
            self._decoding = Decoding(self._codec, self._rate, self.status, watch, gap_max_s=gap_s)
        if self._codec.device is None:
            self._decoding.lend(self._stream.codec_context)
        else:
            self._decoding.quarter_turns = _quarter_turns(self._path)
        with Turn() as turn:
            for packet in packets:
                coded = self._coded(packet)
                if coded is not None:
                    if coded.key:
                        turn.again()
                    yield from self._shown(self._decoding.take(coded))
                if self.stopped:
                    return
            yield from self._shown(self._decoding.finish())

    def _shown(self, shown: Iterator[Shown]) -> Iterator[Frame]:
        last = -1
        for one in shown:
            last = max(last + 1, one.coded.number)
            yield one.frame(self.source_id, last, self._given(one.coded.seconds))

    def _given(self, seconds: float) -> datetime:
        """Count a frame as given, and give its time."""
        at = self.starts_at + timedelta(seconds=seconds)
        self.status.given += 1
        self.status.last_frame_at = at
        return at

    def close(self) -> None:
        """Let go of the file."""
        super().close()
        if not self._closed:
            self._closed = True
            self._container.close()

    def _packets(self) -> Iterator[Packet[Any]]:
        """Give the packets of pictures; all of them go on the tape."""
        packets = self._container.demux(self._stream)
        while not self._closed:
            try:
                packet = next(packets, None)
            except av.error.FFmpegError:
                self.status.dropped["undecodable"] += 1
                return
            if packet is None:
                return
            if packet.size:
                self.status.frames_in += 1
                self.status.last_frame_s = time.monotonic()
            yield packet

    def _coded(self, packet: Packet[Any]) -> Coded | None:
        """Give a packet its time and put it on the tape; None: it has no time or holds nothing."""
        if packet.pts is None or not packet.size:
            return None
        key = packet.is_keyframe
        coded = Coded(
            packet=packet,
            pts=packet.pts,
            seconds=self._packet_clock.seconds(packet.pts, self._codec.time_base, key=key),
            key=key,
            size=packet.size,
            number=self.status.frames_in - 1,
            arrived=self.status.last_frame_s or 0.0,
            stream=0 if self.tape is None else self.tape.stream,
        )
        if self.tape is not None:
            self.tape.add(coded)
        return coded

    def _pictures(self, packets: Iterator[Packet[Any]]) -> Iterator[VideoFrame]:
        for packet in packets:
            if self.tape is not None:
                self._coded(packet)
            try:
                with self.status.stages.span("decode"):
                    pictures = packet.decode()
            except av.error.FFmpegError:
                self.status.dropped["undecodable"] += 1
                continue
            self.status.decoded += len(pictures)
            for picture in pictures:
                self.status.size_px = picture.width, picture.height
                yield picture

    def _check_complete(self) -> None:
        read = self.status.decoded if self._decoding is None else self.status.frames_in
        expected = self._stream.frames
        if self.status.decoded == 0:
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


def _quarter_turns(path: Path) -> int:
    """Decode the first picture; give how the file says that it is to be turned, see `DecodedPicture`."""
    with open_video(path) as container:
        try:
            picture = next(container.decode(video_stream(container, path)), None)
        except av.error.FFmpegError:
            return 0
    return 0 if picture is None else quarter_turns_of(picture)


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
