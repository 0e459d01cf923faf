"""Decode no more than will be looked at: `ingest.sources.lookback` with a decoder and thumbnails."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import av.error
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from detector.types import Detections
from ingest.gate import FORCE_S, UNSETTLED_MAX, ChangeWatch, Rate, Thumbnail, shrunk
from ingest.sources import SourceStatus
from ingest.sources.lookback import Do, LookBack, Mode
from ingest.sources.packets import Codec, Coded
from ingest.sources.picture import DecodedPicture, quarter_turns_of
from ingest.types import XYXY, Frame

QUIET_S = 1.0
"""Without change for so long, key frames are enough."""
EARLY_S = 0.15
"""A forced look may come so much early; of two key frames it is the nearer one."""
PENDING_MAX = 250


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture worth the detector."""

    coded: Coded
    picture: DecodedPicture
    seen: Detections | None = None
    """What was found in it, if it was looked at already."""
    passing: tuple[XYXY, ...] = ()
    """Boxes of it that are known to move on."""
    vacated: tuple[XYXY, ...] = ()
    """Where something stood that is gone."""
    left: tuple[XYXY, ...] = ()
    """Those of them from which it was seen to move off."""
    carried: bool = False
    """`seen` was found in an earlier picture; in this one what stands is the same."""

    def frame(self, source_id: str, index: int, at: datetime) -> Frame:
        """Give it as a frame."""
        return Frame(
            source_id,
            index,
            at,
            picture=self.picture,
            mark=self.coded.mark,
            seen=self.seen,
            passing=self.passing,
            vacated=self.vacated,
            left=self.left,
            carried=self.carried,
        )


