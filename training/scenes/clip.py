"""Render the demo clip, its truth and its site file.

`python -m training.scenes.clip --out street.mp4 --truth truth.json --site site.toml`

The same seed gives the same frames; libx264 runs on one thread and leaves no date in the file, so that the
bytes repeat too.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing as mp
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import av
import cv2
import numpy as np

from training.scenes import story
from training.scenes.camera import Camera
from training.scenes.compose import Picture, Truth
from training.scenes.story import AREAS, EXPECTED, FPS, PLACE, SECONDS

Frames = Iterator[tuple[Picture, list[Truth]]]

STARTS_AT = "2026-06-01T08:00:00+08:00"
GROUND_M = (
    (10.8, -5.8),
    (9.5, -1.0),
    (11.5, 4.5),
    (22.0, -7.5),
    (18.0, -3.0),
    (20.0, 4.8),
    (32.0, -8.0),
    (34.0, 0.0),
)


def frames(count: int, workers: int) -> Frames:
    """Render `count` frames in order.

    With several workers each one sets its own stage and renders every n-th frame. They are started afresh and
    not forked: a fork of a process whose OpenCV threads have run hangs.
    """
    if workers < 2:
        stage = story.set_stage()
        yield from (stage.frame(k) for k in range(count))
        return
    context = mp.get_context("spawn")
    pipes: list[Connection] = []
    children = []
    for first in range(workers):
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=_serve, args=(range(first, count, workers), there), daemon=True)
        child.start()
        there.close()
        pipes.append(here)
        children.append(child)
    for k in range(count):
        yield pipes[k % workers].recv()
    for child in children:
        child.join()


def _serve(numbers: range, pipe: Connection) -> None:
    cv2.setNumThreads(1)
    stage = story.set_stage()
    for number in numbers:
        pipe.send(stage.frame(number))
    pipe.close()


def encode(out: Path, pictures: Frames, size: tuple[int, int], crf: int = 33) -> list[list[Truth]]:
    """Write an H.264 file of size (width, height) with a key frame every second.

    Returns the truth of every frame.
    """
    truth: list[list[Truth]] = []
    x264 = {
        "crf": str(crf),
        "preset": "slow",
        "threads": "1",
        "x264-params": f"keyint={FPS}:min-keyint={FPS}:scenecut=0",
    }
    options = {"movflags": "faststart", "fflags": "+bitexact"}
    with av.open(str(out), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=FPS, options=x264)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.flags |= 0x00800000  # AV_CODEC_FLAG_BITEXACT: no library version in the stream
        for picture, boxes in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            truth.append(boxes)
        container.mux(stream.encode(None))
    return truth


def truth_document(truth: list[list[Truth]], camera: Camera) -> dict[str, object]:
    """Expected events and the visible boxes once a second, as plain data."""
    seconds = [
        {"at_s": k // FPS, "objects": [_object(t) for t in truth[k]]} for k in range(0, len(truth), FPS)
    ]
    return {
        "clip": "street.mp4",
        "seed": story.SEED,
        "fps": FPS,
        "seconds": len(truth) / FPS,
        "size": [camera.width, camera.height],
        "events": [_event(e, truth) for e in EXPECTED],
        "frames": seconds,
    }


def _object(truth: Truth) -> dict[str, object]:
    return {
        "label": truth.label,
        "name": truth.name,
        "xyxy": list(truth.xyxy),
        "visible": round(truth.visible, 3),
    }


def _event(expected: story.Expected, truth: list[list[Truth]]) -> dict[str, object]:
    """One expected case with the largest box of its first actor after it came to rest, and its true place."""
    boxes = [
        t.xyxy for row in truth[round(expected.from_s * FPS) :] for t in row if t.name == expected.actors[0]
    ]
    box = max(boxes, key=lambda b: (b[2] - b[0]) * (b[3] - b[1])) if boxes else None
    lat, lon = PLACE.geodetic(story.CAMERA, *expected.place)
    return {
        "kind": expected.kind,
        "zone_id": expected.zone_id,
        "objects": list(expected.actors),
        "xyxy": list(box) if box else None,
        "from_s": expected.from_s,
        "to_s": expected.to_s,
        "lat": round(lat, 7),
        "lon": round(lon, 7),
    }


def site_text(camera: Camera, source: str) -> str:
    """Site file of the demo; ground points and zones are projected by the camera that drew the clip."""
    points = []
    for x, y in GROUND_M:
        xy, _ = camera.project(np.array([(x, y, 0.0)]))
        lat, lon = PLACE.geodetic(camera, x, y)
        across, down = xy[0] / [camera.width, camera.height]
        points.append(f"  {{ xy = [{across:.5f}, {down:.5f}], lat = {lat:.7f}, lon = {lon:.7f} }},")
    zones = [
        f'\n[[camera.zone]]\nid = "{a.zone_id}"\nkind = "{a.kind}"\ndwell_s = {a.dwell_s:g}\n'
        f'schedule = "Mon-Sun 07:00-22:00"\n'
        f"polygon = [{', '.join(f'[{x}, {y}]' for x, y in a.polygon(camera))}]\n"
        for a in AREAS
    ]
    head = (
        "# The rendered demo street, written by training/scenes/clip.py. Change training/scenes/story.py.\n"
        '[site]\nname = "Nandajie (rendered)"\ntimezone = "Asia/Shanghai"\ncity = "320400"\n\n'
        f'[[camera]]\nid = "demo-1"\nsource = "{source}"\nlat = {PLACE.lat:.4f}\nlon = {PLACE.lon:.4f}\n'
        f"heading_deg = {PLACE.heading_deg}\nheight_m = {camera.position[2]}\nfov_deg = {camera.hfov_deg}\n"
        f'starts_at = "{STARTS_AT}"\nground_points = [\n'
    )
    return head + "\n".join(points) + "\n]\n" + "".join(zones)


def main() -> None:
    """Parse the command line, render, encode, and write the truth beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--site", type=Path)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    started = time.monotonic()
    camera = story.CAMERA
    truth = encode(args.out, frames(round(args.seconds * FPS), args.workers), (camera.width, camera.height))
    if args.truth:
        args.truth.write_text(json.dumps(truth_document(truth, camera), indent=1) + "\n")
    if args.site:
        args.site.write_text(site_text(camera, args.out.name))
    size = args.out.stat().st_size / 1e6
    sys.stderr.write(f"{args.out}: {len(truth)} frames, {size:.2f} MB, {time.monotonic() - started:.0f} s\n")


if __name__ == "__main__":
    main()
