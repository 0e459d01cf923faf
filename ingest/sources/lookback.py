"""Which coded pictures must be decoded: key frames while nothing happens, everything while something does.

Pure: a state machine over coded pictures in the order in which they come. `ingest.sources.decoding` does what
it says, and tells it what was seen.

FOLLOW: every picture is decoded. After a while without change the source calls `rest`.
LOOK: key frames alone are decoded; the pictures since the last one are kept as they came. A key frame that
differs brings FOLLOW, and what was kept is decoded first: what happened between two key frames is seen, with
its true times, as late as the distance of two key frames.
THIN: decoding cannot keep up; key frames alone are decoded, and nothing is kept.

LOOK is only for streams whose key frames come close enough. One that has not come for `gap_max_s`, or as much
as may be kept, is waited for no longer: what was kept is decoded, and the stream is followed until its key
frames come closer again. A group of pictures without end costs what full decoding costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

GAP_MAX_S = 3.0
"""Longest distance of two key frames that is waited for; the rules take a pause over 4.5 s for a loss."""
KEPT_BYTES_MAX = 6 << 20
KEPT_MAX = 400


class CodedPicture(Protocol):
    """A picture that is not decoded yet."""

    @property
    def key(self) -> bool:
        """Whether it can be decoded alone."""
        ...

    @property
    def seconds(self) -> float:
        """When it is shown."""
        ...

    @property
    def size(self) -> int:
        """Its bytes."""
        ...


T = TypeVar("T", bound=CodedPicture)


class Mode(StrEnum):
    """What is decoded."""

    FOLLOW = "follow"
    LOOK = "look"
    THIN = "thin"


class Do(StrEnum):
    """What to do with a coded picture."""

    DROP = "drop"
    """It is not needed."""
    KEEP = "keep"
    """Nothing now; it may be needed later and is kept."""
    DECODE = "decode"
    """Decode it after the one before."""
    PROBE = "probe"
    """Decode this key frame alone and say `changed` or `unchanged`."""
    REPLAY = "replay"
    """Decode what `replay` gives; this picture is the last of it."""


class LookBack(Generic[T]):
    """The state machine. Call `take` for every coded picture, in decoding order, and do what it says.

    Args:
        gap_max_s: distance of two key frames up to which they are enough; 0: always FOLLOW.
        bytes_max, count_max: how much may be kept.
    """

    def __init__(
        self, gap_max_s: float = GAP_MAX_S, bytes_max: int = KEPT_BYTES_MAX, count_max: int = KEPT_MAX
    ) -> None:
        self.mode = Mode.FOLLOW
        self._gap_max_s, self._bytes_max, self._count_max = gap_max_s, bytes_max, count_max
        self._kept: list[T] = []
        self._bytes = 0
        self._whole = False
        self._close = False
        self._key_s: float | None = None
        self._first_s: float | None = None
        self._blind = True

    @property
    def kept(self) -> Sequence[T]:
        """What has been kept since the last key frame, that one first."""
        return self._kept

    @property
    def kept_bytes(self) -> int:
        """How much is kept now."""
        return self._bytes

    @property
    def roomy(self) -> bool:
        """Whether as much again may be kept."""
        return 2 * self._bytes <= self._bytes_max and 2 * len(self._kept) <= self._count_max

    def take(self, item: T) -> Do:
        """Say what to do with the next coded picture."""
        if item.key:
            return self._take_key(item)
        if self.mode is Mode.THIN or self._blinded(item):
            return Do.DROP
        self._keep(item)
        waited_s = item.seconds - (self._key_s if self._key_s is not None else item.seconds)
        if waited_s <= self._gap_max_s and not self._full:
            return Do.KEEP if self.mode is Mode.LOOK else Do.DECODE
        self._close = False
        if self.mode is Mode.LOOK:
            self.mode = Mode.FOLLOW
            return Do.REPLAY
        if self._full:
            self._forget()
        return Do.DECODE

    def changed(self) -> list[T]:
        """Answer a PROBE: it differs. Give what to decode, the key frame last."""
        items = self._kept
        self.mode = Mode.FOLLOW
        self._restart(items[-1])
        return items

    def unchanged(self) -> None:
        """Answer a PROBE: nothing has changed."""
        self._restart(self._kept[-1])

    def drop_before(self, key: T) -> None:
        """Keep nothing of what came before a key frame."""
        self._kept = self._kept[self._kept.index(key) :]
        self._bytes = sum(item.size for item in self._kept)

    def replay(self) -> list[T]:
        """Give what has been kept since the last key frame, that one included; from here on FOLLOW."""
        self.mode = Mode.FOLLOW
        return list(self._kept)

    def rest(self) -> bool:
        """Decode key frames alone from here on, if the stream allows it; say whether it does."""
        if self.mode is Mode.FOLLOW and self._close and self._whole:
            self.mode = Mode.LOOK
        return self.mode is Mode.LOOK

    def thin(self) -> None:
        """Decode key frames alone, whatever they show: there is no time for more."""
        self.mode = Mode.THIN
        self._forget()

    def resume(self) -> None:
        """Follow again, from the next key frame on: after THIN, or where pictures were passed over."""
        self.mode = Mode.FOLLOW
        self._forget()
        self._blind, self._first_s = True, None

    def _take_key(self, item: T) -> Do:
        gap_s = None if self._key_s is None else item.seconds - self._key_s
        # the first one may be taken for close: should the next not come in time, what was kept is decoded
        self._close = self._gap_max_s > 0 and (gap_s is None or 0 < gap_s <= self._gap_max_s)
        self._key_s, self._blind = item.seconds, False
        if self.mode is Mode.LOOK:
            self._keep(item)
            return Do.PROBE
        self._restart(item)
        return Do.PROBE if self.mode is Mode.THIN else Do.DECODE

    def _blinded(self, item: T) -> bool:
        """Say whether a key frame must still come first; some streams have none, and are not waited for."""
        if self._blind:
            self._first_s = item.seconds if self._first_s is None else self._first_s
            self._blind = item.seconds - self._first_s <= max(self._gap_max_s, GAP_MAX_S)
        return self._blind

    @property
    def _full(self) -> bool:
        return self._bytes > self._bytes_max or len(self._kept) >= self._count_max

    def _keep(self, item: T) -> None:
        if self._whole:
            self._kept.append(item)
            self._bytes += item.size

    def _restart(self, key: T) -> None:
        self._kept, self._bytes, self._whole = [key], key.size, True

    def _forget(self) -> None:
        self._kept, self._bytes, self._whole = [], 0, False
