"""Where frames come from: a video file, a camera by RTSP, a folder of stills.

A source is opened by `open_source` and closed by its `with` block; a new kind is one file and one line here.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self
from urllib.parse import urlsplit

from detector.errors import WrongUse
from ingest.sources.packets import Tape
from ingest.stages import StageClock
from ingest.types import Frame

if TYPE_CHECKING:
    from ingest.sources.scouting import Scout

log = logging.getLogger(__name__)

Decode = Literal["all", "follow", "lookback", "keys"]


@dataclass(slots=True)
class SourceStatus:
    """How a source is doing.

    Args:
        frames_in: pictures received, decoded or not.
        decoded: pictures decoded.
        given: frames handed over for analysis.
        dropped: frames that were due (or packets, or pictures) but not analysed, by reason: "still" (nothing
            changed, or others told what it shows), "late" (analysis was slower than the camera), "stale"
            (older than `age_max_s` when they came), "overload" (decoding was slower than the camera),
            "undecodable".
        reconnects: connections made after the first.
        last_frame_at: time of the last frame handed over, aware UTC.
        last_frame_s: when a picture was last received, by the monotonic clock; None before the first.
        queue_age_s: how long the frame handed over last had waited since its packet came.
        taken_at_s: time of the coded picture that was taken last, seconds since the epoch: what is analysed
            now is that one or lies before it. None: no live source, or none yet.
        clock_error_s: the camera's own clock against ours, where it says its time; None where it does not.
        connected: a live source has a connection now.
        resting: only key frames are decoded, because nothing changes.
        codec: FFmpeg's name of it. size_px: width and height of the stream.
        stages: seconds and counts of "decode" and "gate".
        warnings: one sentence each, for the end of the run.
    """

    frames_in: int = 0
    decoded: int = 0
    given: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    reconnects: int = 0
    last_frame_at: datetime | None = None
    last_frame_s: float | None = None
    queue_age_s: float = 0.0
    taken_at_s: float | None = None
    clock_error_s: float | None = None
    connected: bool = False
    resting: bool = False
    codec: str = ""
    size_px: tuple[int, int] | None = None
    stages: StageClock = field(default_factory=StageClock)
    warnings: list[str] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Pictures received: the index of the next one."""
        return self.frames_in

    def warn(self, sentence: str) -> None:
        """Keep and log a sentence."""
        log.warning("%s", sentence)
        self.warnings.append(sentence)


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """What may be said about a source; each kind reads what concerns it.

    Args:
        fps: analysed frames per second.
        starts_at: aware; time of the first frame of a file or of the first still. None: see the kind.
        tz: zone of camera clocks that do not say their own (EXIF). None: UTC.
        interval_s: fixed step between stills. None: their own times.
        threads: decoder threads of a file.
        connect_s: how long a first connection may take before giving up. None: for ever.
        open_timeout_s: of one attempt to connect.
        read_timeout_s: without a packet for so long, a connection is taken for lost.
        max_down_s: after so long without a connection, a live source ends. None: it goes on trying.
        backoff_s: first and longest pause between attempts.
        decode: "all" gives every frame that is due; "follow" those that differ from the last one in a
            watched zone, and decodes key frames only while nothing does; "lookback" key frames, and others
            where two of them say that something came to rest or left (see `ingest.gate`); "keys", for live
            cameras, the key frames that are due.
        watched: the zones, polygons in fractions of the frame; none: all of it.
        dwell_min_s: shortest dwell of the zones; key frames further apart are not waited for.
        age_max_s: a live frame that has waited longer than this is not analysed any more.
        decode_share_max: of one core; a live camera that takes more is decoded by its key frames only.
        decode_device: what decodes a live camera, or a file that is looked back on: see `hardware`.
        tape_s: how many seconds of packets are kept for evidence; 0: none.
    """

    fps: float = 5.0
    starts_at: datetime | None = None
    tz: tzinfo | None = None
    interval_s: float | None = None
    threads: int = 1
    connect_s: float | None = 30.0
    open_timeout_s: float = 10.0
    read_timeout_s: float = 10.0
    max_down_s: float | None = None
    decode_device: str | None = None
    backoff_s: tuple[float, float] = (0.5, 30.0)
    decode: Decode = "all"
    watched: tuple[tuple[tuple[float, float], ...], ...] = ()
    dwell_min_s: float = math.inf
    age_max_s: float = 1.0
    decode_share_max: float = 0.5
    tape_s: float = 10.0


