"""Build the clips that the benchmarks run on: 60 s of 1080p25, two kinds of street, known events.

python benchmarks/clips.py [--kind typical] [--variant plain ...] [--street real|rendered] [--folder DIR]

Both kinds come in several codings (`VARIANTS`). They are made once, byte for byte the same each time, and
kept in DIR (default: kerbwatch-bench in the user's cache), never in the repository. Truth and site file lie
beside. The pictures come from 640 x 360, which is what the network sees of them; grain and noise are of full
size, so that a bit rate of 4 Mbit/s is used up as a camera would.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.video.stream import VideoStream

from benchmarks import streets
from benchmarks.footage import DWELL_S, FPS, REAL, SECONDS, WH, Stage, active_share
from detector.errors import Failure, WrongUse
from detector.types import Image

HD = (1920, 1080)
STARTS_AT = "2026-11-20T08:00:00+08:00"
KINDS = ("typical", "busy")
RECIPE = 1
"""To be counted up when code changes what the pictures look like; scripts and codings count by themselves."""
NOISE_SIGMA, GRAIN_SIGMA = 2.2, 2.0
X264 = {"preset": "veryfast", "threads": "1", "bf": "0", "refs": "1", "sc_threshold": "0"}
RATE_4M = {"b": "4000000", "maxrate": "4000000", "bufsize": "4000000"}
BITEXACT = 0x00800000
"""AV_CODEC_FLAG_BITEXACT: no library version in the stream."""


@dataclass(frozen=True)
class Variant:
    """One way to code a clip.

    Args:
        what: in words. size: width, height. codec: of FFmpeg. options: of the coder.
        key_at: seconds at which key frames are forced, for GOPs of varying length.
        fps, seconds: where they differ from FPS and SECONDS.
    """

    what: str
    options: Mapping[str, str]
    size: tuple[int, int] = HD
    codec: str = "libx264"
    key_at: tuple[float, ...] = ()
    fps: int = FPS
    seconds: float = SECONDS


def _irregular(seed: int = 4, end: float = SECONDS) -> tuple[float, ...]:
    """Give times 0.8 to 7 s apart, always the same."""
    gaps = np.random.default_rng(seed).uniform(0.8, 7.0, 40)
    return tuple(float(t) for t in np.round(np.cumsum(gaps), 2) if t < end)


VARIANTS: dict[str, Variant] = {
    "plain": Variant("1080p25 H.264 4 Mbit/s, a key frame every 2 s", {**X264, **RATE_4M, "g": "50"}),
    "bframes": Variant(
        "the same with 3 B-frames", {**X264, **RATE_4M, "g": "50", "bf": "3", "b-pyramid": "normal"}
    ),
    "h265": Variant(
        "1080p25 H.265 4 Mbit/s, a key frame every 2 s",
        {
            "preset": "ultrafast",
            "b": "4000000",
            "x265-params": "keyint=50:min-keyint=50:scenecut=0:bframes=0:ref=1:pools=none:frame-threads=1"
            ":vbv-maxrate=4000:vbv-bufsize=4000:log-level=error",
        },
        codec="libx265",
    ),
    "vgop": Variant(
        "1080p25 H.264 4 Mbit/s, key frames 0.8 to 7 s apart",
        {**X264, **RATE_4M, "g": "5000", "forced-idr": "1"},
        key_at=_irregular(),
    ),
    "gop10": Variant("1080p25 H.264 4 Mbit/s, a key frame every 10 s", {**X264, **RATE_4M, "g": "250"}),
    "low": Variant("1080p25 H.264 of constant quality (CRF 27)", {**X264, "crf": "27", "g": "50"}),
    "sub": Variant(
        "640x360 25 fps H.264 0.5 Mbit/s, the substream",
        {**X264, "b": "512000", "maxrate": "512000", "bufsize": "512000", "g": "50"},
        size=WH,
    ),
    "uhd60": Variant(
        "3840x2160 60 fps H.264, 5 s: a camera set up wrongly",
        {**X264, "preset": "ultrafast", "crf": "26", "g": "120"},
        size=(3840, 2160),
        fps=60,
        seconds=5.0,
    ),
}


@dataclass(frozen=True)
class Clip:
    """A clip on disk with what belongs to it."""

    kind: str
    variant: str
    path: Path
    truth: Path
    site: Path

    @property
    def seconds(self) -> float:
        """Its length."""
        return VARIANTS[self.variant].seconds


def default_folder() -> Path:
    """Give the folder in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kerbwatch-bench"


def default_street() -> str:
    """Give "real" where the clip beside the checkout is, else "rendered"."""
    return "real" if REAL.is_file() else "rendered"


def clip(
    kind: str,
    variant: str = "plain",
    folder: Path | None = None,
    street: str | None = None,
    *,
    say: bool = True,
) -> Clip:
    """Give one clip, built if it is not there. See `clips`."""
    return clips(kind, (variant,), folder, street, say=say)[variant]


