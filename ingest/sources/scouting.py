"""Look at key frames first, and back only where two of them say that something came to rest or left.

While `ingest.sources.decoding` follows a street for as long as anything changes on it, this keeps to key
frames, however busy the street: each is looked at (if anything has changed since the last, or it is time),
and what two of them tell of the pictures between them (`ingest.sources.signs`) decides whether those are
decoded at all. They are decoded no further than to where what left is gone, or the place looks as it does in
the end, and no more of them are looked at than it takes to know when (`ingest.sources.seeking`). Of whatever
has just come a few pictures more tell whether it moves on (`ingest.sources.motion`), and where pixels leave a
doubt the detector does: what moves on does not stand, and needs no looking back. Where nothing has changed
since two looks said the same, at key frames or between them, key frames carry on what the last one said, for
`CARRY_S` at most, and every other one is not even decoded, unless the next one is found to differ: then it is
taken as if it had come late.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from detector.types import Detections
from ingest.gate import PIXELS_MIN, ChangeWatch, Rate, Thumbnail, shrunk
from ingest.sources import SourceStatus
from ingest.sources.decoding import EARLY_S, Shown
from ingest.sources.lookback import Do, Mode
from ingest.sources.motion import Moment
from ingest.sources.packets import Codec, Coded
from ingest.sources.picture import DecodedPicture
from ingest.sources.rewinding import Begun, Rewinding
from ingest.sources.seeking import Drawn, Seeking
from ingest.sources.signs import (
    Looked,
    Signs,
    Thing,
    corners,
    followed,
    same_place,
    signs_between,
    stands,
    thumbnail_pixels,
)
from ingest.types import XYXY

CHECK_S = 0.4
"""What has come is looked at again after so long."""
QUEUE_S = 60.0
"""What comes to a place that another left within so long is followed there: it must be seen to be another."""
CARRY_S = 10.0
"""Key frames in which nothing has changed are looked at once in so long."""
PAUSE_MAX_S = 4.2
"""Longest pause that comes of a key frame left out; from `ingest.rules.book.BLIND_S` on, nobody looked."""
DWELL_LEFT_S = 0.5
"""So much must be left of the shortest dwell after such a pause, to see that what has come stands."""


class Scout(Protocol):
    """Looks at a picture for a source."""

    def look(self, picture: DecodedPicture) -> Detections:
        """Find everything in it, pixels of the source."""
        ...

    def things(self, seen: Detections, wh: tuple[int, int]) -> tuple[Thing, ...]:
        """Give what may matter of it: classes that rules ask for, in or at watched zones."""
        ...


@dataclass(frozen=True, slots=True)
class Patience:
    """For how long what happens may go unnoticed.

    Args:
        gap_max_s: see `Decoding`.
        dwell_min_s: shortest time after which something that stands must be known: key frames of a quiet
            street are left out only if those that are decoded are less far apart.
        prompt: somebody waits for what is found: where a dwell is reached between two key frames, it is
            decoded as far as to there at once.
    """

    gap_max_s: float
    dwell_min_s: float = math.inf
    prompt: bool = False

    @property
    def pause_max_s(self) -> float:
        """How far two key frames may be apart if those between them are left out."""
        return min(PAUSE_MAX_S, self.dwell_min_s - DWELL_LEFT_S)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A key frame in which something is new, until it is known whether that stands."""

    shown: Shown
    now: Looked
    signs: Signs
    held: tuple[Coded, ...]
    before: Looked | None
    begun: Begun | None = None


