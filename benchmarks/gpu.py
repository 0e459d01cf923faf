"""A GPU: pictures a second, latency of many streams, and the share of what the card and the bus could do.

python benchmarks/gpu.py [--model street@production] [--backend tensorrt] [--processes 4] [--json FILE]

Networks: "nano" is the model's own, "small" is YOLO11s for the same classes with random weights: its speed is
that of trained ones, its boxes mean nothing. Pictures of 640x640 lie in host memory; letterbox, copies,
network, decoding and suppression are all in. First as many pictures as there is room for, then `--streams`
cameras at `--fps`, each picture due at its time: its latency runs from then to its boxes. The roofline is
measured in the same run: a matrix product in half precision, a copy within the GPU's memory, and copies of
page-locked memory to the GPU. The network's operations are counted by torch; its bytes are those of the
input, output and weights of each convolution, once each. "of the roofline" is the time that the larger of the
two must take, against the time taken; "of the network alone" compares with the same network in as many
processes, on batches of 32 that lie on the GPU already, nothing before or after it.

At last every picture of `--clip` (repeatable) is decoded by one CPU thread and by the GPU's decoder, as far
as brightness in host memory: what a camera with `decode_device = "cuda"` costs and saves.

Without a GPU it says so, exits with 1, and the JSON says "skipped". `--device cpu` walks the same way on the
CPU, to see that it works; its figures say nothing about GPUs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.gpu_workers import SIDE_PX, Workers
from benchmarks.machine import RESULTS, describe, result, save
from detector.backends.ultralytics import import_torch
from detector.detector import Detector
from detector.device import torch_device
from detector.errors import Failure
from detector.registry import resolve
from detector.spec import ModelSpec

WANTED = {"nano": 3000.0, "small": 1800.0}
"""Pictures a second on one H200: issue 4."""
WANTED_P95_MS = 300.0
DEMO_CLIP = Path(__file__).resolve().parents[1] / "datasets" / "demo" / "street.mp4"


def main() -> int:
    """Measure, print, write."""
    args = arguments()
    try:
        torch = import_torch()
        device = torch_device(torch, args.device)
    except Failure as failure:
        print(f"gpu: skipped: {failure}", file=sys.stderr)
        if args.json is not None or not (RESULTS / "gpu.json").is_file():  # figures of a GPU stay
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
        decoded = [decode_costs(clip, args.device) for clip in args.clip]
    except Failure as failure:
        print(f"gpu: {failure}", file=sys.stderr)
        return failure.exit_code
    show(rows, decoded)
    document = result(
        "gpu",
        rows,
        args.repeats,
        "frames_s: median, lowest and highest of n; latency: percentiles of all pictures",
        machine=machine,
        roofline=roof,
        decode=decoded,
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
    add("--clip", type=Path, action="append", help="default: the demo's")
    args = parser.parse_args()
    args.clip = args.clip or [DEMO_CLIP]
    if missing := [str(clip) for clip in args.clip if not clip.is_file()]:
        parser.error(f"--clip {missing[0]}: there is no such file.")
    if few := [
        name for name in ("processes", "repeats", "seconds", "streams", "fps") if getattr(args, name) <= 0
    ]:
        parser.error(f"--{few[0]} {getattr(args, few[0]):g}: give a number above 0.")
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
    target, twin = torch.empty_like(host, device=device), torch.empty_like(host, device=device)

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
        "memory_gb_s": round(2 * target.nbytes / timed(lambda: twin.copy_(target)) / 1e9, 1),
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


def needs(torch: Any, spec: ModelSpec, batch: int = 32, value_bytes: int = 2) -> tuple[float, float]:
    """Count what one picture of 640x640 must cost.

    Returns:
        Operations (a multiplication and an addition are two), and bytes of memory: each convolution reads its
        input and weights and writes its output once, the weights once for `batch` pictures.
    """
    from torch.utils.flop_counter import FlopCounterMode

    moved = 0.0

    def note(layer: Any, given: Any, made: Any) -> None:
        nonlocal moved
        weights = sum(each.numel() for each in layer.parameters())
        moved += value_bytes * (given[0].numel() + made.numel() + weights / batch)

    with Detector(spec, "ultralytics", device="cpu") as detector:
        network = detector._backend._lanes._free.get()._network  # noqa: SLF001
        for layer in network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.register_forward_hook(note)
        counter = FlopCounterMode(display=False)
        with counter, torch.inference_mode():
            network(torch.zeros(1, 3, SIDE_PX, SIDE_PX))
    return float(counter.get_total_flops()), moved


def measure(
    args: argparse.Namespace, torch: Any, device: str, name: str, spec: ModelSpec, roof: dict[str, float]
) -> dict[str, Any]:
    """Measure one network; give its row."""
    with Workers(args, spec) as workers:
        network_alone = sum(each["frames_s"] for each in workers.do("alone"))
        floods = [workers.do("flood") for _ in range(args.repeats)]
        paced = workers.do("paced")
        ready_s = workers.ready_s
    rates = sorted(sum(each["pictures"] / each["seconds"] for each in told) for told in floods)
    cpu_s = sum(each["cpu_s"] / each["pictures"] for told in floods for each in told) / sum(map(len, floods))
    late = np.concatenate([each["latency_ms"] for each in paced])
    batches: dict[str, int] = {}
    for each in paced:
        for size, times in each["batches"].items():
            batches[size] = batches.get(size, 0) + times
    (operations, moved), rate = (
        needs(torch, spec, value_bytes=2 if args.precision == "f16" and device != "cpu" else 4),
        median(rates),
    )
    roofline_s = max(operations / (roof["tflops"] * 1e12), moved / (roof["memory_gb_s"] * 1e9))
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
        "gflop_per_picture": round(operations / 1e9, 2),
        "mb_per_picture": round(moved / 1e6, 1),
        "roofline_frames_s": round(1 / roofline_s, 1),
        "share_of_roofline": round(rate * roofline_s, 4),
        "network_alone_frames_s": round(network_alone, 1),
        "share_of_network_alone": round(rate / network_alone, 4),
        "cpu_ms_per_picture": round(1000 * cpu_s, 3),
        "ready_after_s": round(ready_s, 1),
        "share_of_compute": round(rate * operations / (roof["tflops"] * 1e12), 4),
        "cameras_at_5_fps": int(rate / 5),
        "share_of_copy": round(rate * SIDE_PX * SIDE_PX * 3 / (roof["h2d_gb_s"] * 1e9), 4),
    }


def decode_costs(clip: Path, device: str) -> dict[str, Any]:
    """Decode a clip on the CPU and on the GPU; give CPU and wall milliseconds per picture of each.

    Raises:
        Failure: the clip cannot be read.
    """
    import av

    from ingest.sources.packets import Codec
    from ingest.sources.picture import DecodedPicture

    try:
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            packets = [packet for packet in container.demux(stream) if packet.size]
            size, name = [stream.width, stream.height], stream.codec_context.name
            codecs = {"cpu": Codec.of(stream), "gpu": Codec.of(stream, device)}
    except (av.error.FFmpegError, OSError) as error:
        raise Failure(f"--clip {clip} cannot be read: {error}.") from error
    row: dict[str, Any] = {"clip": clip.name, "codec": name, "size": size, "pictures": len(packets)}
    for where, codec in codecs.items():
        if where == "gpu" and not codec.on_device:
            row["gpu"] = "the GPU's decoder cannot be had: the CPU decodes"
            continue
        context = codec.open()
        context.decode(packets[0])  # a GPU's decoder is set up now
        context.flush_buffers()
        cpu, wall, seen = time.process_time(), time.perf_counter(), 0
        for packet in (*packets, None):
            for picture in context.decode(packet):
                DecodedPicture(picture).luma()
                seen += 1
        row[where] = {
            "cpu_ms": round(1000 * (time.process_time() - cpu) / seen, 2),
            "wall_ms": round(1000 * (time.perf_counter() - wall) / seen, 2),
            "format": picture.format.name,
        }
    return row


def show(rows: Sequence[dict[str, Any]], decoded: Sequence[dict[str, Any]]) -> None:
    """Print the tables."""
    for row in rows:
        met = "met" if row["frames_s"] >= row["wanted_frames_s"] else "NOT MET"
        on_time = "met" if row["latency_p95_ms"] <= row["wanted_p95_ms"] else "NOT MET"
        print(
            f"{row['network']:<6}{row['frames_s']:>8.0f} pictures/s ({row['frames_s_range']}), wanted "
            f"{row['wanted_frames_s']:.0f}: {met}; {row['share_of_roofline']:.1%} of the roofline "
            f"({row['roofline_frames_s']:.0f}/s), {row['share_of_network_alone']:.1%} of the network alone "
            f"({row['network_alone_frames_s']:.0f}/s), {row['share_of_copy']:.1%} of the copy"
        )
        print(
            f"      paced: p50 {row['latency_p50_ms']} ms, p95 {row['latency_p95_ms']} ms, wanted "
            f"{row['wanted_p95_ms']:.0f}: {on_time}; skipped {row['paced_skipped']} of "
            f"{row['paced_pictures'] + row['paced_skipped']}; batches {row['paced_batches']}"
        )
    for clip in decoded:
        print(
            f"decode {clip['clip']} ({clip['codec']}, {clip['size']}): CPU {clip['cpu']}, GPU {clip['gpu']}"
        )


if __name__ == "__main__":
    sys.exit(main())
