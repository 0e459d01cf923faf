"""A GPU: pictures a second, latency of many streams, and the share of what the card and the bus could do.

python benchmarks/gpu.py [--model street@production] [--backend tensorrt] [--processes 4] [--json FILE]

Networks: "nano" is the model's own, "small" is YOLO11s for the same classes with random weights: its speed is
that of trained ones, its boxes mean nothing. Pictures of 640x640 lie in host memory; letterbox, copies,
network, decoding and suppression are all in. First as many pictures as there is room for, then `--streams`
cameras at `--fps`, each picture due at its time: its latency runs from then to its boxes. The roofline is
measured in the same run: a matrix product in half precision, and copies of page-locked memory to the GPU; the
network's operations are counted by torch.

Without a GPU it says so, exits with 1, and the JSON says "skipped". `--device cpu` walks the same way on the
CPU, to see that it works; its figures say nothing about GPUs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.machine import describe, result, save
from detector.backends.ultralytics import import_torch
from detector.detector import Detector
from detector.device import torch_device
from detector.errors import Failure
from detector.registry import resolve
from detector.spec import ModelSpec

SIDE_PX = 640
WANTED = {"nano": 3000.0, "small": 1800.0}
"""Pictures a second on one H200: issue 4."""
WANTED_P95_MS = 300.0
PICTURES = 64


def main() -> int:
    """Measure, print, write."""
    args = arguments()
    if args.worker:
        print(json.dumps(work(args)))
        return 0
    try:
        torch = import_torch()
        device = torch_device(torch, args.device)
    except Failure as failure:
        print(f"gpu: skipped: {failure}", file=sys.stderr)
        save(result("gpu", [], 0, "none", skipped=str(failure), machine=describe()), args.json)
        return failure.exit_code
    try:
        machine = {**describe(), "gpu": gpu(torch, device)}
        roof = roofline(torch, device)
        with tempfile.TemporaryDirectory() as folder:
            nano = resolve(args.model)
            specs = {"nano": nano, "small": small(torch, nano, Path(folder))}
            rows = [
                measure(args, torch, device, name, spec, roof)
                for name, spec in specs.items()
                if name in args.network
            ]
    except Failure as failure:
        print(f"gpu: {failure}", file=sys.stderr)
        return failure.exit_code
    show(rows)
    document = result(
        "gpu",
        rows,
        args.repeats,
        "frames_s: median, lowest and highest of n; latency: percentiles of all pictures",
        machine=machine,
        roofline=roof,
        backend=args.backend,
        precision=args.precision,
        processes=args.processes,
        streams=args.streams,
        fps=args.fps,
    )
    save(document, args.json)
    return 0


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", default="street@production")
    add("--network", action="append", choices=("nano", "small"), help="default: both")
    add("--backend", default="ultralytics", choices=("ultralytics", "tensorrt"))
    add("--precision", default="f16", choices=("f16", "f32"))
    add("--device", default="cuda:0")
    add("--processes", type=int, default=4, help="that share the GPU, as workers do (4)")
    add("--seconds", type=float, default=10.0, help="of one measurement (10)")
    add("--repeats", type=int, default=3)
    add("--streams", type=int, default=180)
    add("--fps", type=float, default=10.0)
    add("--json", type=Path, help="default: benchmarks/results/gpu.json")
    add("--worker", choices=("flood", "paced"), help=argparse.SUPPRESS)
    add("--start", type=float, default=0.0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.network = args.network or ["nano", "small"]
    return args


def gpu(torch: Any, device: str) -> dict[str, Any]:
    """Say which card it is."""
    if device == "cpu":
        return {"name": "none: walked on the CPU"}
    properties = torch.cuda.get_device_properties(device)
    return {
        "name": properties.name,
        "memory_gb": round(properties.total_memory / 1e9, 1),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }


def roofline(torch: Any, device: str) -> dict[str, float]:
    """Measure the most that card and bus do: TFLOP/s in half precision, GB/s to the device."""
    on_gpu = device != "cpu"
    side, dtype = (8192, torch.float16) if on_gpu else (1024, torch.float32)
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    host = torch.empty(256 if on_gpu else 16, 1 << 20, dtype=torch.uint8, pin_memory=on_gpu)
    target = torch.empty_like(host, device=device)

    def timed(work: Any) -> float:
        def once() -> float:
            began = time.perf_counter()
            work()
            if on_gpu:
                torch.cuda.synchronize(device)
            return time.perf_counter() - began

        once()
        return median(once() for _ in range(20))

    return {
        "tflops": round(2 * side**3 / timed(lambda: torch.matmul(a, b)) / 1e12, 2),
        "h2d_gb_s": round(host.nbytes / timed(lambda: target.copy_(host, non_blocking=True)) / 1e9, 2),
    }


def small(torch: Any, like: ModelSpec, folder: Path) -> ModelSpec:
    """Put YOLO11s with random weights into a model folder, for the same classes."""
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    network = DetectionModel("yolo11s.yaml", nc=len(like.labels), verbose=False)
    torch.save({"model": network}, folder / "small.pt")
    digest = sha256((folder / "small.pt").read_bytes()).hexdigest()
    labels = "[" + ", ".join(json.dumps(label) for label in like.labels) + "]"
    (folder / "model.toml").write_text(
        f'name = "small"\nversion = 0\ndecoder = "yolo_dfl_free"\nside_px = {SIDE_PX}\nstride_px = 32\n'
        f'labels = {labels}\niou_max = 0.6\nlicence = "AGPL-3.0-or-later"\ndataset = "none: random weights"\n'
        f'[[file]]\nbackend = "ultralytics"\npath = "small.pt"\nsha256 = "{digest}"\n',
        encoding="utf-8",
    )
    return resolve(str(folder))


def flops(torch: Any, spec: ModelSpec) -> float:
    """Count the operations (a multiplication and an addition are two) of one picture of 640x640."""
    from torch.utils.flop_counter import FlopCounterMode

    with Detector(spec, "ultralytics", device="cpu") as detector:
        lane = detector._backend._lanes._free.get()  # noqa: SLF001
        counter = FlopCounterMode(display=False)
        with counter, torch.inference_mode():
            lane._network(torch.zeros(1, 3, SIDE_PX, SIDE_PX))  # noqa: SLF001
        detector._backend._lanes._free.put(lane)  # noqa: SLF001
    return float(counter.get_total_flops())


def measure(
    args: argparse.Namespace, torch: Any, device: str, name: str, spec: ModelSpec, roof: dict[str, float]
) -> dict[str, Any]:
    """Measure one network; give its row."""
    floods = [run_workers(args, spec, "flood") for _ in range(args.repeats)]
    rates = sorted(sum(each["pictures"] / each["seconds"] for each in told) for told in floods)
    paced = run_workers(args, spec, "paced")
    late = np.concatenate([each["latency_ms"] for each in paced])
    batches: dict[str, int] = {}
    for each in paced:
        for size, times in each["batches"].items():
            batches[size] = batches.get(size, 0) + times
    per_picture, rate = flops(torch, spec), median(rates)
    return {
        "network": name,
        "model": spec.ref,
        "device": device,
        "frames_s": round(rate, 1),
        "frames_s_range": [round(rates[0], 1), round(rates[-1], 1)],
        "wanted_frames_s": WANTED[name],
        "latency_p50_ms": round(float(np.percentile(late, 50)), 1),
        "latency_p95_ms": round(float(np.percentile(late, 95)), 1),
        "wanted_p95_ms": WANTED_P95_MS,
        "paced_pictures": len(late),
        "paced_skipped": sum(each["skipped"] for each in paced),
        "paced_batches": dict(sorted(batches.items(), key=lambda item: int(item[0]))),
        "gflop_per_picture": round(per_picture / 1e9, 2),
        "share_of_compute": round(rate * per_picture / (roof["tflops"] * 1e12), 4),
        "share_of_copy": round(rate * SIDE_PX * SIDE_PX * 3 / (roof["h2d_gb_s"] * 1e9), 4),
    }


def run_workers(args: argparse.Namespace, spec: ModelSpec, mode: str) -> list[dict[str, Any]]:
    """Run all processes at once; give what each tells.

    Raises:
        Failure: one of them broke.
    """
    command = [sys.executable, "-m", "benchmarks.gpu", "--worker", mode, "--model", str(spec.folder)]
    for option in ("backend", "precision", "device", "processes", "seconds", "streams", "fps"):
        command += [f"--{option}", str(getattr(args, option))]
    backend = "ultralytics" if not spec.files_of("onnx") else args.backend
    command += ["--backend", backend, "--start", str(time.time() + (30 if args.device != "cpu" else 8))]
    root = Path(__file__).resolve().parents[1]
    children = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(args.processes)
    ]
    answers = [child.communicate()[0] for child in children]
    if any(child.returncode for child in children):
        raise Failure(f"a worker failed ({' '.join(command)}); see above.")
    return [json.loads(answer.strip().splitlines()[-1]) for answer in answers]


def work(args: argparse.Namespace) -> dict[str, Any]:
    """Be one worker."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (PICTURES, SIDE_PX, SIDE_PX, 3), np.uint8)
    precision = "f32" if args.device == "cpu" else args.precision
    with Detector(resolve(args.model), args.backend, None, precision, "throughput", args.device) as detector:
        detector.detect_many(
            list(pictures[: 32 if args.device != "cpu" else 2])
        )  # the kernels are chosen now
        time.sleep(max(0.0, args.start - time.time()))
        return (flood if args.worker == "flood" else paced)(args, detector, pictures)