class Scouting(Rewinding):
    """As `Decoding`, but what is between two key frames is decoded only if these ask for it.

    Args:
        scout: looks at key frames.
        codec, rate, status, watch: see `Decoding`.
        patience: how long may be waited.
    """

    def __init__(
        self,
        scout: Scout,
        codec: Codec,
        rate: Rate,
        status: SourceStatus,
        watch: ChangeWatch,
        patience: Patience,
    ) -> None:
        super().__init__(codec, rate, status, watch, gap_max_s=patience.gap_max_s)
        self._scout, self._prompt, self._pause_max_s = scout, patience.prompt, patience.pause_max_s
        self._skipped: Coded | None = None
        self._before: Looked | None = None
        self._awaited: _Waiting | None = None
        self._vacated: tuple[XYXY, ...] = ()
        self._same = watch.stricter()
        self._agreed: tuple[float, Detections] | None = None
        self._left_at: list[tuple[Thing, float]] = []
        self._found: tuple[XYXY, ...] = ()

    @property
    def resting(self) -> bool:
        """Whether only key frames matter now."""
        return super().resting and self._awaited is None and not self._due_now

    def take(self, coded: Coded) -> Iterator[Shown]:
        """Take the next coded picture; give what is worth the detector now, with what was seen in it."""
        awaited = self._awaited
        if awaited is not None and (coded.key or coded.seconds >= awaited.shown.coded.seconds + CHECK_S):
            yield from self._resolve(awaited, [*self.look.kept[1:], *(() if coded.key else (coded,))])
        if not coded.key or self.look.mode is Mode.THIN:
            yield from super().take(coded)
            yield from self._bounded()
            if self._due_now and coded.seconds >= self.due_s and self._rate.awaits(coded.seconds):
                yield from self._at_once(tuple(self.look.kept))
            return
        self._learn(coded)
        yield from self._take_key(coded)

    def finish(self) -> Iterator[Shown]:
        """Give what is still to be given at the end of a stream."""
        if self._awaited is not None:
            yield from self._resolve(self._awaited, self.look.kept[1:])
        skipped, self._skipped = self._skipped, None
        if skipped is not None and self.look.mode is Mode.LOOK:
            yield from self._taken_late(skipped, tuple(self.look.kept))
        yield from super().finish()

    def pass_over(self) -> None:
        """Go on with the next key frame."""
        super().pass_over()
        self._before = self._awaited = self._agreed = self._skipped = self._begun = None

    def thin(self) -> None:
        """Decode key frames only until `pass_over`."""
        super().thin()
        self._before = self._awaited = self._agreed = self._skipped = self._begun = None

    @property
    def _due_now(self) -> bool:
        """Say whether a dwell may be reached before the next key frame."""
        waits = self._prompt and self._awaited is None and not self.hurry and self.look.mode is Mode.LOOK
        return waits and self.due_s - self._key_s < max(self._gap_s, EARLY_S)

    def _at_once(self, kept: Sequence[Coded]) -> Iterator[Shown]:
        """Decode from the last key frame to the newest picture, and look at that."""
        if self._before is None or not kept[-1].fresh:
            return
        begun = self._begun_with(kept)
        self._go_on_with(None if begun is None else begun.decoder)
        shown = self._moment_later(kept[0], kept[1 if begun is None else begun.count :])
        if shown is None or shown.coded.seconds < self.due_s:
            return
        shown, now = self._looked(shown, shrunk(shown.picture.luma()))
        before = self._before
        signs = signs_between(before, now)  # what is before it cannot be given after it
        yield from self._back(_Waiting(shown, now, signs, tuple(kept), before), signs.came)
        yield from self._hand_over(shown, followed(now, before))

    # -- key frames --

    def _take_key(self, key: Coded) -> Iterator[Shown]:
        if self.look.take(key) is Do.PROBE:
            if self._may_skip(key):
                self._skipped = key
                return
            held = tuple(self.look.kept)
            self.look.unchanged()
            yield from self._scouted(key, held)
            return
        self._before = self._skipped = self._begun = None
        if not self.look.rest():
            yield from self._follow(key)
            return
        pending, self._pending = self._pending, []
        if not self._closed:
            yield from self._decode(pending)
        yield from self._judge_all(self._run(None))
        self.look.unchanged()
        yield from self._scouted(key, held=())

    def _may_skip(self, key: Coded) -> bool:
        """Say whether a key frame may be left undecoded until it is seen whether the next one differs."""
        before, agreed = self._before, self._agreed
        if self._skipped is not None or agreed is None or before is None or before.moving:
            return False
        if self.unsettled or self.hurry or not key.fresh or not self.look.roomy:
            return False
        if key.seconds - agreed[0] >= self._carried_for_s or not 0 < 2 * self._gap_s <= self._pause_max_s:
            return False
        # who waits is told of a dwell from the key frame before it on; else the one after it will do
        return self.due_s >= key.seconds + (self._gap_s + EARLY_S if self._prompt else EARLY_S)

    def _bounded(self) -> Iterator[Shown]:
        """Look at the key frame that was left out if the next one does not come in time."""
        kept, skipped = self.look.kept, self._skipped
        if skipped is None or self.look.mode is not Mode.LOOK:
            return
        if kept[-1].seconds - kept[0].seconds > self._pause_max_s:
            self._skipped, held = None, tuple(kept)
            self.look.drop_before(skipped)
            yield from self._taken_late(skipped, held)

    def _scouted(self, key: Coded, held: tuple[Coded, ...]) -> Iterator[Shown]:
        """Look at a key frame; `held` goes from the last one looked at to this one."""
        skipped, self._skipped = self._skipped, None
        decoded = self._decoded(key)
        if skipped is not None and not (decoded and self._is_still(*decoded)):
            own = self._decoder()
            yield from self._taken_late(skipped, held[:-1])
            held = held[held.index(skipped) :]
            self._go_on_with(own)
        yield from self._judge_key(key, decoded, held)
        if not self._due_now:
            self._begun = None  # it holds 7 MB of 1080p pictures, and is seldom asked for

    def _taken_late(self, key: Coded, held: Sequence[Coded]) -> Iterator[Shown]:
        """Look at a key frame that was left out; `held` goes on to the last picture before the next one."""
        place = held.index(key)
        yield from self._judge_key(key, self._decoded(key), tuple(held[: place + 1]))
        if self._awaited is not None:
            yield from self._resolve(self._awaited, held[place + 1 :])

    def _judge_key(
        self, key: Coded, decoded: tuple[Shown, Thumbnail] | None, held: tuple[Coded, ...]
    ) -> Iterator[Shown]:
        begun, self._begun = self._begun_with(held), self._ready(key, 1)
        # without one before it, it is what the next is compared with, due or not
        wanted = self._before is None or self._rate.awaits(key.seconds)
        if decoded is None or not key.fresh or not wanted:
            self._empty()
            self._status.dropped["stale"] += not key.fresh
            self._before = self._before if decoded is not None else None
            return
        shown, thumbnail = decoded
        changed = self._differs(thumbnail)
        moved = self._before is None or bool(self._before.moving)  # it may have stopped since
        if not (changed or moved or self._forced(key, max(EARLY_S, self._gap_s / 2))):
            self._count_passed("still", key, given=False)
            self._empty()
            return
        before = self._before
        comparable = before is not None and before.wh == shown.picture.wh and not (changed or moved)
        if before is not None and comparable and (same := self._carried(shown, thumbnail)):
            self._empty()
            self._before = replace(before, thumbnail=thumbnail)
            yield from self._hand_over(same, self._before)
            return
        shown, now = self._looked(shown, thumbnail)
        self._same.take(thumbnail)
        signs = Signs(came=now.sure) if before is None else signs_between(before, now)
        waiting = _Waiting(shown, now, signs, held, before, begun)
        if signs.came or signs.left:
            shown.picture.settle()  # it waits for what is still to be looked at
        if signs.came and not self.hurry:
            self._awaited, self._begun = waiting, None
            return
        self._empty()
        yield from self._conclude(waiting, moving=signs.came)

    def _is_still(self, shown: Shown, thumbnail: Thumbnail) -> bool:
        """Say whether nothing has changed since the last look; so it had not in a key frame between."""
        before = self._before
        if before is None or before.moving or before.wh != shown.picture.wh:
            return False
        return not (self._differs(thumbnail) or self._same.differs(thumbnail))

    def _resolve(self, waiting: _Waiting, since: Sequence[Coded]) -> Iterator[Shown]:
        """See by what followed whether what came stands, and go on with the key frame in which it came."""
        self._awaited = None
        came = waiting.signs.came
        moment = Moment(waiting.now, came, waiting.shown.picture.luma())
        shown = self._moment_later(waiting.shown.coded, since, moment)
        if shown is None:
            yield from self._conclude(waiting, ())
            return
        later, moving = waiting.now, moment.moving
        if moment.doubtful:
            shown, later = self._looked(shown, shrunk(shown.picture.luma()))
            moving = [one for one in came if one in moving or not stands(one, waiting.now, later)]
        else:
            shown = replace(shown, seen=waiting.shown.seen, carried=True)
        yield from self._conclude(waiting, moving)
        if len(moving) < len(came) and self._before is not None:
            yield from self._hand_over(shown, followed(later, self._before))

    def _conclude(self, waiting: _Waiting, moving: Sequence[Thing]) -> Iterator[Shown]:
        """Look back if something came to rest or left, and give the key frame."""
        now = waiting.now
        known = [*now.things, *waiting.signs.hidden]
        self._before = now.but(things=[replace(one, moving=one in moving) for one in known])
        self._vacated += waiting.signs.vacated
        self._agreed, self._found = None, ()
        if not self.hurry:
            yield from self._back(waiting, [one for one in waiting.signs.came if one not in moving])
        if waiting.shown.seen is not None and self._agrees(waiting):
            self._agreed = waiting.shown.coded.seconds, waiting.shown.seen
        yield from self._hand_over(waiting.shown, self._before)

    def _agrees(self, waiting: _Waiting) -> bool:
        """Say whether two looks show what a key frame shows, and no doubt is left of it.

        The other look is at the key frame before, or, for what came or left between them, at those between.
        """
        now, signs = waiting.now, waiting.signs
        if waiting.before is None or signs.hidden:
            return False
        if not {*(one.xyxy for one in signs.came), *signs.left} <= set(self._found):
            return False
        return all(one.sure or same_place(one, now.sure, now.wh) for one in now.things)

    def _carried(self, shown: Shown, thumbnail: Thumbnail) -> Shown | None:
        """Give a key frame with what was found in an earlier one; None: it must be looked at."""
        now_s = shown.coded.seconds
        if self._agreed is None or self.unsettled or now_s >= self.due_s or self._same.differs(thumbnail):
            return None
        last_s, seen = self._agreed
        if not 0 < now_s - last_s < self._carried_for_s:
            return None
        return replace(shown, seen=seen, carried=True)

    def _hand_over(self, shown: Shown, looked: Looked) -> Iterator[Shown]:
        """Give a picture that was looked at, if it is its turn."""
        given = self._take_slot(shown.coded)
        self._count_passed(self.hurry or "still", shown.coded, given=given and not shown.carried)
        if given:
            passing = tuple(thing.xyxy for thing in looked.passing)
            shown = replace(shown, passing=passing, vacated=self._vacated)
            self._vacated = ()  # told with the next picture that is given
            yield from self._give(shown, None if shown.carried else looked.thumbnail)

    @property
    def _carried_for_s(self) -> float:
        """For how long a key frame may be given with the boxes of another; of two it is the nearer one."""
        return CARRY_S - max(EARLY_S, self._gap_s / 2)

    # -- back --

    def _back(self, waiting: _Waiting, came: Sequence[Thing]) -> Iterator[Shown]:
        """Give the pictures since the key frame before that tell when something came to rest or left."""
        before, now = waiting.before, waiting.now
        if before is None or not waiting.held or not (came or waiting.signs.left):
            return
        left = [one for one in before.standing if one.xyxy in waiting.signs.left]
        pictures: list[tuple[Shown, Thumbnail]] = []
        shown: dict[int, Shown] = {}

        def thumbnails() -> Iterator[Thumbnail]:
            for picture in self._between(waiting, [one.xyxy for one in (*left, *came)]):
                pictures.append(picture)
                yield picture[1]

        def ask(index: int) -> Looked:
            shown[index], looked = self._looked(*pictures[index])
            return looked

        seeking = Seeking(before, now, Drawn(thumbnails()), ask)
        at_s = waiting.shown.coded.seconds
        queues = self._emptied(came, now, at_s) or any(one.xyxy not in waiting.signs.vacated for one in left)
        if queues:
            seeking.all()
        gone = {one.xyxy: seeking.left(one) for one in left if one.xyxy in waiting.signs.vacated}
        off = {one.xyxy for one in left if one.xyxy in gone and seeking.moves_off(one, gone[one.xyxy])}
        for one in came:
            seeking.came(one)
        self._restart()  # no more is decoded
        self._found = (
            *(xyxy for xyxy, index in gone.items() if index in seeking.looks),
            *(one.xyxy for one in came if seeking.shows(one)),
        )
        standing = now.but(things=[*before.standing, *came])
        self._left_at += [(one, at_s) for one in left]
        for index in sorted(shown):
            told = tuple(box for box in self._vacated if box in gone and gone[box] <= index)
            self._vacated = tuple(box for box in self._vacated if box not in told)
            passing = () if queues else followed(seeking.looks[index], standing).passing
            given = replace(
                shown[index],
                passing=tuple(one.xyxy for one in passing),
                vacated=told,
                left=tuple(box for box in told if box in off),
            )
            yield from self._give(given, pictures[index][1])
        self._status.dropped["still"] += len(pictures) - len(shown)

    def _emptied(self, came: Sequence[Thing], now: Looked, at_s: float) -> bool:
        """Say whether something came to where another stood a moment ago: it must be seen to be another."""
        self._left_at = [(one, left_s) for one, left_s in self._left_at if at_s - left_s <= QUEUE_S]
        places = [one for one, _ in self._left_at]
        return any(same_place(one, places, now.wh) for one in came)

    def _between(self, waiting: _Waiting, regions: Sequence[XYXY]) -> Iterator[tuple[Shown, Thumbnail]]:
        """Decode from the key frame before, to where the places in question look as they do in the end.

        Gives the pictures that are due, from the first one on in which one of the places has changed.
        """
        polygons = [corners(xyxy, waiting.now.wh) for xyxy in regions]
        least = (
            PIXELS_MIN
            if len(regions) > 1
            else max(1, min(PIXELS_MIN, thumbnail_pixels(regions[0], waiting.now.wh) // 12))
        )
        last, goal = (ChangeWatch(polygons, pixels_min=least) for _ in range(2))
        if waiting.before is not None:
            last.take(waiting.before.thumbnail)
        goal.take(waiting.now.thumbnail)
        self._not_before_s = max(self._not_before_s, math.nextafter(waiting.held[0].seconds, -math.inf))
        begun = waiting.begun
        self._go_on_with(None if begun is None else begun.decoder)
        items = waiting.held[0 if begun is None else begun.count : -1]
        moved = False
        for coded, picture in self._due_of(items, waiting.shown.coded.seconds):
            shown = Shown(coded, self._turned(picture))
            thumbnail = shrunk(shown.picture.luma())
            if not (moved or last.differs(thumbnail)):
                self._status.dropped["still"] += 1
                continue
            moved = True
            yield shown, thumbnail
            if not goal.differs(thumbnail):
                break
        self._restart()

    def _looked(self, shown: Shown, thumbnail: Thumbnail) -> tuple[Shown, Looked]:
        seen = self._scout.look(shown.picture)
        wh = shown.picture.wh
        others = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in seen.xyxy)
        return replace(shown, seen=seen), Looked(wh, thumbnail, self._scout.things(seen, wh), others)
