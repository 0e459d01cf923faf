"""A camera by RTSP, decoded by PyAV (FFmpeg) over TCP, reconnected for as long as the camera exists."""

from __future__ import annotations

import logging
import math
import random
import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import av
import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from detector.errors import Failure
from ingest.gate import ChangeWatch, Rate
from ingest.sources import SourceBase, SourceSettings
from ingest.sources.budget import DecodeBudget
from ingest.sources.clock import NOMINAL_FPS, LiveClock, clock_error_s
from ingest.sources.decoding import Decoding, Shown
from ingest.sources.inbox import Inbox
from ingest.sources.lookback import GAP_MAX_S
from ingest.sources.packets import LOOKED_BACK, Codec, Coded, Tape
from ingest.sources.scouting import Patience, Scout, Scouting
from ingest.types import Frame

log = logging.getLogger(__name__)

LAG_MAX_S = 30.0
"""Further behind the camera than this, we drop the backlog by connecting anew."""
PAUSE_S = 2.0
"""After a longer pause a packet counts as received when it was due: FFmpeg's parser keeps the last picture
before the pause, and gives it when reading fails."""
REST_S = 0.05, 0.2
"""Shortest and longest time for which the reader leaves pictures in the kernel."""
NOT_ALLOWED = (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)


def masked(address: str) -> str:
    r"""Give the address without name and password, for messages and logs.

    >>> masked("rtsp://admin:p@ss#1@10.0.0.9:554/live?channel=1&password=x")
    'rtsp://***@10.0.0.9:554/live?channel=1&password=***'
    """
    address = re.sub(r"(?<=://)\S*@", "***@", address)
    return re.sub(r"(?i)((?:pass(?:word|wd)?|pwd|token|key|secret)=)[^&/]*", r"\1***", address)


