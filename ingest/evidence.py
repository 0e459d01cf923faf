"""Pictures and clips that prove an event: kept in a bounded ring, cut out on demand, stored by content.

Far still, near still and the end of the clip of an event are one and the same frame, the event's own. Public
pictures are redacted (`ingest.redact`); the originals of far still and clip lie apart, in `sealed/`. Privacy
zones are black in both: what must not be seen is not kept either.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, cast
from uuid import uuid4

import cv2
import numpy as np

from detector.errors import Failure
from detector.types import Detections, Image
from ingest.clips import SIDE_MAX, encode_clip
from ingest.redact import PERSONS, Polygon, black_out, redact
from ingest.report import EvidenceRef, Role
from ingest.types import XYXY, Event, EventPhase, Frame

MediaType = Literal["image/jpeg", "video/mp4"]
SUFFIX: dict[MediaType, str] = {"image/jpeg": ".jpg", "video/mp4": ".mp4"}
STILL_QUALITY = 90
RING_QUALITY = 85
BOX_COLOUR = (48, 48, 255)
PINNED_MAX = 64
"""Pre-alarms whose "before" picture is kept; most of them come to nothing, and nobody says so."""
SPARSE_MAX = 96
"""Pictures kept for "before": about 8 MB a camera."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One picture or clip, not yet stored. See `EvidenceRef` for the fields."""

    role: Role
    data: bytes
    media_type: MediaType
    frame_index: int
    at: datetime
    sealed: bool = False


