"""Processes that share a GPU for `benchmarks/gpu.py`: each has a detector and does as it is told."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, Self

import numpy as np

from detector.backends.ultralytics import import_torch
from detector.detector import Detector
from detector.errors import Failure
from detector.registry import resolve
from detector.spec import ModelSpec

SIDE_PX = 640
PICTURES = 64


class Workers:
    """Processes with a detector each, that do the same at the same time."""

    def __init__(self, args: argparse.Namespace, spec: ModelSpec) -> None:
        """Start them, and wait until all are ready."""
        command = [sys.executable, "-m", "benchmarks.gpu_workers", "--model", str(spec.folder)]
        for option in ("precision", "device", "seconds", "fps"):
            command += [f"--{option}", str(getattr(args, option))]
        command += ["--backend", args.backend if spec.files_of("onnx") else "ultralytics"]
        root, began = Path(__file__).resolve().parents[1], time.perf_counter()
        each, left = divmod(args.streams, args.processes)
        self._children = [
            subprocess.Popen(
                [*command, "--streams", str(each + (number < left))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=root,
            )
            for number in range(args.processes)
        ]
        try:
            self._answers()
        except Failure:
            self.close()
            raise
        self.ready_s = time.perf_counter() - began

    def do(self, what: str) -> list[dict[str, Any]]:
        """Have them do "flood", "paced" or "alone"; give what each tells."""
        for child in self._children:
            assert child.stdin is not None
            child.stdin.write(f"{what}\n")
            child.stdin.flush()
        return self._answers()

    def _answers(self) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        for child in self._children:
            assert child.stdout is not None
            line = next((line for line in child.stdout if line.startswith("{")), None)
            if line is None:
                raise Failure("a process that shares the GPU has ended; see above.")
            answers.append(json.loads(line))
        return answers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let them end."""
        for child in self._children:
            child.communicate()


def work(args: argparse.Namespace) -> None:
    """Be one worker: get ready, say so, do what is told line by line."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (PICTURES, SIDE_PX, SIDE_PX, 3), np.uint8)
    on_gpu = args.device != "cpu"
    precision = args.precision if on_gpu else "f32"
    with Detector(resolve(args.model), args.backend, None, precision, "throughput", args.device) as detector:
        for count in (1, 5, 32, 32) if on_gpu else (1,):  # kernels are chosen and recorded now
            for _ in range(2):
                detector._backend.infer(pictures[:count])  # noqa: SLF001
        print("{}", flush=True)
        for line in sys.stdin:
            do = {"flood": flood, "paced": paced, "alone": alone}[line.strip()]
            print(json.dumps(do(args, detector, pictures)), flush=True)


def alone(args: argparse.Namespace, detector: Detector, _pictures: Any) -> dict[str, Any]:
    """Compute the same batch, which lies on the device, again and again."""
    torch = import_torch()
    lane = detector._backend._lanes._free.get()  # noqa: SLF001
    on_gpu = args.device != "cpu"
    shape = (32 if on_gpu else 1, SIDE_PX, SIDE_PX, 3)
    batch = torch.randint(255, shape, dtype=torch.uint8, device=args.device)
    planes = batch.permute(0, 3, 1, 2).to(lane._dtype)  # noqa: SLF001
    graph = torch.cuda.CUDAGraph() if lane._replays else None  # noqa: SLF001 - TensorRT waits for itself
    done = 0
    with torch.inference_mode(), lane._streaming():  # noqa: SLF001
        lane._network(planes)  # noqa: SLF001
        if graph:
            with torch.cuda.graph(graph, stream=lane._stream):  # noqa: SLF001
                lane._network(planes)  # noqa: SLF001
        run = graph.replay if graph else lambda: lane._network(planes)  # noqa: SLF001
        wait = lane._stream.synchronize if on_gpu else lambda: None  # noqa: SLF001
        began = time.perf_counter()
        while time.perf_counter() - began < args.seconds / 2:
            for _ in range(10 if on_gpu else 1):
                run()
            wait()
            done += (10 if on_gpu else 1) * len(batch)
        frames_s = done / (time.perf_counter() - began)
    detector._backend._lanes._free.put(lane)  # noqa: SLF001
    return {"frames_s": frames_s}


def flood(args: argparse.Namespace, detector: Detector, pictures: Any) -> dict[str, Any]:
    """Hand in as many pictures as there is room for, from four threads."""
    began, cpu = time.perf_counter(), time.process_time()
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
    return {
        "pictures": sum(done),
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu,
    }


def paced(args: argparse.Namespace, detector: Detector, pictures: Any) -> dict[str, Any]:
    """Be this process's share of the streams; a picture a whole period late is skipped, and counted."""
    streams, period = args.streams, 1 / args.fps
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


def main() -> None:
    """Be one worker."""
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("model", "backend", "precision", "device"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--streams", type=int, required=True, help="of this process")
    for option in ("seconds", "fps"):
        parser.add_argument(f"--{option}", type=float, required=True)
    work(parser.parse_args())


if __name__ == "__main__":
    main()
