"""A camera by RTSP, decoded by PyAV (FFmpeg) over TCP, reconnected for as long as the camera exists."""

from __future__ import annotations

import logging
import math
import random
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime

import av
import av.error
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from detector.errors import Failure
from ingest.gate import Rate
from ingest.sources import SourceBase, SourceSettings
from ingest.sources.clock import LiveClock
from ingest.sources.file import bgr
from ingest.types import Frame

log = logging.getLogger(__name__)

QUEUE_S = 2.0
"""Frames of so long may wait for analysis; then the oldest is dropped."""
LAG_MAX_S = 30.0
"""Further behind the camera than this, we drop the backlog by connecting anew."""
NOT_ALLOWED = (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)


def masked(address: str) -> str:
    r"""Give the address without name and password, for messages and logs.

    >>> masked("rtsp://admin:p@ss#1@10.0.0.9:554/live?channel=1&password=x")
    'rtsp://***@10.0.0.9:554/live?channel=1&password=***'
    """
    address = re.sub(r"(?<=://)\S*@", "***@", address)
    return re.sub(r"(?i)((?:pass(?:word|wd)?|pwd|token|key|secret)=)[^&/]*", r"\1***", address)


class RtspSource(SourceBase):
    """Frames of one camera, from a reader thread of its own.

    The reader decodes everything, for the stream must be followed without gaps; frames that are due go into a
    bounded queue, from which the oldest falls (counted as "late") when analysis is too slow. The end of the
    stream, an error and silence are all taken for loss, and the camera is called again, after a pause that
    doubles from `backoff_s[0]` to `backoff_s[1]`, with jitter. What a camera sends at first in a burst, from
    its last key frame on, is decoded and dropped as "stale". Times: see `LiveClock`.
    """

    live = True

    def __init__(self, source: str, source_id: str, settings: SourceSettings) -> None:
        """Prepare; the connection is made by `frames`."""
        super().__init__(source_id)
        self.name = masked(source)
        self._address = source
        self._settings = settings
        self._rate = Rate(settings.fps)
        self._clock = LiveClock()
        self._queue: deque[Frame] = deque()
        self._queue_max = max(2, math.ceil(QUEUE_S * settings.fps))
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = False
        self._failure: Failure | None = None

    def frames(self) -> Iterator[Frame]:
        """Give frames until `stop`, or until the camera is given up.

        Raises:
            Failure: the first connection did not come about in `connect_s`, or the camera wants a password.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name=f"rtsp {self.source_id}", daemon=True)
            self._thread.start()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._queue) or self._ended or self.stopped)
                if self.stopped or not self._queue:
                    break
                frame = self._queue.popleft()
            self.status.given += 1
            self.status.last_frame_at = frame.at
            yield frame
        if self._failure is not None and not self.stopped:
            raise self._failure

    def stop(self) -> None:
        """End `frames` at once; the reader follows when its present read returns."""
        super().stop()
        self._stop.set()
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Stop, and wait a moment for the reader."""
        self.stop()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    # -- the reader thread --

    def _read(self) -> None:
        try:
            self._keep_reading()
        except Failure as failure:
            self._failure = failure
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _keep_reading(self) -> None:
        """Connect, read until lost, pause, and again."""
        down_since, attempt = time.monotonic(), 0
        while not self._stop.is_set():
            before = self.status.read
            reason = self._read_once()
            if self.status.read > before:
                down_since, attempt = time.monotonic(), 0
            if self._stop.is_set():
                return
            down_s = time.monotonic() - down_since
            if self._given_up(down_s, reason):
                return
            pause = self._pause(attempt)
            log.warning("%s: %s; connecting again in %.1f s", self.name, reason, pause)
            self._stop.wait(pause)
            attempt += 1

    def _given_up(self, down_s: float, reason: str) -> bool:
        """Say whether to stop trying.

        Raises:
            Failure: there never was a picture.
        """
        if self.status.read:
            most = self._settings.max_down_s
            if most is None or down_s < most:
                return False
            self.status.warn(
                f"{self.name} was not to be reached for {down_s:.0f} s and is given up: {reason}."
            )
            return True
        most = self._settings.connect_s
        if most is None or down_s < most:
            return False
        raise Failure(
            f"{self.name} gave no picture in {down_s:.0f} s: {reason}; check address, camera and network."
        )

    def _pause(self, attempt: int) -> float:
        first, longest = self._settings.backoff_s
        return min(longest, first * 2.0 ** min(attempt, 30)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter

    def _read_once(self) -> str:
        """Read one connection until it is lost, and say why it was."""
        called = time.monotonic()
        try:
            container = self._connect()
        except NOT_ALLOWED as error:
            if not self.status.read:
                raise Failure(f"{self.name} refuses the name or password: {error.strerror}.") from error
            return str(error.strerror)
        except (av.error.FFmpegError, OSError) as error:
            # FFmpeg gives up waiting for an answer with "Invalid data found"
            waited = time.monotonic() - called
            patience = min(self._settings.open_timeout_s, self._settings.read_timeout_s)
            return f"no answer for {waited:.0f} s" if waited > 0.9 * patience else _words(error)
        try:
            with container:
                if not container.streams.video:
                    return "it sends no video"
                return self._follow(container, container.streams.video[0])
        except (av.error.FFmpegError, OSError) as error:
            if isinstance(error, av.error.ExitError | av.error.TimeoutError):
                return f"no picture for {self._settings.read_timeout_s:.0f} s"
            return _words(error)
        finally:
            self.status.connected = False

    def _connect(self) -> InputContainer:
        settings = self._settings
        options = {
            "rtsp_transport": "tcp",
            "allowed_media_types": "video",
            "timeout": str(int(settings.read_timeout_s * 1_000_000)),
        }
        timeout = (settings.open_timeout_s, settings.read_timeout_s)
        return av.open(self._address, options=options, timeout=timeout, metadata_errors="replace")

    def _follow(self, container: InputContainer, stream: VideoStream) -> str:
        stream.thread_count = 1
        self._clock.connected()
        self.status.connected = True
        self.status.reconnects += int(self.status.read > 0)
        for packet in container.demux(stream):
            if self._stop.is_set():
                return "stopped"
            try:
                pictures = packet.decode()
            except av.error.FFmpegError:
                self.status.dropped["undecodable"] += 1
                continue
            for picture in pictures:
                self._offer(picture)
            if self._clock.lag_s > LAG_MAX_S:
                return f"decoding is {self._clock.lag_s:.0f} s behind the camera"
        return "the stream ended"

    def _offer(self, picture: VideoFrame) -> None:
        raw_s = None
        if picture.pts is not None and picture.time_base is not None:
            raw_s = float(picture.pts * picture.time_base)
        seconds = self._clock.seconds(raw_s, time.time())
        index = self.status.read
        self.status.read += 1
        if not self._clock.settled:
            self.status.dropped["stale"] += 1
            return
        if not self._rate.due(seconds):
            return
        frame = Frame(self.source_id, index, datetime.fromtimestamp(seconds, UTC), bgr(picture))
        with self._changed:
            self._queue.append(frame)
            if len(self._queue) > self._queue_max:
                self._queue.popleft()
                self.status.dropped["late"] += 1
            self._changed.notify_all()


def _words(error: Exception) -> str:
    """Put an error into words; FFmpeg's own sentence may hold the address with its password."""
    return str(getattr(error, "strerror", None) or type(error).__name__)