class EvidenceWriter:
    """Store evidence under `folder` by content: `<sha[:2]>/<sha>.jpg`, originals under `sealed/`.

    A file is there wholly or not at all, and on the disk before `put` returns. Putting it twice is once.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folders.

        Raises:
            Failure: they cannot be made.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "sealed").mkdir(mode=0o700, exist_ok=True)
            (folder / "sealed").chmod(0o700)
        except OSError as error:
            raise _cannot_write(folder, error) from error

    def put(self, piece: Piece) -> EvidenceRef:
        """Store one piece.

        Raises:
            Failure: the disk is full or cannot be written; nothing half-written is left, try again later.
        """
        ref = EvidenceRef(
            role=piece.role,
            sha256=hashlib.sha256(piece.data).hexdigest(),
            media_type=piece.media_type,
            size_bytes=len(piece.data),
            sealed=piece.sealed,
            frame_index=piece.frame_index,
            at=piece.at,
        )
        path = self.path_of(ref)
        if path.is_file() and path.stat().st_size == ref.size_bytes:
            return ref
        try:
            _write_whole(path, piece.data, 0o600 if piece.sealed else 0o644)
        except OSError as error:
            raise _cannot_write(self.folder, error) from error
        return ref

    def put_all(self, pieces: Iterable[Piece]) -> tuple[EvidenceRef, ...]:
        """Store all pieces of an event; after a `Failure` the same call may be made again."""
        return tuple(self.put(piece) for piece in pieces)

    def path_of(self, ref: EvidenceRef) -> Path:
        """Give where the piece lies."""
        root = self.folder / "sealed" if ref.sealed else self.folder
        return root / ref.sha256[:2] / (ref.sha256 + SUFFIX[ref.media_type])


def _write_whole(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(mode=0o755 if mode & 0o044 else 0o700, exist_ok=True)
    draft = path.with_name(f".{uuid4().hex}.tmp")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(folder: Path, error: OSError) -> Failure:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Failure(
            f"The disk that holds {folder} is full; free some space: nothing is lost, it is tried again."
        )
    return Failure(f"Evidence cannot be written to {folder}: {error.strerror or error}; make it writable.")


@dataclass(frozen=True, slots=True)
class _Shot:
    """A frame of the ring: JPEG of at most `SIDE_MAX` px, boxes in its own pixels."""

    index: int
    at: datetime
    jpeg: bytes
    scale: float
    detections: Detections

    def image(self) -> Image:
        image = cv2.imdecode(np.frombuffer(self.jpeg, np.uint8), cv2.IMREAD_COLOR)
        return cast(Image, image)


class EvidenceRecorder:
    """The recent past of one camera.

    Feed it every analysed frame with `add`, every event with `capture` while its frame is the one fed last.
    Memory: a JPEG per analysed frame of the last `clip_s`, then one per `sparse_s` back to `keep_s`, of these
    at most `SPARSE_MAX`, and the pixels of the last frame.
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
            sparse_s: step of the pictures kept beyond the clip.
            fps: analysed frames per second: how long the clip shows its last picture.
        """
        self._privacy = tuple(privacy)
        self._clip = timedelta(seconds=clip_s)
        self._keep = timedelta(seconds=keep_s)
        self._sparse = timedelta(seconds=max(sparse_s, keep_s / SPARSE_MAX))
        self._frame_s = 1.0 / fps
        self._dense: deque[_Shot] = deque()
        self._old: deque[_Shot] = deque(maxlen=SPARSE_MAX)
        self._pinned: dict[str, _Shot] = {}
        self._last: tuple[Frame, Image, Detections] | None = None
        self._original_clip: tuple[int, bytes] = (-1, b"")

    def add(self, frame: Frame, detections: Detections) -> None:
        """Take the next analysed frame.

        Args:
            frame: with increasing index and time.
            detections: its boxes at a low threshold (0.1 or less): they say what is redacted.
        """
        image = black_out(frame.image.copy(), self._privacy) if self._privacy else frame.image
        self._last = (frame, image, detections)
        self._dense.append(_shot(frame, image, detections))
        while self._dense and frame.at - self._dense[0].at >= self._clip:
            self._retire(self._dense.popleft())
        while self._old and frame.at - self._old[0].at > self._keep:
            self._old.popleft()

    def _retire(self, shot: _Shot) -> None:
        if not self._old or shot.at - self._old[-1].at >= self._sparse:
            self._old.append(shot)

    def capture(self, event: Event) -> tuple[Piece, ...]:
        """Give the evidence of an event in its present phase.

        A pre-alarm gives nothing yet but keeps its "before" picture; a confirmed event gives near, far,
        before, clip, and the sealed far and clip; an ended one gives "after".

        Raises:
            ValueError: the event's frame is not the one fed last.
        """
        if event.phase is EventPhase.PRE_ALARM:
            self._pin(event)
            return ()
        if event.phase is EventPhase.ENDED:
            self._pinned.pop(event.event_id, None)
            return self._after(event)
        return self._confirmed(event)

    def forget(self, event_id: str) -> None:
        """Let go of the "before" picture of an event that came to nothing."""
        self._pinned.pop(event_id, None)

    def _confirmed(self, event: Event) -> tuple[Piece, ...]:
        frame, image, detections = self._frame_of(event)
        public = redact(image, _with_thing(self._hiding(detections), event))
        before = self._pin(event)
        place = _scaled(event.xyxy, before.scale)
        earlier = _outlined(redact(before.image(), before.detections), place, thin=True)
        clip, clip_original = self._clips(event, frame.wh)
        near = near_of(public, event.xyxy)
        far = _outlined(public, event.xyxy)

        def piece(
            role: Role, data: bytes, media_type: MediaType = "image/jpeg", *, sealed: bool = False
        ) -> Piece:
            return Piece(role, data, media_type, frame.index, frame.at, sealed)

        return (
            piece("near", _jpeg(near)),
            piece("far", _jpeg(far)),
            Piece("before", _jpeg(earlier), "image/jpeg", before.index, before.at),
            piece("clip", clip, "video/mp4"),
            piece("far", _jpeg(image), sealed=True),
            piece("clip", clip_original, "video/mp4", sealed=True),
        )

    def _after(self, event: Event) -> tuple[Piece, ...]:
        frame, image, detections = self._frame_of(event)
        outlined = _outlined(
            redact(image, _with_thing(self._hiding(detections), event)), event.xyxy, thin=True
        )
        return (Piece("after", _jpeg(outlined), "image/jpeg", frame.index, frame.at),)

    def _frame_of(self, event: Event) -> tuple[Frame, Image, Detections]:
        if self._last is None or self._last[0].index != event.frame_index:
            last = None if self._last is None else self._last[0].index
            raise ValueError(f"wanted evidence of frame {event.frame_index}, the frame fed last is {last}")
        return self._last

    def _hiding(self, detections: Detections) -> Detections:
        """Add the persons of the two frames before: who is missed in one frame is found in the next."""
        earlier = list(self._dense)[-3:-1]
        return _merged(detections, (_resized(shot.detections, 1 / shot.scale) for shot in earlier))

    def _pin(self, event: Event) -> _Shot:
        pinned = self._pinned.get(event.event_id)
        if pinned is None:
            shots = [*self._old, *self._dense]
            if not shots:
                raise ValueError("wanted a picture from before the event, no frame was fed yet")
            if len(self._pinned) >= PINNED_MAX:
                self._pinned.pop(next(iter(self._pinned)))
            pinned = self._pinned[event.event_id] = before_of(shots, event)
        return pinned

    def _clips(self, event: Event, wh: tuple[int, int]) -> tuple[bytes, bytes]:
        """Give the redacted clip with the box, from when the thing stood there, and the original without."""
        shots = list(self._dense)
        seconds = [(shot.at - shots[0].at).total_seconds() for shot in shots]
        if self._original_clip[0] != event.frame_index:
            original = encode_clip((shot.image() for shot in shots), seconds, self._frame_s, wh)
            self._original_clip = event.frame_index, original
        public = encode_clip(_redacted(shots, event), seconds, self._frame_s, wh)
        return public, self._original_clip[1]


def _redacted(shots: Sequence[_Shot], event: Event) -> Iterator[Image]:
    """Give the pictures of a public clip, one by one."""
    for place, shot in enumerate(shots):
        around = [*shots[max(0, place - 2) : place], *shots[place + 1 : place + 3]]
        seen = _merged(shot.detections, (other.detections for other in around))
        if shot.at < event.started_at:
            yield redact(shot.image(), seen)
        else:
            hidden = redact(shot.image(), _with_thing(seen, event, shot.scale))
            yield _outlined(hidden, _scaled(event.xyxy, shot.scale))


def before_of(shots: Sequence[_Shot], event: Event) -> _Shot:
    """Choose the picture from before the thing came: the newest in which nothing stands at its place.

    Failing that the newest from 3 s before it came to rest, failing that the oldest.
    """
    earlier = [shot for shot in shots if shot.at < event.started_at]
    for shot in reversed(earlier):
        if not _occupied(shot, event.xyxy):
            return shot
    settled = event.started_at - timedelta(seconds=3)
    return next((shot for shot in reversed(earlier) if shot.at <= settled), shots[0])


def _occupied(shot: _Shot, xyxy: XYXY) -> bool:
    x0, y0, x1, y1 = _scaled(xyxy, shot.scale)
    boxes = shot.detections.xyxy
    if not len(boxes):
        return False
    width = np.minimum(boxes[:, 2], x1) - np.maximum(boxes[:, 0], x0)
    height = np.minimum(boxes[:, 3], y1) - np.maximum(boxes[:, 1], y0)
    shared = np.clip(width, 0, None) * np.clip(height, 0, None)
    return bool((shared > 0.2 * max((x1 - x0) * (y1 - y0), 1.0)).any())


def _shot(frame: Frame, image: Image, detections: Detections) -> _Shot:
    scale = min(1.0, SIDE_MAX / max(frame.wh))
    if scale < 1.0:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    kept = _resized(detections, scale)
    return _Shot(frame.index, frame.at, _jpeg(image, RING_QUALITY), scale, kept)


def _resized(detections: Detections, scale: float) -> Detections:
    return Detections(
        detections.xyxy * np.float32(scale), detections.score, detections.label, detections.names
    )


def _merged(own: Detections, others: Iterable[Detections]) -> Detections:
    """Add the persons of neighbouring frames to a frame's own boxes."""
    persons = [other.where(np.isin(other.label, _indices(other, PERSONS))) for other in others]
    several = [own, *persons]
    return Detections(
        np.concatenate([each.xyxy for each in several]),
        np.concatenate([each.score for each in several]),
        np.concatenate([each.label for each in several]),
        own.names,
    )