class Source(Protocol):
    """Frames of one camera, increasing in time and index.

    `live`: frames come whether we are ready or not, so the source may drop; others wait for us.
    `tape`: the last seconds as they came, for evidence; None: this source has no packets.
    """

    live: bool
    status: SourceStatus
    tape: Tape | None

    @property
    def warnings(self) -> list[str]:
        """What went wrong without stopping the source, one sentence each."""
        ...

    def frames(self) -> Iterator[Frame]:
        """Give the analysed frames, once through.

        Raises:
            Failure: nothing can be read from the source.
        """
        ...

    def set_fps(self, fps: float) -> None:
        """Give so many frames per second from now on; may be called from another thread.

        Raises:
            WrongUse: `fps` is not above zero.
        """
        ...

    def attend(self, *, unsettled: bool, due: datetime | None = None) -> None:
        """Hear whether something in a watched zone moves or has just come: then nothing is skipped.

        Args:
            unsettled: it does.
            due: when a dwell will be reached: the next frame from then on shall be given.
        """
        ...

    def consult(self, scout: Scout) -> None:
        """Ask `scout` what is to be seen in a picture, where that decides which others are given.

        To be called before `frames`. Without it "lookback" follows like "follow".
        """
        ...

    def stop(self) -> None:
        """End `frames` soon; may be called from another thread and from a signal handler."""
        ...

    def close(self) -> None:
        """Stop and let go of the file or connection; a second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SourceBase:
    """What all sources share: status, warnings, the `with` block."""

    def __init__(self, source_id: str) -> None:
        self.source_id = source_id
        self.status = SourceStatus()
        self.tape: Tape | None = None
        self.stopped = False

    @property
    def warnings(self) -> list[str]:
        """What went wrong without stopping the source, one sentence each."""
        return self.status.warnings

    def set_fps(self, fps: float) -> None:
        """Stills come one by one, whatever the rate."""

    def attend(self, *, unsettled: bool, due: datetime | None = None) -> None:
        """Skip nothing anyway."""

    def consult(self, scout: Scout) -> None:
        """Give what is there, whatever it shows."""

    def stop(self) -> None:
        """End `frames` before its next frame."""
        self.stopped = True

    def close(self) -> None:
        """Stop; sources that hold something let go of it here."""
        self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


KINDS: Mapping[str, str] = {
    "file": "ingest.sources.file:FileSource",
    "images": "ingest.sources.images:ImagesSource",
    "rtsp": "ingest.sources.rtsp:RtspSource",
}


def kind_of(source: str) -> str:
    """Name the kind of a source by its look: an address, a folder, or else a file.

    Raises:
        WrongUse: an address of a scheme that nothing here reads, or a path that does not exist.

    >>> kind_of("rtsp://camera/1")
    'rtsp'
    """
    scheme = urlsplit(source).scheme.lower() if "://" in source else ""
    if scheme in {"rtsp", "rtsps"}:
        return "rtsp"
    if scheme:
        raise WrongUse(
            f"A source of scheme {scheme}:// cannot be read; give rtsp://, a video file or a folder."
        )
    path = Path(source)
    if not path.exists():
        raise WrongUse(
            f"There is no {source}; give a video file, a folder of pictures or an rtsp:// address."
        )
    return "images" if path.is_dir() else "file"


def open_source(
    source: str,
    source_id: str,
    fps: float = 5.0,
    starts_at: datetime | None = None,
    settings: SourceSettings | None = None,
) -> Source:
    """Open a source of the kind that `source` looks like.

    Args:
        source: path or address.
        source_id: the camera's id in the site file.
        fps: analysed frames per second; counts where `settings` is None, as does the next.
        starts_at: aware; time of the first frame.
        settings: everything that may be said.

    Raises:
        WrongUse: there is no such file, or nothing here reads such an address.
        Failure: it is there but cannot be read (for live sources: found out by `frames`).
    """
    if settings is None:
        settings = SourceSettings(fps=fps, starts_at=starts_at)
    if settings.starts_at is not None and settings.starts_at.tzinfo is None:
        raise WrongUse(f"starts_at {settings.starts_at} has no time zone; add one, such as +08:00.")
    module, name = KINDS[kind_of(source)].split(":")
    opened: Source = getattr(import_module(module), name)(source, source_id, settings)
    return opened