def flood(args: argparse.Namespace, detector: Detector, pictures: Any) -> dict[str, Any]:
    """Hand in as many pictures as there is room for, from four threads."""
    began = time.perf_counter()
    done = [0] * 4

    def camera(number: int) -> None:
        pending: deque[Any] = deque()
        while time.perf_counter() - began < args.seconds:
            pending.append(detector.submit(pictures[(number + done[number]) % len(pictures)]))
            if len(pending) >= 32:
                pending.popleft().result()
                done[number] += 1
        while pending:
            pending.popleft().result()
            done[number] += 1

    in_threads(camera, 4)
    return {"pictures": sum(done), "seconds": time.perf_counter() - began}


def paced(args: argparse.Namespace, detector: Detector, pictures: Any) -> dict[str, Any]:
    """Be this process's share of the streams; a picture a whole period late is skipped, and counted."""
    streams, period = max(1, round(args.streams / args.processes)), 1 / args.fps
    began = time.perf_counter()
    late: list[float] = []
    skipped = [0] * streams

    def camera(number: int) -> None:
        due = began + period * number / streams
        while due < began + args.seconds:
            time.sleep(max(0.0, due - time.perf_counter()))
            if time.perf_counter() - due > period:
                skipped[number] += 1
            else:
                detector.detect(pictures[number % len(pictures)])
                late.append(1000 * (time.perf_counter() - due))
            due += period

    before = detector.batches
    in_threads(camera, streams)
    return {
        "latency_ms": late,
        "skipped": sum(skipped),
        "batches": {str(size): times for size, times in (detector.batches - before).items()},
    }


def in_threads(camera: Any, count: int) -> None:
    """Run `camera(number)` in so many threads and wait for all."""
    threads = [threading.Thread(target=camera, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the table."""
    for row in rows:
        met = "met" if row["frames_s"] >= row["wanted_frames_s"] else "NOT MET"
        on_time = "met" if row["latency_p95_ms"] <= row["wanted_p95_ms"] else "NOT MET"
        print(
            f"{row['network']:<6}{row['frames_s']:>8.0f} pictures/s ({row['frames_s_range']}), wanted "
            f"{row['wanted_frames_s']:.0f}: {met}; {row['share_of_compute']:.1%} of the matrix product, "
            f"{row['share_of_copy']:.1%} of the copy"
        )
        print(
            f"      paced: p50 {row['latency_p50_ms']} ms, p95 {row['latency_p95_ms']} ms, wanted "
            f"{row['wanted_p95_ms']:.0f}: {on_time}; skipped {row['paced_skipped']} of "
            f"{row['paced_pictures'] + row['paced_skipped']}; batches {row['paced_batches']}"
        )


if __name__ == "__main__":
    sys.exit(main())
