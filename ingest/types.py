"""What flows through one source: frozen, times aware UTC, distances metres, pixels of the source image."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from detector.types import Detections, Image

if TYPE_CHECKING:
    from detector.letterbox import Letterbox

XYXY: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of the source image."""


class Picture(Protocol):
    """What a decoder gives: a picture that is not yet BGR, nor of the size that is wanted."""

    @property
    def wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        ...

    def bgr(self) -> Image:
        """Give it whole: uint8 (H, W, 3) BGR, read-only."""
        ...

    def luma(self) -> npt.NDArray[np.uint8]:
        """Give its brightness, uint8 (H, W)."""
        ...

    def canvas(self, side_px: int, stride_px: int) -> tuple[Image, Letterbox]:
        """Give the network's canvas and how the picture lies on it."""
        ...


class Frame:
    """One analysed picture of one source.

    Args:
        source_id: the camera's id in the site file.
        index: position in the stream; counts dropped and skipped frames too.
        at: capture time from the stream's own clock, aware UTC.
        image: uint8 (H, W, 3) BGR, read-only; None: made of `picture` when it is first asked for.
        picture: what the decoder gave.
        mark: where it lies on the source's tape: number of the stream, presentation time; None: on none.
        seen: what the source has found in it by the pipeline's detector; None: nobody has looked yet.
        passing: boxes of `seen` that move on and must not be taken for what the next frame shows there.
        vacated: where something stood that is gone. left: those of them from which it was seen to move off.
        carried: `seen` was found in an earlier picture, and what stands in watched zones is the same in this
            one: good enough to count a dwell by, not to say whom to hide.

    Raises:
        ValueError: neither image nor picture.
    """

    __slots__ = (
        "_image",
        "at",
        "carried",
        "index",
        "left",
        "mark",
        "passing",
        "picture",
        "seen",
        "source_id",
        "vacated",
    )

    def __init__(  # noqa: PLR0913 - what is known of a picture
        self,
        source_id: str,
        index: int,
        at: datetime,
        image: Image | None = None,
        *,
        picture: Picture | None = None,
        mark: tuple[int, int] | None = None,
        seen: Detections | None = None,
        passing: tuple[XYXY, ...] = (),
        vacated: tuple[XYXY, ...] = (),
        left: tuple[XYXY, ...] = (),
        carried: bool = False,
    ) -> None:
        if image is None and picture is None:
            raise ValueError("wanted an image or a picture, got neither")
        self.source_id, self.index, self.at, self.mark = source_id, index, at, mark
        self._image, self.picture = image, picture
        self.seen, self.passing, self.vacated, self.left = seen, passing, vacated, left
        self.carried = carried

    @property
    def image(self) -> Image:
        """The whole picture, uint8 (H, W, 3) BGR, read-only."""
        if self._image is None:
            assert self.picture is not None  # noqa: S101 - one of the two is there
            self._image = self.picture.bgr()
        return self._image

    @property
    def wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        if self.picture is not None:
            return self.picture.wh
        return int(self.image.shape[1]), int(self.image.shape[0])


class ZoneKind(StrEnum):
    """What a polygon on the picture means; the same pixels give different events in different zones."""

    NO_PARKING = "no_parking"
    FIRE_LANE = "fire_lane"
    FOOTWAY = "footway"
    CARRIAGEWAY = "carriageway"
    NO_VENDING = "no_vending"
    PUBLIC = "public"
    GREEN_BELT = "green_belt"
    SHOPFRONT = "shopfront"
    FACADE = "facade"
    IGNORE = "ignore"
    PRIVACY = "privacy"


class EventKind(StrEnum):
    """What can be reported. Codes per standard stand in `datasets/classes.toml`."""

    ILLEGAL_PARKING = "illegal_parking"
    STREET_VENDING = "street_vending"
    SHOP_OVERFLOW = "shop_overflow"
    EXPOSED_GARBAGE = "exposed_garbage"
    ROAD_LITTER = "road_litter"
    BIN_OVERFLOW = "bin_overflow"
    GREEN_BELT_LITTER = "green_belt_litter"
    FLYING_WIRE = "flying_wire"


@dataclass(frozen=True, slots=True)
class Track:
    """One thing followed through one run of one source.

    Args:
        track_id: unique per source run.
        label: class name.
        xyxy: present box, pixels of the source image.
        score: confidence of the present box, [0, 1].
        first_at: first seen. last_at: last seen (may be older than the present frame while it coasts).
        hits: number of frames in which it was detected.
        anchor: box at which it has stood, or None while it moves.
        at_rest_since: when it came to rest, or None while it moves.
    """

    track_id: int
    label: str
    xyxy: XYXY
    score: float
    first_at: datetime
    last_at: datetime
    hits: int
    anchor: XYXY | None = None
    at_rest_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """What the rules see of one analysed frame: no pixels.

    `passing`: boxes of what is driving past and is not followed; it may hide what stands behind it.
    `left`: boxes of what stood and was seen to move off, each told once.
    """

    source_id: str
    index: int
    at: datetime
    wh: tuple[int, int]
    tracks: tuple[Track, ...]
    passing: tuple[XYXY, ...] = ()
    left: tuple[XYXY, ...] = ()


class EventPhase(StrEnum):
    """Where an event stands: seen, still there after the dwell, gone."""

    PRE_ALARM = "pre_alarm"
    CONFIRMED = "confirmed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Event:
    """One physical thing against the rules at one place; emitted once per phase.

    `event_id` is the same through all phases and the same when the same video is analysed again.
    `xyxy` is the thing's box, `started_at` when it came to rest, `observed_at` the frame of this phase,
    `frame_index` that frame, `track_ids` everything that was taken for this thing.
    """

    event_id: str
    kind: EventKind
    variant: str
    zone_id: str
    phase: EventPhase
    started_at: datetime
    observed_at: datetime
    ended_at: datetime | None
    confidence: float
    label: str
    xyxy: XYXY
    frame_index: int
    track_ids: tuple[int, ...] = field(default=())