def clips(
    kind: str,
    variants: Sequence[str],
    folder: Path | None = None,
    street: str | None = None,
    *,
    say: bool = True,
) -> dict[str, Clip]:
    """Give clips of one kind by variant; what is not there is built in one pass (some minutes on one core).

    Args:
        kind: "typical" or "busy".
        variants: some of VARIANTS.
        folder: where they are kept; None: `default_folder`.
        street: "real" or "rendered"; None: `default_street`.
        say: tell on stderr what is being built.

    Raises:
        WrongUse: there is no such kind, variant or street, or the real street's clip is not there.
    """
    street = street or default_street()
    if kind not in KINDS or street not in streets.STREETS or (unknown := set(variants) - set(VARIANTS)):
        wrong = kind if kind not in KINDS else street if street not in streets.STREETS else min(unknown)
        raise WrongUse(f"There is no clip {wrong!r}; kinds: {KINDS}, variants: {tuple(VARIANTS)}.")
    if street == "real" and not REAL.is_file():
        raise WrongUse(f"The real street needs {REAL.name} in ../shared/clips; take rendered.")
    home = (folder or default_folder()) / f"{street}-{recipe()}"
    home.mkdir(parents=True, exist_ok=True)
    wanted = {
        variant: Clip(
            kind,
            variant,
            home / _name(kind, variant),
            home / f"{kind}.truth.json",
            home / f"{kind}.site.toml",
        )
        for variant in variants
    }
    missing = [one for one in wanted.values() if not one.path.is_file() or not one.truth.is_file()]
    if missing:
        if say:
            names = ", ".join(one.path.name for one in missing)
            print(f"building {names} in {home} ...", file=sys.stderr, flush=True)
        stage = Stage(streets.STREETS[street])
        write_truth(stage, kind, missing[0])
        for length in sorted({(VARIANTS[one.variant].seconds, VARIANTS[one.variant].fps) for one in missing}):
            alike = [one for one in missing if _timing(one) == length]
            encode(stage, kind, {one.variant: one.path for one in alike})
    return wanted


def recipe() -> str:
    """Give a short hash of what the clips are made from: another recipe is another folder."""
    text = repr((RECIPE, streets.STREETS, NOISE_SIGMA, GRAIN_SIGMA))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def _name(kind: str, variant: str) -> str:
    """Give a file's name, which says how it is coded: another coding is another file."""
    coding = hashlib.sha256(repr(VARIANTS[variant]).encode()).hexdigest()[:6]
    return f"{kind}-{variant}-{coding}.mp4"


def _timing(one: Clip) -> tuple[float, int]:
    return VARIANTS[one.variant].seconds, VARIANTS[one.variant].fps


