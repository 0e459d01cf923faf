"""Decode again from a key frame, without decoding that one again where it can be helped.

Pictures can be decoded only after all those since their key frame. Who looks at key frames first and at what
lies between them afterwards comes back to each; a decoder that has had the key frame may wait for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from ingest.gate import ROUNDING_S, ChangeWatch, Rate, Thumbnail, shrunk
from ingest.sources import SourceStatus
from ingest.sources.decoding import Decoding, Shown
from ingest.sources.motion import Moment
from ingest.sources.packets import Codec, Coded


@dataclass(frozen=True, slots=True)
class Begun:
    """A decoder that is ready to go on behind a key frame.

    Args:
        key: the first it has had. count: how many it has had, of which none but the key frame was due.
        decoder: it, with nothing held back.
    """

    key: Coded
    count: int
    decoder: VideoCodecContext


class Rewinding(Decoding):
    """As `Decoding`, and goes back to a key frame and on from there.

    Args:
        codec, rate, status, watch, gap_max_s: see `Decoding`.
    """

    def __init__(
        self, codec: Codec, rate: Rate, status: SourceStatus, watch: ChangeWatch, *, gap_max_s: float
    ) -> None:
        super().__init__(codec, rate, status, watch, gap_max_s=gap_max_s)
        self._begun: Begun | None = None

    def _decoded(self, key: Coded) -> tuple[Shown, Thumbnail] | None:
        picture = self._alone(key, open_end=True)
        if picture is None:
            return None
        shown = Shown(key, self._turned(picture))
        with self._status.stages.span("gate"):
            return shown, shrunk(shown.picture.luma())

    def _ready(self, key: Coded, count: int) -> Begun | None:
        decoder = self._decoder()
        return None if decoder is None else Begun(key, count, decoder)

    def _begun_with(self, held: Sequence[Coded]) -> Begun | None:
        """Take the decoder that is ready behind the first of `held`; it is not ready for another."""
        begun, self._begun = self._begun, None
        return begun if begun is not None and held and held[0] is begun.key else None

    def _decoder(self) -> VideoCodecContext | None:
        """Give the decoder as it is, to go on with later; None: it is none, or a device's only one."""
        return self._context if self._fed and not (self._lent or self._keeps_decoder) else None

    def _go_on_with(self, decoder: VideoCodecContext | None) -> None:
        """Empty the decoder, and take this one if there is one."""
        self._restart()
        if decoder is not None:
            self._context, self._fed = decoder, True

    def _moment_later(self, key: Coded, since: Sequence[Coded], moment: Moment | None = None) -> Shown | None:
        """Give the last picture of those since a key frame; None: there is none yet.

        With `moment` the first one in which it is known of all that came whether it moves will do.
        """
        if not self._fed:  # it had to be emptied for the key frame to come out
            self._inside[key.pts] = key
            self._run(key)
        last: Shown | None = None
        fed, came, next_s = 1, 1, self._rate.next_s(key.seconds) - ROUNDING_S
        for coded in since:
            self._inside[coded.pts] = coded
            fed += 1
            for picture in self._run(coded):
                own = self._inside.pop(picture.pts, None) if picture.pts is not None else None
                if own is not None and own.seconds > key.seconds:
                    last, came = Shown(own, self._turned(picture)), came + 1
            if moment and last and moment.over(last.picture.luma(), last.coded.seconds - key.seconds):
                break
        if moment and last is not None and came == fed and last.coded.seconds < next_s:
            self._begun = self._ready(key, fed)
        self._restart()
        if last is not None:
            last.picture.settle()
        return last

    def _due_of(self, items: Sequence[Coded], until_s: float) -> Iterator[tuple[Coded, VideoFrame]]:
        """Decode, and give those that are due."""
        for item in items:
            self._inside[item.pts] = item
            for picture in self._run(item):
                coded = self._inside.pop(picture.pts, None) if picture.pts is not None else None
                if coded is None or not self._not_before_s < coded.seconds < until_s:
                    continue
                if self._rate.due(coded.seconds):
                    self._not_before_s = self._counted_s = coded.seconds
                    yield coded, picture
