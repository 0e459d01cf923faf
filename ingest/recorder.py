"""The recent past of one camera, and the evidence of its events made of it.

Far still, near still and the end of the clip of an event are one and the same frame, the event's own. Public
pictures are redacted (`ingest.redact`). Privacy zones are black in the originals too: what must not be seen
is not kept either.

While nothing happens nothing is compressed: a source's packets are kept as they came
(`ingest.sources.packets`) and decoded when an event needs them. Sources without packets, and streams whose
key frames are too far apart to be kept, leave a JPEG of every analysed frame instead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from detector.types import Detections, Image
from ingest.clips import SIDE_MAX
from ingest.evidence import Piece
from ingest.film import NEAR_S, Look, Reel, make_clips
from ingest.mainstream import moved
from ingest.redact import Polygon, black_out, redact
from ingest.shots import (
    Developed,
    KeyShot,
    Note,
    Shot,
    before_of,
    occupied,
    resized,
    shot_of,
    shrink,
    united,
    with_persons,
    with_thing,
)
from ingest.sources.packets import Tape
from ingest.sources.picture import DecodedPicture
from ingest.stills import jpeg, near_of, outlined, scaled
from ingest.types import XYXY, Event, EventPhase, Frame

HIDING = timedelta(seconds=4)
"""A person found so long before a picture at most may be in it unfound."""
PINNED_MAX = 64
"""Pre-alarms whose "before" picture is kept; most of them come to nothing, and nobody says so."""
SPARSE_MAX = 96
"""Pictures kept for "before" ..."""
SPARSE_BYTES_MAX = 2 << 20
"""... and the bytes of those that are kept as key frames: 8 of 1080p at 4 Mbit/s, 96 of a substream."""


class EvidenceRecorder:
    """The recent past of one camera.

    Feed it every analysed frame with `add`, every event with `capture` (or `prepare`) while its frame is the
    one fed last. Memory: boxes of the last `clip_s`, a picture per `sparse_s` back to `keep_s` within
    `SPARSE_MAX` and `SPARSE_BYTES_MAX`, and the last frame; without a tape also a JPEG per frame of the last
    `clip_s`.
    """

    def __init__(
        self,
        *,
        privacy: Sequence[Polygon] = (),
        clip_s: float = 10.0,
        keep_s: float = 240.0,
        sparse_s: float = 2.0,
        fps: float = 5.0,
    ) -> None:
        """Take the camera's settings.

        Args:
            privacy: polygons in fractions of the frame, black in everything that is kept.
            clip_s: length of the clip.
            keep_s: how far back "before" may reach: the longest dwell and 30 s.
            sparse_s: step of the pictures kept for "before".
            fps: analysed frames per second: how long the clip shows its last picture.
        """
        self._privacy = tuple(privacy)
        self._clip_s, self._clip = clip_s, timedelta(seconds=clip_s)
        self._keep = timedelta(seconds=keep_s)
        self._sparse = timedelta(seconds=max(sparse_s, keep_s / SPARSE_MAX))
        self._fps = fps
        self._tape: Tape | None = None
        self._look: Look | None = None
        self._dense: deque[Shot | Note] = deque()
        self._old: deque[Shot | KeyShot] = deque(maxlen=SPARSE_MAX)
        self._pinned: dict[str, Shot | KeyShot] = {}
        self._last: tuple[Frame, Detections] | None = None
        self._original_clip: tuple[int, bytes] = (-1, b"")

    def use(self, tape: Tape | None, look: Look | None) -> None:
        """Take pictures from a source's tape from now on.

        Args:
            tape: where the source keeps its packets; None: it keeps none.
            look: finds people in pictures that were not analysed; None: the boxes around them are used.
        """
        self._tape, self._look = tape, look

    def add(self, frame: Frame, detections: Detections) -> None:
        """Take the next analysed frame.

        Args:
            frame: with increasing index and time.
            detections: its boxes at a low threshold (0.1 or less): they say what is redacted.
        """
        self._last = (frame, detections)
        taped = self._taped(frame, detections)
        if taped is not None:
            self._keep_key(*taped)
            self._dense.append(taped[1])
        else:
            self._dense.append(shot_of(frame.index, frame.at, self._whole(frame), detections))
        self._let_go(frame)

    def pass_by(self, frame: Frame, carried: Detections) -> bool:
        """Take a frame in which nobody has looked; whom to hide in it is asked when it is shown.

        Args:
            frame: with increasing index and time.
            carried: what was found in an earlier one where nothing has changed since.

        Returns:
            False: it cannot be had again, so it must be looked at and added.
        """
        taped = self._taped(frame, carried)
        if taped is None or self._look is None:
            return False
        self._keep_key(*taped, looked=False)
        self._let_go(frame)
        return True

    def show(self, frame: Frame, look: Callable[[], Detections]) -> None:
        """Take the frame that was passed by after all: it is to be shown, `look` says whom to hide."""
        self.add(frame, look())

    def _taped(self, frame: Frame, detections: Detections) -> tuple[Tape, Note] | None:
        if self._tape is None or not _lies_as_shown(frame) or not self._tape.holds(frame.mark):
            return None
        assert frame.mark is not None  # noqa: S101 - the tape holds it
        return self._tape, Note(frame.index, frame.at, frame.mark, detections)

    def _let_go(self, frame: Frame) -> None:
        """Let go of what is too old."""
        while self._dense and frame.at - self._dense[0].at >= self._clip:
            self._retire(self._dense.popleft())
        while self._old and frame.at - self._old[0].at > self._keep:
            self._old.popleft()

    def capture(self, event: Event) -> tuple[Piece, ...]:
        """Give the evidence of an event in its present phase.

        A pre-alarm gives nothing yet but keeps its "before" picture; a confirmed event gives near, far,
        before, clip, and the sealed far and clip; an ended one gives "after".

        Raises:
            ValueError: the event's frame is not the one fed last.
        """
        return self.prepare(event).make()

    def prepare(self, event: Event, main: Frame | None = None) -> Capture:
        """Hold on to what the evidence of an event is made of; `make` of it may be called in another thread.

        Args:
            event: of the frame fed last.
            main: a picture of the same moment from the camera's main stream, for the stills.

        Raises:
            ValueError: the event's frame is not the one fed last.
        """
        if event.phase is EventPhase.PRE_ALARM:
            self._pin(event)
            return Capture(event)
        frame, detections = self._frame_of(event)
        if isinstance(frame.picture, DecodedPicture):
            frame.picture.settle()
        seen = self._hiding(detections)
        if event.phase is EventPhase.ENDED:
            self._pinned.pop(event.event_id, None)
            return Capture(event, _Material(self, frame, seen))
        before = self._pin(event)
        cut = None if self._tape is None else self._tape.cut(frame.mark, self._clip_s - 0.5 / self._fps)
        past = tuple(self._dense)
        if not isinstance(past[-1], Note):
            cut = None
        reel = Reel(frame, past, cut, self._fps, self._privacy, self._look)
        if main is not None and self._look is None:
            main = None  # nobody could say whom to hide in it
        return Capture(event, _Material(self, frame, seen, before, reel, main))

    def done(self) -> None:
        """Let go of the frame fed last: nothing more is asked of it, and the next may be seconds away."""
        self._last = None

    def forget(self, event_id: str) -> None:
        """Let go of the "before" picture of an event that came to nothing."""
        self._pinned.pop(event_id, None)

    # -- what was --

    def _keep_key(self, tape: Tape, note: Note, *, looked: bool = True) -> None:
        """Keep the key frame at or before a frame, if the last one kept is old enough."""
        recent = bool(self._old) and note.at - self._old[-1].at < self._sparse
        cut = None if recent else tape.key_of(note.mark)
        if cut is None:
            return
        key = cut.items[0]
        at = note.at - timedelta(seconds=float((note.mark[1] - key.pts) * cut.codec.time_base))
        if self._old and at - self._old[-1].at < self._sparse:
            return
        earlier = [one for one in self._dense if one.at <= at][-1:]
        around = [one for one in [*earlier, note] if abs((one.at - at).total_seconds()) <= NEAR_S]
        boxes = [resized(one.detections, 1 / one.scale) for one in around or [note]]
        own = key.mark == note.mark
        seen = note.detections if own else united(boxes)
        number = note.index if own else key.number
        self._old.append(KeyShot(number, at, cut, seen, looked=looked and (own or bool(around))))
        self._thin_out()

    def _thin_out(self) -> None:
        """Let pictures go until all fit, evenly by their age: the older, the further apart."""
        kept = list(self._old)
        while len(kept) > 2 and sum(_size(one) for one in kept) > SPARSE_BYTES_MAX:
            newest = kept[-1].at
            shares = [
                (later.at - earlier.at) / (newest - earlier.at) if newest > earlier.at else 1.0
                for earlier, later in zip(kept, kept[2:], strict=False)
            ]
            del kept[1 + shares.index(min(shares))]
        self._old = deque(kept, maxlen=SPARSE_MAX)

    def _retire(self, one: Shot | Note) -> None:
        if isinstance(one, Shot) and (not self._old or one.at - self._old[-1].at >= self._sparse):
            self._old.append(one)

    def _whole(self, frame: Frame) -> Image:
        """Give a frame's picture without what may not be kept; the frame does not keep it."""
        image = frame.image if frame.picture is None else frame.picture.bgr()
        return black_out(image.copy(), self._privacy) if self._privacy else image

    def _frame_of(self, event: Event) -> tuple[Frame, Detections]:
        if self._last is None or self._last[0].index != event.frame_index:
            last = None if self._last is None else self._last[0].index
            raise ValueError(f"wanted evidence of frame {event.frame_index}, the frame fed last is {last}")
        return self._last

    def _hiding(self, detections: Detections) -> Detections:
        """Add the persons of the two frames before: who is missed in one frame is found in the next."""
        earlier = [one for one in list(self._dense)[-3:-1] if self._dense[-1].at - one.at <= HIDING]
        return with_persons(detections, (resized(one.detections, 1 / one.scale) for one in earlier))

    # -- the picture from before --

    def _pin(self, event: Event) -> Shot | KeyShot:
        pinned = self._pinned.get(event.event_id)
        if pinned is None:
            if not (self._dense or self._old):
                raise ValueError("wanted a picture from before the event, no frame was fed yet")
            if len(self._pinned) >= PINNED_MAX:
                self._pinned.pop(next(iter(self._pinned)))
            pinned = self._pinned[event.event_id] = self._before(event)
        return pinned

    def _before(self, event: Event) -> Shot | KeyShot:
        """Choose the picture from before the thing came; key frames are nearer at hand than others."""
        old: list[Shot | KeyShot] = list(self._old)
        shots: list[Shot | KeyShot] = [one for one in self._dense if isinstance(one, Shot)]
        keys = [one for one in old if one.at < event.started_at and not occupied(one, event.xyxy)]
        everything: list[Shot | KeyShot | Note] = sorted([*old, *self._dense], key=lambda one: one.at)
        candidates = [keys[-1]] if keys and not shots else everything
        ordered = [before_of(candidates, event), *sorted(everything, key=lambda one: one.at)]
        return next(shot for shot in map(self._lasting, ordered) if shot is not None)

    def _lasting(self, one: Shot | KeyShot | Note) -> Shot | KeyShot | None:
        """Give what can be developed whenever it is wanted; None: it is gone, or cannot be decoded."""
        if not isinstance(one, Note):
            return one
        cut = None if self._tape is None else self._tape.cut(one.mark, 0.0)
        pictures = [] if cut is None else [DecodedPicture(picture) for _, picture in cut.pictures()]
        if pictures:
            image = pictures[-1].bgr()
            if self._privacy:
                image = black_out(image.copy(), self._privacy)
            return shot_of(one.index, one.at, image, one.detections)
        last = self._last
        own = last is not None and last[0].index == one.index
        return shot_of(one.index, one.at, self._whole(last[0]), last[1]) if own and last else None

    def developed(self, one: Shot | KeyShot) -> Developed | None:
        """Make a picture of what was kept of it; None: it cannot be decoded."""
        if isinstance(one, Shot):
            return Developed(one.index, one.at, one.image(), one.scale, one.detections)
        pictures = [DecodedPicture(picture) for _, picture in one.cut.pictures()]
        if not pictures:
            return None
        picture, seen = pictures[-1], one.detections
        if not one.looked and self._look is not None:
            seen = self._look(picture.bgr())
        scale = min(1.0, SIDE_MAX / max(picture.wh))
        if self._privacy:
            image = shrink(black_out(picture.bgr().copy(), self._privacy), scale)
        else:
            image = picture.smaller(SIDE_MAX)
        return Developed(one.index, one.at, image, scale, resized(seen, scale))

    # -- the clip --

    def clips_of(self, event: Event, reel: Reel) -> tuple[bytes, bytes]:
        """Give an event's redacted clip, and the original; coded anew, events of one frame share it."""
        sealed = reel.sealed()
        missing = sealed is None and self._original_clip[0] != event.frame_index
        public, original = make_clips(reel, event, 1.0 / self._fps, original=missing)
        if missing:
            self._original_clip = event.frame_index, original
        return public, self._original_clip[1] if sealed is None else sealed

    def look(self, frame: Frame) -> Detections:
        """Say who is in a frame that was not analysed."""
        if self._look is None:
            raise ValueError("wanted somebody to look at the picture, got none")
        return self._look(frame.image if frame.picture is None else frame.picture.bgr())

    def present(self, frame: Frame, seen: Detections) -> Developed:
        """Give an event's own frame where there is none from before."""
        image = self._whole(frame)
        scale = min(1.0, SIDE_MAX / max(frame.wh))
        return Developed(frame.index, frame.at, shrink(image, scale), scale, resized(seen, scale))

    def still_of(self, frame: Frame) -> Image:
        """Give an event's frame without what may not be kept."""
        return self._whole(frame)