@dataclass
class Sensor:
    """Turn plate pictures into planar YUV 4:2:0 of another size, with grain and fresh noise in the luma."""

    size: tuple[int, int]
    seed: int = 7
    _fields: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        """Draw the noise fields; a frame takes one, shifted."""
        width, height = self.size
        rng = np.random.default_rng(self.seed)
        # on one level of noise, whatever the size: a substream is averaged from more sensor cells
        sigma = NOISE_SIGMA if width >= HD[0] else 0.7 * NOISE_SIGMA
        self._grain = rng.normal(0, GRAIN_SIGMA, (height, width)).astype(np.float32)
        for _ in range(4):
            noise = rng.normal(0, sigma, (height, width)).astype(np.float32) + self._grain
            self._fields.append(np.clip(np.rint(noise + 128), 0, 255).astype(np.uint8))
        self._order = np.random.default_rng(self.seed + 1)

    def planes(self, picture: Image) -> npt.NDArray[np.uint8]:
        """Give I420, uint8 (height * 3 / 2, width), of a plate picture (360, 640, 3) BGR."""
        width, height = self.size
        small = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
        rows = WH[1]
        luma = cv2.resize(small[:rows], self.size, interpolation=cv2.INTER_CUBIC)
        noise = self._fields[int(self._order.integers(len(self._fields)))]
        luma = cv2.add(luma, noise, dtype=cv2.CV_16S)
        luma = cv2.subtract(luma, np.array([128.0]), dtype=cv2.CV_8U)
        out = np.empty((height * 3 // 2, width), np.uint8)
        out[:height] = luma
        chroma = small[rows:].reshape(2, WH[1] // 2, WH[0] // 2)
        half = (width // 2, height // 2)
        for index in range(2):
            plane = cv2.resize(chroma[index], half, interpolation=cv2.INTER_LINEAR)
            start = height + index * height // 4
            out[start : start + height // 4] = plane.reshape(-1, width)
        return out


def encode(stage: Stage, kind: str, targets: Mapping[str, Path]) -> None:
    """Code a clip in several ways at once; all of them have the same length and rate."""
    first = VARIANTS[next(iter(targets))]
    sensors = {size: Sensor(size) for size in sorted({VARIANTS[variant].size for variant in targets})}
    coders = [_Coder(VARIANTS[variant], path) for variant, path in targets.items()]
    try:
        for index, picture in enumerate(_pictures(stage, kind, first)):
            planes = {size: sensor.planes(picture) for size, sensor in sensors.items()}
            for coder in coders:
                coder.put(planes[coder.variant.size], index)
    except BaseException:
        for coder in coders:
            coder.drop()
        raise
    for coder in coders:
        coder.finish()


def _pictures(stage: Stage, kind: str, variant: Variant) -> Iterator[Image]:
    for index in range(round(variant.seconds * variant.fps)):
        yield stage.picture(kind, index / variant.fps)


class _Coder:
    """One file being written; it has its name only when it is complete."""

    def __init__(self, variant: Variant, path: Path) -> None:
        self.variant, self._path = variant, path
        self._part = path.with_name(f".{os.getpid()}-{path.name}")
        self._container = av.open(
            str(self._part), "w", format="mp4", options={"movflags": "faststart", "fflags": "+bitexact"}
        )
        options = dict(variant.options)
        stream = cast(
            VideoStream, self._container.add_stream(variant.codec, rate=variant.fps, options=options)
        )
        stream.width, stream.height, stream.pix_fmt = *variant.size, "yuv420p"
        stream.codec_context.flags |= BITEXACT
        self._stream = stream
        self._keys = {round(at * variant.fps) for at in variant.key_at}

    def put(self, planes: npt.NDArray[np.uint8], index: int) -> None:
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        if index in self._keys:
            frame.pict_type = av.video.frame.PictureType.I
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._part.replace(self._path)

    def drop(self) -> None:
        self._container.close()
        self._part.unlink(missing_ok=True)


def write_truth(stage: Stage, kind: str, to: Clip) -> None:
    """Write what happens (format: training/evaluation/events.py, and more) and the site file."""
    to.truth.write_text(json.dumps(truth(stage, kind), indent=1) + "\n", encoding="utf-8")
    to.site.write_text(site_text(stage), encoding="utf-8")


def truth(stage: Stage, kind: str) -> dict[str, Any]:
    """Give the events that a rule with DWELL_S must find, in pixels of 1080p, and what the script says."""
    events, acts = [], []
    for act in stage.street.acts(kind):
        stood = act.stands()
        acts.append({"name": act.name, "stands": stood, "event": bool(act.kind), "tests": act.tests})
        if act.kind and stood:
            box = [round(side * HD[0] / WH[0], 1) for side in stage.box(act)]
            events.append(
                {
                    "kind": act.kind,
                    "zone_id": act.zone_id,
                    "name": act.name,
                    "xyxy": box,
                    "from_s": stood[0],
                    "to_s": stood[1],
                }
            )
    return {
        "clip": _name(kind, "plain"),
        "site": f"{kind}.site.toml",
        "street": stage.street.name,
        "seconds": SECONDS,
        "size": list(HD),
        "active_share": round(active_share(stage, kind), 3),
        "moving_share": round(active_share(stage, kind, 0.2), 3),
        "events": events,
        "acts": acts,
    }


def site_text(stage: Stage) -> str:
    """Give the site file: one camera called bench with the street's zones."""
    head = (
        "# Written by benchmarks/clips.py. The place is not known: lat and lon only satisfy the format.\n"
        '[site]\nname = "Benchmark"\ntimezone = "Asia/Shanghai"\ncity = "320400"\n\n'
        f'[[camera]]\nid = "bench"\nlat = 31.7790\nlon = 119.9510\nstarts_at = "{STARTS_AT}"\n'
    )
    return head + zones_text(stage)


def zones_text(stage: Stage) -> str:
    """Give the zones of a camera that shows this street."""
    text = ""
    for zone_id, (kind, polygon) in stage.street.zones.items():
        corners = ", ".join(f"[{x / WH[0]:.4f}, {y / WH[1]:.4f}]" for x, y in polygon)
        text += f'\n[[camera.zone]]\nid = "{zone_id}"\nkind = "{kind}"\ndwell_s = {DWELL_S:g}\n'
        text += f"polygon = [{corners}]\n"
    return text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every benchmark on these clips may be told about them."""
    parser.add_argument("--folder", type=Path, help="where the clips are kept (default: the user's cache)")
    parser.add_argument(
        "--street",
        choices=tuple(streets.STREETS),
        help="default: real where its clip is there",
    )


def main() -> int:
    """Build what is asked for and print what it is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kind", action="append", choices=KINDS, help="default: both")
    parser.add_argument("--variant", action="append", choices=tuple(VARIANTS), help="default: all but uhd60")
    add_arguments(parser)
    args = parser.parse_args()
    variants = args.variant or [name for name in VARIANTS if name != "uhd60"]
    try:
        for kind in args.kind or KINDS:
            for one in clips(kind, variants, args.folder, args.street).values():
                rate = one.path.stat().st_size * 8 / one.seconds / 1e6
                active = json.loads(one.truth.read_text(encoding="utf-8"))["active_share"]
                print(f"{one.path}  {VARIANTS[one.variant].what}; {rate:.2f} Mbit/s, active {active:.0%}")
    except Failure as failure:
        print(f"clips: {failure}", file=sys.stderr)
        return failure.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
