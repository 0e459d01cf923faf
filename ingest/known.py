"""What is already reported, as the rules want to hear it after a restart. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from ingest.types import Event, EventKind, EventPhase


def events_of(cases: Iterable[dict[str, Any]], wh: tuple[int, int]) -> Iterator[Event]:
    """Turn open cases into confirmed events.

    Args:
        cases: Case JSON of one camera.
        wh: width and height of its frames in pixels.
    """
    for case in cases:
        box = case["box"]
        yield Event(
            event_id=str(case["report_id"]),
            kind=EventKind(case["kind"]),
            variant=str(case["variant"]),
            zone_id=str(case["zone_id"]),
            phase=EventPhase.CONFIRMED,
            started_at=datetime.fromisoformat(case["started_at"]),
            observed_at=datetime.fromisoformat(case["observed_at"]),
            ended_at=None,
            confidence=float(case["confidence"]),
            label=str(case["label"]),
            xyxy=(box["x0"] * wh[0], box["y0"] * wh[1], box["x1"] * wh[0], box["y1"] * wh[1]),
            frame_index=0,
        )
