"""What a camera's site file means for its source. Pure."""

from __future__ import annotations

import math
from datetime import tzinfo

from ingest.site import Camera
from ingest.sources import Decode, SourceSettings, kind_of


def settings_of(
    camera: Camera,
    tz: tzinfo,
    gate: str = "auto",
    *,
    fps: float | None = None,
    max_down_s: float | None = None,
) -> SourceSettings:
    """Give the settings of a camera's source.

    Args:
        camera: with a source.
        tz: of the site.
        gate: kind of gate; "follow" and "lookback" are the source's work, "auto" is "lookback" for live
            cameras.
        fps: analysed frames per second; None: what the site file says.
        max_down_s: see `SourceSettings`.
    """
    watched = [zone for zone in camera.zones if zone.events]
    live = camera.source is not None and kind_of(camera.source) == "rtsp"
    decode: Decode = "lookback" if gate == "lookback" or (gate == "auto" and live) else "all"
    decode = "follow" if gate == "follow" else decode
    return SourceSettings(
        fps=camera.fps if fps is None else fps,
        starts_at=camera.starts_at,
        tz=tz,
        max_down_s=max_down_s,
        decode_device=camera.decode_device,
        decode=decode,
        watched=tuple(zone.polygon for zone in watched),
        dwell_min_s=min((zone.dwell_s for zone in watched), default=math.inf),
    )
