from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import cv2
import numpy as np
import pytest

AT = datetime(2026, 11, 23, 1, 15, tzinfo=UTC)
BOX = {"x0": 0.25, "y0": 0.25, "x1": 0.5, "y1": 0.75}
SIZE_PX = (80, 60)


def street(seed: int, size_px=SIZE_PX) -> bytes:
    """Give a small noisy picture as JPEG."""
    noise = np.random.default_rng(seed).integers(0, 120, (size_px[1], size_px[0], 3), dtype=np.uint8)
    return cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


class Centre:
    """A server's data folder and the decisions made there, as its API would give them."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.rows: list[dict] = []
        self.file = folder / "verdicts.jsonl"
        (self.data / "evidence" / "sealed").mkdir(parents=True)
        (self.data / "evidence" / "public").mkdir()

    def keep(self, jpeg: bytes, *, sealed: bool) -> dict:
        sha256 = hashlib.sha256(jpeg).hexdigest()
        path = self.data / "evidence" / ("sealed" if sealed else "public") / sha256[:2] / f"{sha256}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(jpeg)
        return {"role": "far", "sha256": sha256, "sealed": sealed, "media_type": "image/jpeg"}

    def decide(self, verdict: str = "confirm", jpeg: bytes | None = None, **changes) -> dict:
        number = len(self.rows) + 1
        jpeg = street(number) if jpeg is None else jpeg
        row = {
            "entry": number,
            "case_id": str(UUID(int=number)),
            "verdict": verdict,
            "by": "person",
            "reason_code": None,
            "correction": None,
            "reviewed_at": (AT + timedelta(days=number)).isoformat(),
            "kind": "illegal_parking",
            "variant": "motor",
            "label": "car",
            "box": BOX,
            "confidence": 0.8,
            "model": "street@1",
            "source_id": "cam-1",
            "zone_id": "kerb",
            "site": "",
            "observed_at": AT.isoformat(),
            "stills": [self.keep(jpeg, sealed=True)] if jpeg else [],
            **changes,
        }
        self.rows.append(row)
        self.file.write_text("".join(json.dumps(one) + "\n" for one in self.rows), encoding="utf-8")
        return row


@pytest.fixture(name="street")
def street_picture():
    return street


@pytest.fixture
def centre(tmp_path) -> Centre:
    return Centre(tmp_path)
