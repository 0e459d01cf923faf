"""From the tape to a clip: which pictures it shows, and who is hidden in each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from detector.types import Detections, Image
from ingest.clips import SIDE_MAX, ClipWriter
from ingest.gate import ChangeWatch, shrunk
from ingest.redact import Polygon, black_out, redact
from ingest.shots import Note, Shot, resized, shrink, united, with_persons, with_thing
from ingest.sources.packets import Coded, Cut, Mark
from ingest.sources.picture import DecodedPicture
from ingest.stills import outlined, scaled
from ingest.types import Event

Look = Callable[[Image], Detections]
"""Finds things in a whole picture, boxes in its pixels, down to low scores."""
NEAR_S = 0.3
"""A picture this near to an analysed one shows people where that one shows them, within a head's margin."""
STILL_STEP, STILL_PIXELS = 8, 1
"""A picture that differs less than this from one that was looked at, anywhere, shows the same."""


@dataclass(frozen=True, slots=True)
class Pictured:
    """A picture of a clip: at most `SIDE_MAX` px, boxes in its pixels."""

    at: datetime
    image: Image
    scale: float
    detections: Detections


@dataclass(frozen=True, slots=True)
class Reel:
    """What a clip is made of.

    Args:
        past: what is known of the last seconds, in order of time; the last one is the event's own frame.
        cut: the same seconds on tape; None: the pictures are in `past`.
        fps: how many pictures a second the clip shows at least.
        privacy: polygons to black out.
        look: finds people in pictures that were not analysed; None: the boxes around them are used.
    """

    past: tuple[Shot | Note, ...]
    cut: Cut | None
    fps: float
    privacy: tuple[Polygon, ...]
    look: Look | None

    def pictures(self) -> Iterator[Pictured]:
        """Give the pictures in order of time."""
        shots = [one for one in self.past if isinstance(one, Shot)]
        if self.cut is None:
            yield from (Pictured(shot.at, shot.image(), shot.scale, shot.detections) for shot in shots)
            return
        last = self.past[-1]
        step_s = float(self.cut.codec.time_base)
        at_of = {
            item.pts: last.at + timedelta(seconds=(item.pts - self.cut.until) * step_s)
            for item in self.cut.items
        }
        begins = at_of[self.cut.since] if self.cut.since in at_of else min(at_of.values())
        for shot in shots:
            if shot.at < begins:
                yield Pictured(shot.at, shot.image(), shot.scale, shot.detections)
        yield from self._taped(self.cut, at_of)

    def _taped(self, cut: Cut, at_of: dict[int, datetime]) -> Iterator[Pictured]:
        notes = {one.mark: one for one in self.past if isinstance(one, Note)}
        wanted = chosen(cut, set(notes), 1.0 / self.fps)
        still = ChangeWatch(pixels_min=STILL_PIXELS, step=STILL_STEP)
        seen: Detections | None = None
        for item, decoded in cut.pictures():
            if item.mark not in wanted:
                continue
            picture = DecodedPicture(decoded)
            note = notes.get(item.mark)
            thumbnail = shrunk(picture.luma())
            at = at_of[item.pts] if note is None else note.at
            if note is not None or seen is None or still.differs(thumbnail):
                seen = self._seen(picture, at) if note is None else note.detections
                still.take(thumbnail)
            image = picture.bgr()
            scale = min(1.0, SIDE_MAX / max(image.shape[:2]))
            small = shrink(black_out(image.copy(), self.privacy) if self.privacy else image, scale)
            yield Pictured(at, small, scale, resized(seen, scale))

    def _seen(self, picture: DecodedPicture, at: datetime) -> Detections:
        """Say who is in a picture that nobody has looked at."""
        around = neighbours(self.past, at)
        near = [one for one in around if abs((one.at - at).total_seconds()) <= NEAR_S]
        if self.look is not None and len(near) < len(around):
            return self.look(picture.bgr())
        return united([resized(one.detections, 1 / one.scale) for one in around])


def neighbours(past: Sequence[Shot | Note], at: datetime) -> list[Shot | Note]:
    """Give the analysed pictures before and after a time: at least one, at most two."""
    before = [one for one in past if one.at <= at][-1:]
    after = [one for one in past if one.at > at][:1]
    return [*before, *after]


def chosen(cut: Cut, analysed: set[Mark], step_s: float) -> set[Mark]:
    """Choose the pictures of a clip: all that were analysed, and others where these are too far apart.

    Args:
        cut: the tape.
        analysed: marks of what was analysed.
        step_s: seconds between two pictures.
    """
    items = sorted((item for item in cut.items if cut.since <= item.pts <= cut.until), key=_pts)
    taken: set[Mark] = set()
    last_s: float | None = None
    upcoming = [item.seconds for item in items if item.mark in analysed]
    for item in items:
        while upcoming and upcoming[0] <= item.seconds:
            upcoming.pop(0)
        next_s = upcoming[0] if upcoming else float("inf")
        due = last_s is None or item.seconds - last_s >= step_s - 0.002
        if item.mark in analysed or (due and next_s - item.seconds >= 0.6 * step_s):
            taken.add(item.mark)
            last_s = item.seconds
    return taken


def _pts(item: Coded) -> int:
    return item.pts


def make_clips(
    reel: Reel, event: Event, last_s: float, wh: tuple[int, int], *, original: bool
) -> tuple[bytes, bytes]:
    """Make the redacted clip with the box, from when the thing stood there, and the original without.

    Args:
        reel: what it is made of.
        event: whose clip it is.
        last_s: how long the last picture is shown.
        wh: width and height of the source.
        original: make the second one; else it is empty.
    """
    count = len(reel.past) + (len(reel.cut.items) if reel.cut else 0)
    public, sealed = ClipWriter(wh, count), ClipWriter(wh, count) if original else None
    first: datetime | None = None
    for picture in reel.pictures():
        first = first or picture.at
        seconds = (picture.at - first).total_seconds()
        if sealed is not None:
            sealed.add(picture.image, seconds)
        public.add(_redacted(picture, reel.past, event), seconds)
    return public.finish(last_s), sealed.finish(last_s) if sealed is not None else b""


def _redacted(picture: Pictured, past: Sequence[Shot | Note], event: Event) -> Image:
    """Hide the persons of this picture and of the two before and after it."""
    at = picture.at
    around = [*[one for one in past if one.at < at][-2:], *[one for one in past if one.at > at][:2]]
    seen = with_persons(
        picture.detections,
        (resized(other.detections, picture.scale / other.scale) for other in around),
    )
    if at < event.started_at:
        return redact(picture.image, seen)
    hidden = redact(picture.image, with_thing(seen, event, picture.scale))
    return outlined(hidden, scaled(event.xyxy, picture.scale))
