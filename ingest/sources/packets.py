"""Coded pictures as they come, and the tape of the last seconds, from which evidence is cut."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeAlias, cast

import av
import av.error
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ingest.sources.hardware import hwaccel_or_none

Mark: TypeAlias = tuple[int, int]
"""Where a picture lies: number of the stream (another with every connection) and presentation time."""

TAPE_BYTES_MAX = 8 << 20
LOOKED_BACK = frozenset({"h264", "hevc"})
"""Codecs whose key frames, order and references are known well enough to decode less than everything."""


@dataclass(frozen=True, slots=True)
class Codec:
    """What a decoder must know of a stream.

    Args:
        name: FFmpeg's name of the codec. extradata: parameter sets.
        time_base: seconds per unit of presentation times.
        device: what decodes; see `hardware.hwaccel_or_none`.
    """

    name: str
    extradata: bytes | None
    time_base: Fraction
    device: str | None = None

    @classmethod
    def of(cls, stream: VideoStream, device: str | None = None) -> Codec:
        """Read it from a stream."""
        context = stream.codec_context
        return cls(context.name, context.extradata, stream.time_base or Fraction(1, 90_000), device)

    @property
    def on_device(self) -> bool:
        """Whether something else than the CPU decodes."""
        return hwaccel_or_none(self.device) is not None

    def open(self, *, fast: bool = False) -> VideoCodecContext:
        """Give a new decoder of one thread.

        Args:
            fast: leave out the loop filter: a quarter of the time, edges of blocks show. Not for evidence.
        """
        accel = hwaccel_or_none(self.device)
        context = cast(VideoCodecContext, VideoCodecContext.create(self.name, "r", hwaccel=accel))
        context.extradata = self.extradata
        context.thread_count = 1
        if fast:
            context.options = {"skip_loop_filter": "all"}
        return context


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """One coded picture.

    Args:
        packet: PyAV's. pts: presentation time in units of the stream. stream: see `Mark`.
        seconds: when it is shown, in the source's own scale. key: it can be decoded alone.
        number: how many came before it. arrived: when it came, by the monotonic clock.
        fresh: False for what a camera sends at first, from before we called.
    """

    packet: Packet[Any]
    pts: int
    seconds: float
    key: bool
    size: int
    number: int = 0
    arrived: float = 0.0
    fresh: bool = True
    stream: int = 0

    @property
    def mark(self) -> Mark:
        """Where it lies on the tape."""
        return self.stream, self.pts


@dataclass(slots=True)
class _Group:
    """A key frame and what follows up to the next one."""

    items: list[Coded]
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece of tape, from a key frame on.

    Args:
        codec: for its decoder. items: in decoding order, the first one a key frame.
        since, until: first and last presentation time meant; what lies before is there to decode from.
    """

    codec: Codec
    items: tuple[Coded, ...] = field(repr=False)
    since: int
    until: int

    def pictures(self, runs: Sequence[Sequence[Coded]] | None = None) -> Iterator[tuple[Coded, VideoFrame]]:
        """Decode it, in order of showing; what cannot be decoded is left out.

        Args:
            runs: what of it, each a key frame and pictures after it; None: all.
        """
        context = self.codec.open()
        for run in (self.items,) if runs is None else runs:
            since = max(self.since, run[0].pts)
            by_time = {item.pts: item for item in run if since <= item.pts <= self.until}
            for packet in (*(item.packet for item in run), None):
                try:
                    pictures = context.decode(packet)
                except av.error.FFmpegError:
                    continue
                for picture in pictures:
                    item = by_time.get(picture.pts) if picture.pts is not None else None
                    if item is not None:
                        yield item, picture
            context.flush_buffers()

    def groups(self) -> list[tuple[Coded, ...]]:
        """Give its groups of pictures: key frame to key frame."""
        starts = [place for place, item in enumerate(self.items) if item.key] or [0]
        return [self.items[a:b] for a, b in pairwise([*starts, len(self.items)])]


class Tape:
    """The coded pictures of the last `keep_s` seconds, as they came; safe between two threads.

    It begins with a key frame always, so it holds up to a group of pictures more. What does not fit into
    `bytes_max` goes: whole groups, the oldest first. A single group above that is given up, and nothing is
    held until the next key frame.
    """

    def __init__(self, keep_s: float = 10.0, bytes_max: int = TAPE_BYTES_MAX) -> None:
        self.codec: Codec | None = None
        self.stream = 0
        self._keep_s, self._bytes_max = keep_s, bytes_max
        self._groups: deque[_Group] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """How much it holds."""
        return self._bytes

    def begin(self, codec: Codec) -> int:
        """Start anew with another stream; give its number."""
        with self._lock:
            self.codec, self.stream = codec, self.stream + 1
            self._groups.clear()
            self._bytes = 0
            return self.stream

    def add(self, item: Coded) -> None:
        """Take the next coded picture."""
        with self._lock:
            if item.key:
                if self._groups and item.pts <= self._newest():  # times start again
                    self._groups.clear()
                    self._bytes = 0
                self._groups.append(_Group([]))
            if not self._groups:
                return
            group = self._groups[-1]
            group.items.append(item)
            group.bytes += item.size
            self._bytes += item.size
            self._trim(item.seconds - self._keep_s)

    def _trim(self, since_s: float) -> None:
        groups = self._groups
        while len(groups) > 1 and (self._bytes > self._bytes_max or groups[1].items[0].seconds <= since_s):
            self._bytes -= groups.popleft().bytes
        if self._bytes > self._bytes_max:
            groups.clear()
            self._bytes = 0

    def holds(self, mark: Mark | None) -> bool:
        """Say whether a picture can be decoded from the tape now."""
        with self._lock:
            if mark is None or mark[0] != self.stream or not self._groups:
                return False
            return self._groups[0].items[0].pts <= mark[1] <= self._newest()

    def cut(self, until: Mark | None, length_s: float) -> Cut | None:
        """Give the last `length_s` seconds before a picture, and that picture; less where it holds less.

        None: it does not hold the picture.
        """
        with self._lock:
            if until is None or self.codec is None or until[0] != self.stream or not self._groups:
                return None
            first = self._groups[0].items[0].pts
            since = max(first, until[1] - round(length_s / self.codec.time_base))
            groups = [group for group in self._groups if group.items[0].pts <= until[1]]
            if until[1] < first or until[1] > self._newest():
                return None
            while len(groups) > 1 and groups[1].items[0].pts <= since:
                groups.pop(0)
            items = [item for group in groups for item in group.items]
        last = max(place for place, item in enumerate(items) if item.pts <= until[1])
        return Cut(self.codec, tuple(items[: last + 1]), since, until[1])

    def key_of(self, mark: Mark | None) -> Cut | None:
        """Give the key frame at or before a picture, to be decoded alone; None: it does not hold one."""
        with self._lock:
            if mark is None or self.codec is None or mark[0] != self.stream:
                return None
            keys = [group.items[0] for group in self._groups if group.items[0].pts <= mark[1]]
            return Cut(self.codec, (keys[-1],), keys[-1].pts, keys[-1].pts) if keys else None

    def _newest(self) -> int:
        return max(item.pts for item in self._groups[-1].items)
