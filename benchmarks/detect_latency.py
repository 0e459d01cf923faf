"""Time from picture to boxes on the demo clip, one picture after the other, per precision.

python benchmarks/detect_latency.py [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from detector.detector import open_detector
from ingest.sources import open_source

CLIP = Path(__file__).resolve().parents[1] / "datasets" / "demo" / "street.mp4"
WARM_UP = 10


def measure(precision: str) -> dict[str, object]:
    """Give wall milliseconds a picture: median, and the 2.5 and 97.5 percentiles."""
    times = []
    with open_detector(precision=precision) as detector, open_source(str(CLIP), "bench") as source:
        for frame in source.frames():
            start = time.perf_counter()
            detector.detect(frame.image)
            times.append(1000 * (time.perf_counter() - start))
        model = detector.model_ref
    low, middle, high = (round(float(v), 1) for v in np.percentile(times[WARM_UP:], (2.5, 50, 97.5)))
    return {
        "model": model,
        "precision": precision,
        "n": len(times) - WARM_UP,
        "ms": middle,
        "ms_95": [low, high],
    }


def main() -> None:
    """Print the table; write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    rows = [measure(precision) for precision in ("f32", "bf16")]
    for row in rows:
        print(f"{row['model']}  {row['precision']:<5} {row['ms']:>6} ms  95 % {row['ms_95']}  n={row['n']}")
    if args.json:
        report = {"at": datetime.now(UTC).isoformat(), "machine": machine, "rows": rows}
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