class RtspSource(SourceBase):
    """Frames of one camera; a reader thread takes its packets, whoever asks for frames decodes them.

    So the stream is followed without gaps whatever analysis does, and what waits is packets, not pictures.
    What has waited for over `age_max_s` is not analysed any more: the newest key frame comes next ("late").
    A stream whose decoding takes more than `decode_share_max` of a core is decoded by its key frames for a
    while ("overload"). What a camera sends at first in a burst, from its last key frame on, is "stale".

    The end of the stream, an error and silence are all taken for loss, and the camera is called again, after
    a pause that doubles from `backoff_s[0]` to `backoff_s[1]`, with jitter. Times: see `LiveClock`.
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
        self._inbox = Inbox()
        watches = settings.decode in {"follow", "lookback"}
        self._watch = ChangeWatch(settings.watched) if watches else None
        self._scout: Scout | None = None
        self._decoding: Decoding | None = None
        self._budget = DecodeBudget(settings.decode_share_max)
        self._thin = False
        self._cpu_s = 0.0
        self._index = -1
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: Failure | None = None
        if settings.tape_s:
            self.tape = Tape(settings.tape_s)

    def frames(self) -> Iterator[Frame]:
        """Give frames until `stop`, or until the camera is given up.

        Raises:
            Failure: the first connection did not come about in `connect_s`, or the camera wants a password.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name=f"rtsp {self.source_id}", daemon=True)
            self._thread.start()
        while not self.stopped and self._inbox.wait():
            while not self.stopped and (item := self._inbox.pop()) is not None:
                if isinstance(item, Codec):
                    self._begin(item)
                elif self._decoding is not None:
                    yield from self._frames_of(item, self._decoding)
        if self._failure is not None and not self.stopped:
            raise self._failure

    def set_fps(self, fps: float) -> None:
        """Give so many frames per second from now on."""
        self._rate.change(fps)

    def attend(self, *, unsettled: bool, due: datetime | None = None) -> None:
        """Skip nothing while something moves, nor what is due."""
        if self._decoding is not None:
            self._decoding.unsettled = unsettled
            self._decoding.due_s = math.inf if due is None else due.timestamp()

    def consult(self, scout: Scout) -> None:
        """Ask `scout` about key frames."""
        self._scout = scout

    # -- decoding, in the thread that asks for frames --

    def _begin(self, codec: Codec) -> None:
        if self._decoding is not None:
            self._cpu_s += self._decoding.cpu_s
        gap_s = min(GAP_MAX_S, self._settings.dwell_min_s) if codec.name in LOOKED_BACK else 0.0
        rate, status, watch = self._rate, self.status, self._watch
        if self._scout is not None and watch is not None and self._settings.decode == "lookback":
            patience = Patience(gap_s, self._settings.dwell_min_s, prompt=True)
            self._decoding = Scouting(self._scout, codec, rate, status, watch, patience)
        else:
            self._decoding = Decoding(codec, rate, status, watch, gap_max_s=gap_s)
        self._thin = False

    def _frames_of(self, coded: Coded, decoding: Decoding) -> Iterator[Frame]:
        self.status.taken_at_s = coded.seconds
        self._keep_up(coded, decoding)
        for shown in decoding.take(coded):
            yield self._frame(shown)
        self.status.resting = decoding.resting

    def _frame(self, shown: Shown) -> Frame:
        coded = shown.coded
        self._index = max(self._index + 1, coded.number)
        at = datetime.fromtimestamp(coded.seconds, UTC)
        self.status.given += 1
        self.status.last_frame_at = at
        self.status.queue_age_s = time.monotonic() - coded.arrived
        return shown.frame(self.source_id, self._index, at)

    def _keep_up(self, coded: Coded, decoding: Decoding) -> None:
        """Pass over what has become too old, and decode less if decoding is what takes too long."""
        now = time.monotonic()
        if self._settings.decode == "keys":
            if not self._thin:
                self._thin = True
                decoding.thin()
            return
        thin = self._budget.over(now, self._cpu_s + decoding.cpu_s)
        if thin and not self._thin:
            log.warning(
                "%s: decoding takes %.0f %% of a core; only its key frames are decoded for a while",
                self.name,
                100 * self._budget.share,
            )
            decoding.thin()
        elif self._thin and not thin:
            decoding.pass_over()
        self._thin = thin
        waits = decoding.resting and not coded.key
        late = not waits and now - coded.arrived > self._settings.age_max_s
        decoding.hurry = "late" if late else ""
        if late and not coded.key and (gone := self._inbox.to_newest_key()):
            decoding.pass_over()
            self.status.dropped["late"] += self._rate.slots(coded.seconds, gone[-1].seconds) + 1

    def stop(self) -> None:
        """End `frames` at once; the reader follows when its present read returns."""
        super().stop()
        self._stop.set()
        self._inbox.end()

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
            self._inbox.end()

    def _keep_reading(self) -> None:
        """Connect, read until lost, pause, and again."""
        down_since, attempt = time.monotonic(), 0
        while not self._stop.is_set():
            before = self.status.frames_in
            reason = self._read_once()
            if self.status.frames_in > before:
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
        if self.status.frames_in:
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
            if not self.status.frames_in:
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
            "fpsprobesize": "0",  # the rate is not asked for: a second less until the first picture
            "timeout": str(int(settings.read_timeout_s * 1_000_000)),
        }
        timeout = (settings.open_timeout_s, settings.read_timeout_s)
        return av.open(self._address, options=options, timeout=timeout, metadata_errors="replace")

    def _follow(self, container: InputContainer, stream: VideoStream) -> str:
        codec = Codec.of(stream, self._settings.decode_device)
        self.status.codec = codec.name
        self._clock.connected()
        self.status.connected = True
        self.status.reconnects += int(self.status.frames_in > 0)
        number = 0 if self.tape is None else self.tape.begin(codec)
        self._inbox.put(codec, wake=True)
        step = round(1 / float(stream.average_rate or NOMINAL_FPS) / codec.time_base)
        for packet in timed((packet for packet in container.demux(stream) if packet.size), step):
            if self._stop.is_set():
                return "stopped"
            coded = self._take(packet, codec, number)
            if coded.key and coded.fresh:
                start_us = getattr(container, "start_time_realtime", None)  # from PyAV 18.1 on
                raw_s = float(coded.pts * codec.time_base)
                self.status.clock_error_s = clock_error_s(start_us, raw_s, coded.seconds)
            self._rest(coded)
            if self._clock.lag_s > LAG_MAX_S:
                return f"the network is {self._clock.lag_s:.0f} s behind the camera"
        return "the stream ended"

    def _rest(self, coded: Coded) -> None:
        """Let what is not due collect in the kernel: 5 pictures at a time cost half of 25 one by one.

        The next picture that is due wakes the reader as it comes; a key frame may lie for up to REST_S.
        """
        if coded.fresh:
            rest_s = min(REST_S[1], self._rate.next_s(coded.seconds) - time.time())
            if rest_s >= REST_S[0]:
                self._stop.wait(rest_s)

    def _take(self, packet: Packet[Any], codec: Codec, stream: int) -> Coded:
        """Give a packet its time; put it on the tape and into the inbox; give it as it is there."""
        arrived, now = time.time(), time.monotonic()
        self.status.frames_in += 1
        pts = packet.pts or 0
        coded = Coded(
            packet=packet,
            pts=pts,
            seconds=self._clock.packet_seconds(float(pts * codec.time_base), arrived),
            key=packet.is_keyframe,
            size=packet.size,
            number=self.status.frames_in - 1,
            arrived=now,
            fresh=self._clock.settled,
            stream=stream,
        )
        paused = now - (self.status.last_frame_s or 0.0) > PAUSE_S
        self.status.last_frame_s = now - max(0.0, arrived - coded.seconds) if paused else now
        if self.tape is not None:
            self.tape.add(coded)
        worth = coded.key or (not self.status.resting and self._rate.awaits(coded.seconds))
        gone = self._inbox.put(coded, wake=worth)
        self.status.dropped["late"] += self._rate.slots(0.0, gone / 25)
        return coded


def timed(packets: Iterator[Packet[Any]], step: int) -> Iterator[Packet[Any]]:
    """Give packets without a presentation time one: the first of a connection often have none.

    Args:
        packets: in decoding order.
        step: usual distance of two pictures, units of their time base.
    """
    waiting: list[Packet[Any]] = []
    last: int | None = None
    for packet in packets:
        if packet.pts is None and last is not None:
            packet.pts = last + step
        if packet.pts is None:
            waiting.append(packet)
            continue
        for place, early in enumerate(waiting):
            early.pts = packet.pts - step * (len(waiting) - place)
            yield early
        waiting.clear()
        last = packet.pts
        yield packet


def _words(error: Exception) -> str:
    """Put an error into words; FFmpeg's own sentence may hold the address with its password."""
    return str(getattr(error, "strerror", None) or type(error).__name__)
