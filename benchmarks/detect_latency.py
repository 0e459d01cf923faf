"""Time from picture to boxes on the demo clip, one picture after the other, per model and precision.

python benchmarks/detect_latency.py [--model street@1 --model street@2 ...] [--json FILE]

Precisions that a model has no file for are left out.
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

from detector.backends import Precision
from detector.detector import open_detector
from detector.registry import resolve
from ingest.sources import open_source

CLIP = Path(__file__).resolve().parents[1] / "datasets" / "demo" / "street.mp4"
WARM_UP = 10


def precisions(model: str) -> tuple[Precision, ...]:
    """Give what a model can be computed in."""
    int8: tuple[Precision, ...] = ("int8",) if resolve(model).files_of("openvino", "int8") else ()
    return ("f32", "bf16", *int8)


def measure(model: str, precision: Precision) -> dict[str, object]:
    """Give wall milliseconds a picture: median, and the 2.5 and 97.5 percentiles."""
    times = []
    with open_detector(model, precision=precision) as detector, open_source(str(CLIP), "bench") as source:
        for frame in source.frames():
            start = time.perf_counter()
            detector.detect(frame.image)
            times.append(1000 * (time.perf_counter() - start))
        ref = detector.model_ref
    low, middle, high = (round(float(v), 1) for v in np.percentile(times[WARM_UP:], (2.5, 50, 97.5)))
    return {
        "model": ref,
        "precision": precision,
        "n": len(times) - WARM_UP,
        "ms": middle,
        "ms_95": [low, high],
    }


def main() -> None:
    """Print the table; write JSON where asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", action="append", help="name@version or name@alias; repeatable")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    models = args.model or ["street@production"]
    rows = [measure(model, precision) for model in models for precision in precisions(model)]
    for row in rows:
        print(f"{row['model']}  {row['precision']:<5} {row['ms']:>6} ms  95 % {row['ms_95']}  n={row['n']}")
    if args.json:
        report = {"at": datetime.now(UTC).isoformat(), "machine": machine, "rows": rows}
        args.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
