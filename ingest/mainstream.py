"""A camera's main stream, opened only while evidence may be wanted: its substream is what is analysed.

The main stream is called when something begins to count (a pre-alarm) and left when it has been reported or
come to nothing. Only its key frames are decoded, and the last one is kept; what counts stands still, so that
one shows it. Both streams carry wall-clock times by their own clocks; they may differ in size and in shape.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from detector.errors import Failure
from ingest.sources import Source, SourceSettings, open_source
from ingest.types import XYXY, Frame

log = logging.getLogger(__name__)

NEAR_S = 5.0
"""A key frame this far from the event's own frame still shows what stands there."""
LINGER_S = 5.0
"""How long the stream stays open once an event has been reported."""
SETTINGS = SourceSettings(decode="keys", fps=2.0, tape_s=0.0, connect_s=20.0, max_down_s=20.0)

Open = Callable[[str, str], Source]


def _open(address: str, camera_id: str) -> Source:
    return open_source(address, camera_id, settings=SETTINGS)


class MainStream:
    """Pictures of the main stream of one camera, while they are wanted.

    Args:
        address: rtsp:// of the main stream.
        camera_id: for messages.
        open_: opens it; a test gives another.
    """

    def __init__(self, address: str, camera_id: str, open_: Open = _open) -> None:
        self._address, self._camera_id, self._open = address, camera_id, open_
        self._lock = threading.Lock()
        self._until = 0.0
        self._latest: Frame | None = None
        self._source: Source | None = None
        self._thread: threading.Thread | None = None

    def want(self, seconds: float) -> None:
        """Open the stream, or keep it open, for so long; returns at once."""
        with self._lock:
            self._until = max(self._until, time.monotonic() + seconds)
            if self._thread is None:
                name = f"main {self._camera_id}"
                self._thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._thread.start()

    def at(self, moment: datetime) -> Frame | None:
        """Give the picture nearest to a moment, and let the stream go soon; None, with a warning: none."""
        with self._lock:
            frame, self._until = self._latest, min(self._until, time.monotonic() + LINGER_S)
        if frame is not None and abs((frame.at - moment).total_seconds()) <= NEAR_S:
            return frame
        log.warning(
            "%s: its main stream gave no picture in time; evidence is of the substream", self._camera_id
        )
        return None

    def close(self) -> None:
        """Let the stream go."""
        with self._lock:
            self._until, source, thread = 0.0, self._source, self._thread
        if source is not None:
            source.stop()
        if thread is not None:
            thread.join(timeout=2.0)

    def _run(self) -> None:
        try:
            with self._open(self._address, self._camera_id) as source:
                with self._lock:
                    self._source = source
                expiry = threading.Thread(target=self._expire, args=(source,), daemon=True)
                expiry.start()
                for frame in source.frames():
                    with self._lock:
                        self._latest = frame
        except Failure as failure:
            log.warning("%s: its main stream cannot be had: %s", self._camera_id, failure)
        finally:
            with self._lock:
                self._thread = self._source = self._latest = None

    def _expire(self, source: Source) -> None:
        """Stop the source when it is not wanted any more."""
        while not getattr(source, "stopped", False):
            with self._lock:
                left_s = self._until - time.monotonic()
            if left_s <= 0:
                source.stop()
                return
            time.sleep(min(left_s, 0.5))


def moved(xyxy: XYXY, wh: tuple[int, int], to_wh: tuple[int, int]) -> XYXY:
    """Give a box of one stream in pixels of the other: both show the same, at any size and shape.

    >>> moved((64, 36, 128, 72), (640, 360), (1920, 1440))
    (192.0, 144.0, 384.0, 288.0)
    """
    x, y = to_wh[0] / wh[0], to_wh[1] / wh[1]
    return xyxy[0] * x, xyxy[1] * y, xyxy[2] * x, xyxy[3] * y
