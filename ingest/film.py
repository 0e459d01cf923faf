"""From the tape to the clips of an event: the camera's own packets, sealed, and a public one, people hidden.

The sealed clip is what the camera sent, packet by packet, from the key frame before the clip's beginning on:
no decoding, nothing lost (`ingest.mp4`). Only where that may not be kept (privacy zones) or not every browser
plays it (other codecs than H.264) it is coded anew, at the clip's size and a picture per 1/fps s.

The public clip shows less than the sealed one, at its true times: key frames, what was analysed between them
as far as `ingest.cutting` goes, and the event's own frame at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from detector.types import Detections, Image
from ingest.clips import SIDE_MAX, ClipWriter, bgr_of, clip_wh, planes_of
from ingest.cutting import Choice, dense, sparse, times_of
from ingest.gate import STILL_PIXELS, STILL_STEP, ChangeWatch, Thumbnail, shrunk
from ingest.mp4 import Sample, remuxed
from ingest.redact import Polygon, black_out, hides, redact
from ingest.shots import Note, Shot, resized, shrink, united, with_persons, with_thing
from ingest.sources.packets import Cut
from ingest.sources.picture import BT601, DecodedPicture, Plane
from ingest.stills import outlined, scaled
from ingest.types import Event, Frame

Look = Callable[[Image], Detections]
"""Finds things in a whole picture, boxes in its pixels, down to low scores."""
NEAR_S = 0.3
"""A picture this near to an analysed one shows people where that one shows them, within a head's margin."""


@dataclass(frozen=True, slots=True)
class Pictured:
    """A picture for a clip: planes of the clip's size, or BGR of about that, with boxes in its pixels.

    `detections` None: nobody need be hidden, for it is not shown.
    """

    at: datetime
    picture: Plane | Image
    scale: float
    detections: Detections | None

    def planes(self, wh: tuple[int, int]) -> Plane:
        """Give it as it is."""
        return self.picture if self.picture.ndim == 2 else planes_of(self.picture, wh)

    def bgr(self) -> Image:
        """Give it to draw into."""
        return self.picture if self.picture.ndim == 3 else bgr_of(self.picture)