def _lies_as_shown(frame: Frame) -> bool:
    """Say whether a frame is on its tape as it was analysed: the tape does not know what is to be turned."""
    turned = isinstance(frame.picture, DecodedPicture) and frame.picture.turned
    return frame.mark is not None and not turned


def _size(one: Shot | KeyShot) -> int:
    return one.cut.items[0].size if isinstance(one, KeyShot) else 0


@dataclass(frozen=True, slots=True)
class _Material:
    """What an event's evidence is made of."""

    recorder: EvidenceRecorder
    frame: Frame
    seen: Detections
    before: Shot | KeyShot | None = None
    reel: Reel | None = None
    main: Frame | None = None


@dataclass(frozen=True, slots=True)
class Capture:
    """Evidence of an event that is still to be made: a third of a second's work."""

    event: Event
    material: _Material | None = None

    def make(self) -> tuple[Piece, ...]:
        """Make it. The captures of one camera are made one after the other."""
        material = self.material
        if material is None:
            return ()
        if material.before is None or material.reel is None:
            return (self._after(material),)
        stills = (
            self._own_stills(material) if material.main is None else self._from_main(material, material.main)
        )
        return self._with_past(stills, material)

    def _after(self, material: _Material) -> Piece:
        """Make the picture of the place when it is over."""
        frame = material.frame
        image = material.recorder.still_of(frame)
        after = outlined(redact(image, with_thing(material.seen, self.event)), self.event.xyxy, thin=True)
        return Piece("after", jpeg(after), "image/jpeg", frame.index, frame.at)

    def _own_stills(self, material: _Material) -> tuple[Piece, Piece, Piece]:
        """Make the stills of the event's own frame."""
        frame = material.frame
        image = material.recorder.still_of(frame)
        public = redact(image, with_thing(material.seen, self.event))
        return self._stills(image, public, self.event.xyxy, frame.index, frame.at)

    def _from_main(self, material: _Material, main: Frame) -> tuple[Piece, Piece, Piece]:
        """Make the stills of the main stream's picture."""
        box = moved(self.event.xyxy, material.frame.wh, main.wh)
        image = material.recorder.still_of(main)
        there = replace(self.event, xyxy=box)
        public = redact(image, with_thing(material.recorder.look(main), there))
        return self._stills(image, public, box, material.frame.index, main.at)

    def _stills(
        self, image: Image, public: Image, box: XYXY, index: int, at: datetime
    ) -> tuple[Piece, Piece, Piece]:
        """Give near, far, and the sealed far."""
        near = near_of(public, box)
        far = outlined(public, box)
        return (
            Piece("near", jpeg(near), "image/jpeg", index, at),
            Piece("far", jpeg(far), "image/jpeg", index, at),
            Piece("far", jpeg(image), "image/jpeg", index, at, sealed=True),
        )

    def _with_past(self, stills: tuple[Piece, Piece, Piece], material: _Material) -> tuple[Piece, ...]:
        """Add the picture from before and the clips."""
        near, far, sealed_far = stills
        reel, frame, recorder = material.reel, material.frame, material.recorder
        if material.before is None or reel is None:
            return stills
        before = self._before(material, material.before)
        clip, original = recorder.clips_of(self.event, reel)
        return (
            near,
            far,
            before,
            Piece("clip", clip, "video/mp4", frame.index, frame.at),
            sealed_far,
            Piece("clip", original, "video/mp4", frame.index, frame.at, sealed=True),
        )

    def _before(self, material: _Material, kept: Shot | KeyShot) -> Piece:
        """Make the picture from before."""
        recorder = material.recorder
        before = recorder.developed(kept) or recorder.present(material.frame, material.seen)
        place = scaled(self.event.xyxy, before.scale)
        earlier = outlined(redact(before.image, before.detections), place, thin=True)
        return Piece("before", jpeg(earlier), "image/jpeg", before.index, before.at)