def _with_thing(detections: Detections, event: Event, scale: float = 1.0) -> Detections:
    """Add the thing itself: what the rules are sure of is not taken for a person in a single frame."""
    if event.label not in detections.names:
        return detections
    return Detections(
        np.concatenate([detections.xyxy, np.array([_scaled(event.xyxy, scale)], np.float32)]),
        np.append(detections.score, np.float32(min(max(event.confidence, 0.3), 1.0))),
        np.append(detections.label, detections.names.index(event.label)),
        detections.names,
    )


def _indices(detections: Detections, labels: frozenset[str]) -> list[int]:
    return [index for index, name in enumerate(detections.names) if name in labels]


def _scaled(xyxy: XYXY, scale: float) -> XYXY:
    x0, y0, x1, y1 = xyxy
    return x0 * scale, y0 * scale, x1 * scale, y1 * scale


def _outlined(image: Image, xyxy: XYXY, *, thin: bool = False) -> Image:
    """Draw the box, in place: red on white, thin and grey for pictures in which the thing is not there."""
    x0, y0, x1, y1 = (round(side) for side in xyxy)
    width = max(1, round(max(image.shape[:2]) / (640 if thin else 400)))
    if not thin:
        cv2.rectangle(image, (x0, y0), (x1, y1), (255, 255, 255), width + 2, cv2.LINE_AA)
    cv2.rectangle(image, (x0, y0), (x1, y1), (200, 200, 200) if thin else BOX_COLOUR, width, cv2.LINE_AA)
    return image


def near_of(image: Image, xyxy: XYXY) -> Image:
    """Cut out the box and half its size around it, at least 160 px; small cuts are enlarged. Box drawn."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = xyxy
    half_w = max((x1 - x0) * 0.95, 80.0)
    half_h = max((y1 - y0) * 0.95, 80.0)
    middle = (x0 + x1) / 2, (y0 + y1) / 2
    left, top = (
        min(max(0, int(m - h)), side - 1)
        for m, h, side in zip(middle, (half_w, half_h), (width, height), strict=True)
    )
    right, bottom = max(left + 1, int(middle[0] + half_w) + 1), max(top + 1, int(middle[1] + half_h) + 1)
    cut = image[top:bottom, left:right].copy()
    factor = min(4.0, 800 / max(cut.shape[:2]))
    if factor > 1.0:
        cut = cv2.resize(cut, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    factor = max(factor, 1.0)
    return _outlined(cut, _scaled((x0 - left, y0 - top, x1 - left, y1 - top), factor))


def _jpeg(image: Image, quality: int = STILL_QUALITY) -> bytes:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data.tobytes())
