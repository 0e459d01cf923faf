"""Whole commands as a user would start them: the command line in its own process, real servers, real files."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
INTERSECTION = SHARED / "clips" / "fixed_intersection_de_opendatacam.mp4"


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def cases(self):
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]

    @property
    def sentence(self):
        """The last line on stderr: what the user is told."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        return lines[-1] if lines else ""


def environment(**more):
    return {**os.environ, "PYTHONUNBUFFERED": "1", **more}


def command(*words):
    return [sys.executable, "-m", "kerbwatch", *map(str, words)]


def write_site(path, zones, camera_id="cam-1", **keys):
    """Write a site file with one camera and no source; `zones`: (id, kind, dwell_s, polygon)."""
    settings = {"lat": 31.779, "lon": 119.951, "starts_at": "2026-11-20T08:00:00+08:00", **keys}
    lines = ["[site]", 'name = "Test"', 'timezone = "Asia/Shanghai"', 'city = "320400"', "[[camera]]"]
    lines += [f'id = "{camera_id}"', *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
    for zone_id, kind, dwell_s, polygon in zones:
        lines += ["[[camera.zone]]", f'id = "{zone_id}"', f'kind = "{kind}"', f"dwell_s = {dwell_s}"]
        lines += [f"polygon = {json.dumps(polygon)}"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


WHOLE = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]


def write_clip(path, frames, wh=(320, 192), fps=5):
    """Write `frames` pictures of slowly changing grey; what is in them says the script."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = *wh, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": "25"}
        for index in range(frames):
            image = np.full((wh[1], wh[0], 3), 60 + index % 100, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_scripted_model(folder, pictures, wh=(320, 192), labels=("person", "car", "stall", "bin_overflow")):
    """Write a model whose boxes come from a script: {picture number: [(label, score, xyxy)]}."""
    folder.mkdir(parents=True)
    boxes = {
        str(number): [{"label": label, "score": score, "xyxy": list(xyxy)} for label, score, xyxy in found]
        for number, found in pictures.items()
    }
    script = json.dumps({"width": wh[0], "height": wh[1], "pictures": {"*": [], **boxes}})
    (folder / "script.json").write_text(script, encoding="utf-8")
    digest = hashlib.sha256(script.encode()).hexdigest()
    (folder / "model.toml").write_text(
        'name = "scripted"\nversion = 1\ndecoder = "yolo_dfl_free"\nside_px = 320\nstride_px = 32\n'
        f'labels = {json.dumps(list(labels))}\niou_max = 0.99\nlicence = "none"\ndataset = "none"\n'
        "[score_min]\n" + "".join(f"{label} = 0.3\n" for label in labels) + "[[file]]\n"
        f'backend = "scripted"\npath = "script.json"\nsha256 = "{digest}"\n',
        encoding="utf-8",
    )
    return folder


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