class Decoding:
    """From coded pictures to those worth the detector: due by `rate`, and by `watch` if there is one.

    While pictures are decoded, those after the last one that is due are left until another is due; if a key
    frame comes first they are never decoded. A decoder is there only while it is needed.

    `unsettled`: something moves or has just come, skip nothing. `due_s`: a dwell is reached then, in the
    source's own scale: the next picture from then on is given. `hurry`: decode but give nothing, and count
    it under this reason. `cpu_s`: CPU seconds spent decoding. `quarter_turns`: how pictures are to be turned
    that do not say so themselves, see `DecodedPicture`.

    Args:
        codec: of the stream. rate: which pictures are due. status: where is counted.
        watch: what changes matter; None: every picture that is due is given.
        gap_max_s: see `LookBack`; without `watch` it is 0. fast: see `Codec.open`.
        force_s: longest pause between two pictures given.
    """

    def __init__(
        self,
        codec: Codec,
        rate: Rate,
        status: SourceStatus,
        watch: ChangeWatch | None = None,
        *,
        gap_max_s: float = 0.0,
        fast: bool = False,
        force_s: float = FORCE_S,
    ) -> None:
        self.look: LookBack[Coded] = LookBack(gap_max_s if watch is not None else 0.0)
        self.unsettled = False
        self.due_s = math.inf
        self.hurry = ""
        self.cpu_s = 0.0
        self.quarter_turns = 0
        self._rate, self._status, self._watch = rate, status, watch
        self._force_s = force_s
        self._codec, self._fast = codec, fast
        self._keeps_decoder = codec.on_device
        self._context: VideoCodecContext | None = None
        self._first: VideoCodecContext | None = None
        self._lent, self._fed = False, False
        self._pending: list[Coded] = []
        self._inside: dict[int, Coded] = {}
        self._not_before_s = -math.inf
        self._counted_s = -math.inf
        self._left_out = ""
        self._key_pts: int | None = None
        self._key_s = self._gap_s = 0.0
        self._open = self._closed = False
        self._given_s = self._changed_s = -math.inf

    @property
    def resting(self) -> bool:
        """Whether only key frames matter now."""
        return self.look.mode is not Mode.FOLLOW

    def lend(self, context: VideoCodecContext) -> None:
        """Let a file's own decoder be the first: it alone knows how the file says that it is to be turned."""
        self._first = context

    def take(self, coded: Coded) -> Iterator[Shown]:
        """Take the next coded picture; give what is worth the detector now."""
        self._learn(coded)
        said = self.look.take(coded)
        if said is Do.PROBE:
            yield from self._probe(coded)
        elif said is Do.REPLAY:
            self._restart()
            yield from self._decode(self.look.replay())
        elif said is Do.DECODE:
            yield from self._follow(coded)

    def finish(self) -> Iterator[Shown]:
        """Give what the decoder still holds at the end of a stream."""
        if self.look.mode is Mode.FOLLOW:
            pending, self._pending = self._pending, []
            yield from self._decode(pending)
            yield from self._judge_all(self._run(None))
        self._restart()

    def pass_over(self) -> None:
        """Go on with the next key frame: what lies between has become too old.

        What was kept is counted here, as the key frame that was awaiting a second look; what was not taken
        yet must be counted by whoever leaves it out.
        """
        if self.look.mode is Mode.THIN:
            self._left_out = "overload"
        else:
            self._abandon(self.hurry or "late")
            self._counted_s = -math.inf
        self._restart()
        self.look.resume()

    def thin(self) -> None:
        """Decode key frames only until `pass_over`."""
        self._abandon("overload")
        self._restart()
        self.look.thin()

    # -- all pictures --

    def _follow(self, coded: Coded) -> Iterator[Shown]:
        if coded.key and self._pending and self._closed:
            drained = self._run(None)
            self._pending.clear()
            self._empty()
            yield from self._judge_all(drained)
            self._inside.clear()
        self._pending.append(coded)
        if (coded.fresh and self._rate.awaits(coded.seconds)) or len(self._pending) >= PENDING_MAX:
            pending, self._pending = self._pending, []
            yield from self._decode(pending)

    def _learn(self, coded: Coded) -> None:
        """See whether pictures shown before a key frame come after it: they need the group before."""
        if coded.key:
            self._closed = self._key_pts is not None and not self._open
            self._gap_s = coded.seconds - self._key_s if self._key_pts is not None else 0.0
            self._key_pts, self._key_s = coded.pts, coded.seconds
        elif self._key_pts is not None and coded.pts < self._key_pts:
            self._open, self._closed = True, False

    def _decode(self, items: Sequence[Coded]) -> Iterator[Shown]:
        for item in items:
            self._inside[item.pts] = item
            yield from self._judge_all(self._run(item))
            if self.look.mode is Mode.LOOK:
                return

    def _judge_all(self, pictures: Sequence[VideoFrame]) -> Iterator[Shown]:
        for picture in pictures:
            coded = self._inside.pop(picture.pts, None) if picture.pts is not None else None
            if coded is None or coded.seconds <= self._not_before_s:
                continue
            if not coded.fresh:
                self._status.dropped["stale"] += 1
                continue
            if not self._rate.due(coded.seconds):
                continue
            if self._left_out:
                self._count_passed("still", coded, given=True)
            self._not_before_s = self._counted_s = coded.seconds
            if self.hurry:
                self._status.dropped[self.hurry] += 1
                continue
            yield from self._judge(coded, picture)

    def _judge(self, coded: Coded, picture: VideoFrame) -> Iterator[Shown]:
        shown = Shown(coded, self._turned(picture))
        if self._watch is None:
            yield shown
            return
        thumbnail, changed = self._compare(shown.picture)
        if changed:
            self._changed_s = coded.seconds
        waiting = self.unsettled and coded.seconds - self._changed_s < UNSETTLED_MAX.total_seconds()
        if changed or waiting or self._forced(coded):
            yield from self._give(shown, thumbnail)
            return
        self._status.dropped["still"] += 1
        if coded.seconds - self._changed_s >= QUIET_S and self.look.rest():
            self._pending.clear()

    # -- key frames alone --

    def _probe(self, key: Coded) -> Iterator[Shown]:
        picture = self._alone(key)
        if self.look.mode is Mode.THIN:
            yield from self._thinned(key, picture)
            return
        if picture is None:
            yield from self._replay(key)
            return
        shown = Shown(key, self._turned(picture))
        thumbnail, changed = self._compare(shown.picture)
        if changed:
            yield from self._replay(key)
            return
        self.look.unchanged()
        look_at = self._forced(key, max(EARLY_S, self._gap_s / 2)) and self._take_slot(key)
        self._count_passed("still", key, given=look_at)
        if look_at:
            yield from self._give(shown, thumbnail)
            if self.unsettled:
                yield from self._replay(key)

    def _thinned(self, key: Coded, picture: VideoFrame | None) -> Iterator[Shown]:
        """Give a key frame where there is no time for more."""
        self.look.unchanged()
        look_at = picture is not None and self._take_slot(key)
        self._count_passed("overload", key, given=look_at)
        if picture is not None and look_at:
            shown = Shown(key, self._turned(picture))
            yield from self._give(shown, None if self._watch is None else self._compare(shown.picture)[0])

    def _replay(self, key: Coded) -> Iterator[Shown]:
        """Decode all that was kept, up to a key frame that differs, and follow from there."""
        self._changed_s = key.seconds
        self._restart()
        items = self.look.changed()
        self._not_before_s = max(self._not_before_s, math.nextafter(items[0].seconds, -math.inf))
        yield from self._decode(items)

    def _alone(self, key: Coded, *, open_end: bool = False) -> VideoFrame | None:
        """Decode a key frame by itself.

        The decoder starts empty and ends so; with `open_end` it may go on with what follows, unless it had to
        be emptied for the picture to come out: then there is none.
        """
        self._restart()
        pictures = self._run(key)
        if not pictures:
            pictures = self._run(None)
            self._empty()
        elif not open_end:
            self._empty()
        return pictures[0] if pictures else None

    def _take_slot(self, key: Coded) -> bool:
        if not key.fresh or key.seconds <= self._not_before_s or not self._rate.due(key.seconds):
            return False
        self._not_before_s = key.seconds
        return True

    def _count_passed(self, reason: str, key: Coded, *, given: bool) -> None:
        """Count the pictures that were due since the last one judged."""
        reason, self._left_out = self._left_out or reason, ""
        if math.isfinite(self._counted_s):
            self._status.dropped[reason] += max(0, self._rate.slots(self._counted_s, key.seconds) - given)
        self._counted_s = key.seconds

    def _abandon(self, reason: str) -> None:
        """Count what has been kept since the last key frame that was judged: nobody will look at it."""
        if self.look.mode is Mode.LOOK and self.look.kept:
            self._count_passed(reason, self.look.kept[-1], given=False)

    # -- both --

    def _turned(self, picture: VideoFrame) -> DecodedPicture:
        """Give a picture upright."""
        return DecodedPicture(picture, self.quarter_turns)

    def _forced(self, coded: Coded, early_s: float = EARLY_S) -> bool:
        return coded.seconds >= self.due_s or coded.seconds - self._given_s >= self._force_s - early_s

    def _compare(self, picture: DecodedPicture) -> tuple[Thumbnail, bool]:
        """Give a picture's thumbnail, and whether it differs from what was analysed last."""
        with self._status.stages.span("gate"):
            thumbnail = shrunk(picture.luma())
            return thumbnail, self._differs(thumbnail)

    def _differs(self, thumbnail: Thumbnail) -> bool:
        return self._watch is None or self._watch.differs(thumbnail)

    def _give(self, shown: Shown, thumbnail: Thumbnail | None) -> Iterator[Shown]:
        if self._watch is not None and thumbnail is not None:
            self._watch.take(thumbnail)
        self._given_s = shown.coded.seconds
        yield shown

    def _restart(self) -> None:
        """Empty the decoder."""
        self._pending.clear()
        self._inside.clear()
        self._empty()

    def _empty(self) -> None:
        """Let the decoder go, with its pictures: a new one costs 20 microseconds, unless it is a device's.

        A file's own decoder goes in any case: it may hold pictures back.
        """
        self._fed = False
        if self._lent or not self._keeps_decoder:
            self._context, self._lent = None, False
        elif self._context is not None:
            self._context.flush_buffers()

    def _run(self, coded: Coded | None) -> list[VideoFrame]:
        """Decode a packet (None: what the decoder still holds), and count what it cost."""
        if self._context is None:
            if coded is None:
                return []
            self._context = self._opened()
        self._fed = self._fed or coded is not None
        began, cpu = time.perf_counter(), time.thread_time()
        try:
            pictures = self._context.decode(None if coded is None else coded.packet)
        except av.error.FFmpegError:
            self._status.dropped["undecodable"] += coded is not None
            return []
        finally:
            self.cpu_s += time.thread_time() - cpu
            self._status.stages.add("decode", time.perf_counter() - began)
        if pictures:
            self._status.decoded += len(pictures)
            self._status.size_px = pictures[0].width, pictures[0].height
            if self._lent:
                self.quarter_turns = quarter_turns_of(pictures[0])
        return pictures

    def _opened(self) -> VideoCodecContext:
        """Give a decoder: the one lent to us, once, then our own."""
        first, self._first = self._first, None
        self._lent = first is not None
        return first if first is not None else self._codec.open(fast=self._fast)
