"""The network alone, per core and precision, and what the detector adds to it.

python benchmarks/inference.py [--model street@production] [--cores 2] [--rounds 30] [--json FILE]

One process per core, put there by its affinity, one thread and one stream in it; all start at once, so that
they share caches and memory as workers do. Canvases of 384x640 from the demo clip. Rounds of 20 pictures of
three kinds take turns: the network alone; `Detector.detect_canvas` at the pipeline's lowest threshold; the
network with its colours given as planar YUV (I420) instead of BGR, converted inside the graph. ms are of CPU
time, because other work on the machine lengthens that least; the rate is what a core did by the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.machine import describe, result, save
from detector.backends import Precision
from detector.backends.chip import multiplies_bf16
from detector.backends.openvino import import_openvino
from detector.detector import Detector
from detector.errors import Failure
from detector.letterbox import letterbox
from detector.registry import resolve
from detector.spec import ModelSpec
from ingest.redact import SCORE_MIN
from ingest.sources import open_source

CLIP = Path(__file__).resolve().parents[1] / "datasets" / "demo" / "street.mp4"
ROUND, WARM_UP = 20, 2


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="street@production")
    parser.add_argument("--cores", type=int, help="how many at once (all that this process may use)")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/inference.json")
    parser.add_argument("--worker", nargs=3, metavar=("CORE", "PRECISION", "START"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        core, precision, start = args.worker
        print(json.dumps(work(args.model, int(core), precision, float(start), args.rounds)))
        return 0
    cores = sorted(os.sched_getaffinity(0))[: args.cores]
    try:
        spec, machine = resolve(args.model), describe()
        rows = [row for one in precisions(spec) for row in measure(args, spec, one, cores)]
    except Failure as failure:
        print(f"inference: {failure}", file=sys.stderr)
        return failure.exit_code
    for row in rows:
        print(
            f"{row['precision']:<5}{row['what']:<10}{row['cpu_ms']:>7.2f} ms  90 % {row['cpu_ms_90']}"
            f"  {row['per_core_s']:>6.1f} pictures/s and core"
        )
    save(
        result(
            "inference",
            rows,
            args.rounds * ROUND * len(cores),
            "5 and 95 percentiles of the rounds' means",
            machine=machine,
            model=spec.ref,
            cores=len(cores),
        ),
        args.json,
    )
    return 0


def precisions(spec: ModelSpec) -> list[Precision]:
    """Give what this model can be computed in on this chip."""
    made: list[Precision] = ["f32"]
    if multiplies_bf16():
        made.append("bf16")
    if spec.files_of("openvino", "int8"):
        made.append("int8")
    return made


def measure(
    args: argparse.Namespace, spec: ModelSpec, precision: Precision, cores: Sequence[int]
) -> list[dict[str, Any]]:
    """Run one worker per core; give a row per kind of round."""
    start = time.time() + 4
    command = [sys.executable, "-m", "benchmarks.inference", "--model", str(spec.folder)]
    command += ["--rounds", str(args.rounds)]
    children = [
        subprocess.Popen(
            [*command, "--worker", str(core), precision, str(start)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[1],
        )
        for core in cores
    ]
    answers = [child.communicate()[0] for child in children]
    if any(child.returncode for child in children):
        raise Failure(f"a worker for {precision} failed; see above.")
    told = [json.loads(answer) for answer in answers]
    rows = []
    for what in told[0]:
        cpu = np.concatenate([each[what]["cpu_ms"] for each in told])
        wall = [float(np.median(each[what]["wall_ms"])) for each in told]
        low, middle, high = np.percentile(cpu, (5, 50, 95))
        rows.append(
            {
                "precision": precision,
                "what": what,
                "cpu_ms": round(float(middle), 3),
                "cpu_ms_90": [round(float(low), 3), round(float(high), 3)],
                "per_core_s": round(sum(1000 / ms for ms in wall) / len(wall), 1),
            }
        )
    return rows


def work(
    model: str, core: int, precision: Precision, start: float, rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Measure on one core; give the mean CPU and wall ms a picture of each round."""
    os.sched_setaffinity(0, {core})
    spec = resolve(model)
    with Detector(spec, "openvino", 1, precision, "throughput") as detector:
        kinds = runs(spec, detector)
        time.sleep(max(0.0, start - time.time()))
        spent: dict[str, dict[str, list[float]]] = {what: {"cpu_ms": [], "wall_ms": []} for what in kinds}
        for number in range(rounds + WARM_UP):
            for what, once in kinds.items():
                cpu, wall = time.process_time(), time.perf_counter()
                for place in range(ROUND):
                    once(place)
                if number >= WARM_UP:
                    spent[what]["cpu_ms"].append(1000 * (time.process_time() - cpu) / ROUND)
                    spent[what]["wall_ms"].append(1000 * (time.perf_counter() - wall) / ROUND)
    return spent


def runs(spec: ModelSpec, detector: Detector) -> dict[str, Callable[[int], object]]:
    """Give what is measured, by name: each computes the canvas of that number."""
    with open_source(str(CLIP), "bench") as source:
        pictures = [frame.image for frame, _ in zip(source.frames(), range(ROUND), strict=False)]
    laid = [letterbox(picture, spec.side_px, spec.stride_px) for picture in pictures]
    canvases, lies = [np.ascontiguousarray(canvas) for canvas, _ in laid], laid[0][1]
    detector.detect_canvas(canvases[0], lies)
    request = next(iter(detector._backend._graphs.values())).take()  # noqa: SLF001 - the graph that is in use
    compiled = request.get_compiled_model()
    alone, planar = compiled.create_infer_request(), yuv(detector).create_infer_request()
    next(iter(detector._backend._graphs.values())).give(request)  # noqa: SLF001
    ov = import_openvino()
    bgr = [ov.Tensor(canvas[None], shared_memory=True) for canvas in canvases]
    planes = [cv2.cvtColor(canvas, cv2.COLOR_BGR2YUV_I420)[None, ..., None] for canvas in canvases]
    i420 = [ov.Tensor(each, shared_memory=True) for each in planes]

    def network(given: Any, tensors: Sequence[Any], number: int) -> None:
        given.set_input_tensor(0, tensors[number % len(tensors)])
        given.start_async()
        given.wait()

    return {
        "network": lambda number: network(alone, bgr, number),
        "detector": lambda number: detector.detect_canvas(canvases[number % len(canvases)], lies, SCORE_MIN),
        "i420": lambda number: network(planar, i420, number),
    }


def yuv(detector: Detector) -> Any:
    """Compile the detector's network for I420 canvases of 384x640, as one plane (576, 640)."""
    backend: Any = detector._backend  # noqa: SLF001
    ov = import_openvino()
    model = backend._model.clone()  # noqa: SLF001
    model.reshape([1, 3, 384, 640])
    steps = ov.preprocess.PrePostProcessor(model)
    colours = ov.preprocess.ColorFormat
    given = steps.input().tensor()
    given.set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    given.set_color_format(colours.I420_SINGLE_PLANE)
    steps.input().model().set_layout(ov.Layout("NCHW"))
    steps.input().preprocess().convert_color(colours.RGB).convert_element_type(ov.Type.f32).scale(255.0)
    return backend._core.compile_model(steps.build(), "CPU", backend._config)  # noqa: SLF001


if __name__ == "__main__":
    sys.exit(main())