@dataclass(frozen=True, slots=True)
class Reel:
    """What an event's clips are made of.

    Args:
        frame: the event's own.
        past: what is known of the last seconds, in order of time; the last one is the event's own frame.
        cut: the same seconds on tape; None: the pictures are in `past`.
        fps: how many pictures a second a clip that is coded anew shows at least.
        privacy: polygons to black out.
        look: finds people in pictures that were not analysed; None: the boxes around them are used.
    """

    frame: Frame
    past: tuple[Shot | Note, ...]
    cut: Cut | None
    fps: float
    privacy: tuple[Polygon, ...]
    look: Look | None

    @property
    def wh(self) -> tuple[int, int]:
        """Width and height of the source."""
        return self.frame.wh

    @property
    def matrix(self) -> int:
        """How the colours of its pictures are coded, by ITU-T H.273."""
        picture = self.frame.picture
        return (
            picture.matrix if self.cut and isinstance(picture, DecodedPicture) and not self.privacy else BT601
        )

    def sealed(self) -> bytes | None:
        """Give the camera's own packets as a clip; None: they must be coded anew."""
        cut = self.cut
        if cut is None or self.privacy or cut.codec.name != "h264" or self._earlier(cut):
            return None
        samples = [Sample(bytes(item.packet), item.pts, item.key) for item in cut.items]
        return remuxed(samples, cut.codec.extradata, cut.codec.time_base, self.wh, cut.until)

    def choose(self, event: Event, *, original: bool) -> Choice | None:
        """Choose what of the tape is shown; None: there is none, all of `past` is."""
        if self.cut is None:
            return None
        analysed = {one.mark for one in self.past if isinstance(one, Note)}
        until = self.past[-1].at
        if original:
            return dense(self.cut, analysed, until, 1.0 / self.fps)
        return sparse(self.cut, analysed, event.started_at, until, self.wh)

    def pictures(self, choice: Choice | None) -> Iterator[Pictured]:
        """Give the pictures in order of time; those of the original alone without boxes."""
        shots = [one for one in self.past if isinstance(one, Shot)]
        if self.cut is None or choice is None:
            yield from (Pictured(shot.at, shot.image(), shot.scale, shot.detections) for shot in shots)
            return
        for shot in self._earlier(self.cut):
            yield Pictured(shot.at, shot.image(), shot.scale, shot.detections)
        yield from self._taped(self.cut, choice)
        yield self._own()

    def _earlier(self, cut: Cut) -> list[Shot]:
        """Give what was kept as JPEG from before the tape begins."""
        at_of = times_of(cut, self.past[-1].at)
        begins = at_of[cut.since] if cut.since in at_of else min(at_of.values())
        return [one for one in self.past if isinstance(one, Shot) and one.at < begins]

    def _taped(self, cut: Cut, choice: Choice) -> Iterator[Pictured]:
        notes = {one.mark: one for one in self.past if isinstance(one, Note)}
        compares = not choice.public <= notes.keys()
        still = ChangeWatch(pixels_min=STILL_PIXELS, step=STILL_STEP)
        seen: Detections | None = None
        at_of = times_of(cut, self.past[-1].at)
        for item, decoded in cut.pictures(choice.runs):
            if item.mark not in choice.public and item.mark not in choice.original:
                continue
            picture = DecodedPicture(decoded)
            note = notes.get(item.mark)
            at = at_of[item.pts] if note is None else note.at
            if item.mark not in choice.public:
                yield self._pictured(picture, at, None)
                continue
            thumbnail: Thumbnail | None = shrunk(picture.luma()) if compares else None
            if note is not None:
                seen = note.detections
            elif seen is None or thumbnail is None or still.differs(thumbnail):
                seen = self._seen(picture, at)
            if thumbnail is not None:
                still.take(thumbnail)
            yield self._pictured(picture, at, seen)

    def _own(self) -> Pictured:
        picture, own = self.frame.picture, self.past[-1]
        seen = resized(own.detections, 1 / own.scale)
        if isinstance(picture, DecodedPicture):
            return self._pictured(picture, own.at, seen)
        return self._drawn(self.frame.image, own.at, seen)

    def _pictured(self, picture: DecodedPicture, at: datetime, seen: Detections | None) -> Pictured:
        """Bring a picture to the clip's size, as planes where that can be."""
        planes = None if self.privacy else picture.i420(clip_wh(picture.wh))
        if planes is None or picture.wh != self.wh:
            return self._drawn(picture.bgr(), at, seen)
        scale = min(1.0, SIDE_MAX / max(picture.wh))
        return Pictured(at, planes, scale, None if seen is None else resized(seen, scale))

    def _drawn(self, image: Image, at: datetime, seen: Detections | None) -> Pictured:
        scale = min(1.0, SIDE_MAX / max(image.shape[:2]))
        small = shrink(black_out(image.copy(), self.privacy) if self.privacy else image, scale)
        return Pictured(at, small, scale, None if seen is None else resized(seen, scale))

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


def make_clips(reel: Reel, event: Event, last_s: float, *, original: bool) -> tuple[bytes, bytes]:
    """Make the redacted clip with the box, from when the thing stood there, and the original without.

    Args:
        reel: what it is made of.
        event: whose clip it is.
        last_s: how long the last picture is shown.
        original: make the second one, coded anew; else it is empty.
    """
    choice = reel.choose(event, original=original)
    count = len(reel.past) + (len(reel.cut.items) if reel.cut else 0)
    wh = clip_wh(reel.wh)
    public = ClipWriter(wh, count, reel.matrix)
    sealed = ClipWriter(wh, count, reel.matrix) if original else None
    first: datetime | None = None
    for picture in reel.pictures(choice):
        first = first or picture.at
        seconds = (picture.at - first).total_seconds()
        if sealed is not None:
            sealed.add(picture.planes(wh), seconds)
        if picture.detections is not None:
            public.add(_redacted(picture, picture.detections, reel.past, event, wh), seconds)
    return public.finish(last_s), b"" if sealed is None else sealed.finish(last_s)


def _redacted(
    picture: Pictured, seen: Detections, past: Sequence[Shot | Note], event: Event, wh: tuple[int, int]
) -> Plane:
    """Hide the persons of this picture and of the two before and after it."""
    at = picture.at
    around = [*[one for one in past if one.at < at][-2:], *[one for one in past if one.at > at][:2]]
    seen = with_persons(seen, (resized(other.detections, picture.scale / other.scale) for other in around))
    if at < event.started_at:
        return planes_of(redact(picture.bgr(), seen), wh) if hides(seen) else picture.planes(wh)
    hidden = redact(picture.bgr(), with_thing(seen, event, picture.scale))
    return planes_of(outlined(hidden, scaled(event.xyxy, picture.scale)), wh)
