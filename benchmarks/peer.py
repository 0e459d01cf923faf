"""One run of ultralytics' `yolo track` on a clip, in an interpreter that has it: a child process.

    python benchmarks/peer.py export MODEL.onnx TARGET.pt       the network inside our ONNX file, unpacked
    python benchmarks/peer.py openvino WEIGHTS.pt HEIGHT WIDTH     ultralytics' own export, fp32 (its default)
    python benchmarks/peer.py track WEIGHTS CLIP ROWS.jsonl --tracker botsort.yaml --stride 1 [--imgsz H W]

`track` writes a line per frame with ultralytics' boxes and ids, and prints one JSON line: CPU seconds of
this process, all threads, from the first result to the last (loading and the first picture are left out),
and the frames between.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any


def export(onnx: Path, target: Path) -> None:
    """Write the network inside one of our ONNX files as an ultralytics checkpoint."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from detector.backends.onnx_checkpoint import read_network
    from training.export import save_slim

    save_slim(read_network(onnx), target, 640)


def openvino(weights: Path, height: int, width: int) -> None:
    """Let ultralytics export to OpenVINO; prints the folder."""
    from ultralytics import YOLO

    made = YOLO(str(weights)).export(format="openvino", imgsz=(height, width), verbose=False)
    folder = weights.with_name(f"{weights.stem}_{height}x{width}_openvino_model")
    if folder != Path(made):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.move(str(made), folder)
    print(json.dumps({"folder": str(folder)}))


NMS_S = [0.0]
"""CPU seconds in a stand-in for torchvision's NMS."""


def repair_torchvision() -> bool:
    """Where torchvision does not fit to torch, let a stand-in do its NMS, and count the time that it takes.

    That time is taken off ultralytics' bill. Gives True if there is a stand-in.
    """
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from training import torchvision_shim as shim

    plain = shim.greedy_nms

    def timed(*args: Any) -> Any:
        began = time.thread_time()
        kept = plain(*args)
        NMS_S[0] += time.thread_time() - began
        return kept

    shim.greedy_nms = timed
    return shim.install()


def cpu_s() -> float:
    """Give the CPU seconds of this process and of children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def track(args: argparse.Namespace) -> dict[str, Any]:
    """Run ultralytics' tracker over a clip as `yolo track source=... ` does."""
    stand_in = repair_torchvision()
    from ultralytics import YOLO

    more = {"imgsz": tuple(args.imgsz)} if args.imgsz else {}
    options = {"tracker": args.tracker, "vid_stride": args.stride, "stream": True, "verbose": False, **more}
    model = YOLO(str(args.weights), task="detect")
    frames, first_cpu, first_wall = 0, 0.0, 0.0
    with args.rows.open("w", encoding="utf-8") as out:
        for result in model.track(source=str(args.clip), **options):
            boxes = result.boxes
            numbers = boxes.id.tolist() if boxes.id is not None else []
            rows = [
                [int(number), result.names[int(label)], round(score, 4), *(round(x, 1) for x in xyxy)]
                for number, label, score, xyxy in zip(
                    numbers, boxes.cls.tolist(), boxes.conf.tolist(), boxes.xyxy.tolist(), strict=False
                )
            ]
            # with a stride of n, ultralytics gives the last picture of every n
            at_s = ((frames + 1) * args.stride - 1) / args.fps
            out.write(json.dumps({"at_s": at_s, "boxes": rows}) + "\n")
            shape = result.orig_shape
            frames += 1
            if frames == 1:
                first_cpu, first_wall, NMS_S[0] = cpu_s(), time.perf_counter(), 0.0
    return {
        "cpu_s": cpu_s() - first_cpu - NMS_S[0],
        "nms_not_counted_s": NMS_S[0] if stand_in else None,
        "wall_s": time.perf_counter() - first_wall,
        "frames": frames - 1,
        "video_s": (frames - 1) * args.stride / args.fps,
        "size": [shape[1], shape[0]],
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Do one of the three."""
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_OFFLINE", "1")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("export")
    one.add_argument("onnx", type=Path)
    one.add_argument("target", type=Path)
    two = verbs.add_parser("openvino")
    two.add_argument("weights", type=Path)
    two.add_argument("height", type=int)
    two.add_argument("width", type=int)
    three = verbs.add_parser("track")
    for name in ("weights", "clip", "rows"):
        three.add_argument(name, type=Path)
    three.add_argument("--tracker", default="botsort.yaml")
    three.add_argument("--stride", type=int, default=1)
    three.add_argument("--imgsz", type=int, nargs=2)
    three.add_argument("--fps", type=float, default=25.0)
    args = parser.parse_args()
    if args.verb == "export":
        export(args.onnx, args.target)
    elif args.verb == "openvino":
        openvino(args.weights, args.height, args.width)
    else:
        print(json.dumps(track(args)))


if __name__ == "__main__":
    main()
