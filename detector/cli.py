"""The verb `detect`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from detector.backends import KINDS
from detector.detector import Detector, open_detector
from detector.errors import Failure, WrongUse
from detector.pictures import read_image
from detector.precision import CHOICES
from detector.types import Detections, Image

HELP = """Find things in pictures.

Without --json a table on stdout. With --json one object per picture, each on a line of its own (for one
picture that is one object):
  {"image": "a.jpg", "width": 640, "height": 360,
   "detections": [{"label": "car", "score": 0.91, "xyxy": [x0, y0, x1, y1]}]}
xyxy is left, top, right, bottom in pixels of the picture (turned upright as its EXIF says), surest box first.

A picture that cannot be read is reported on stderr and the others are still done; the exit code is then 1.
Exit codes: 0 all done, 1 something failed, 2 wrong use.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise WrongUse(f"{message}; kerbwatch detect --help lists the options.")


def detect(argv: list[str]) -> int:
    """Run `kerbwatch detect`; give its exit code.

    Raises:
        Failure: the model cannot be loaded or no picture can be written.
        WrongUse: the options make no sense.
    """
    args = _options(argv)
    with open_detector(
        args.model, args.backend, args.threads, args.precision, device=args.device
    ) as detector:
        try:
            failed = _detect_all(detector, args)
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read the output (head, a pager) has seen enough. Python flushes stdout once more when it
            # ends and would complain, so that goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
    return 1 if failed else 0


def _options(argv: list[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="kerbwatch detect", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", type=Path, help="JPEG, PNG, WebP, BMP, TIFF or GIF"
    )
    parser.add_argument(
        "--model", default="street@production", help="name@alias, name@version or a folder (%(default)s)"
    )
    parser.add_argument(
        "--backend", default="openvino", choices=tuple(KINDS), help="what computes (%(default)s)"
    )
    parser.add_argument(
        "--score",
        type=float,
        metavar="X",
        help="threshold of all classes, 0 to 1 (each class's own, from the model)",
    )
    parser.add_argument(
        "--every-class", action="store_true", help="a thing may come as several classes, as in `evaluate`"
    )
    parser.add_argument("--json", action="store_true", help="JSON lines on stdout")
    parser.add_argument(
        "--draw", type=Path, metavar="DIR", help="write the pictures with their boxes into this folder"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (all)")
    parser.add_argument(
        "--precision",
        choices=CHOICES,
        help="arithmetic; f32 and int8 repeat exactly, auto: the fastest here (what model.toml says, or f32)",
    )
    parser.add_argument("--device", metavar="D", help="cpu, cuda or cuda:N (a GPU if the backend finds one)")
    args = parser.parse_args(argv)
    if args.score is not None and not 0 <= args.score <= 1:
        raise WrongUse(f"--score: wanted a number from 0 to 1, got {args.score}.")
    return args


def _detect_all(detector: Detector, args: argparse.Namespace) -> int:
    """Do every picture; give how many failed."""
    failed = 0
    writer = _Writer(args.draw, detector.names) if args.draw else None
    for path in _progress(args.images):
        try:
            image = read_image(path)
            found = detector.detect(image, args.score, every_class=args.every_class)
            if writer:
                writer.write(path, image, found)
        except Failure as failure:
            failed += 1
            tqdm.write(f"kerbwatch detect: {failure}", file=sys.stderr)
            continue
        print(
            json.dumps(as_json(path, image, found)) if args.json else as_table(path, image, found), flush=True
        )
    return failed


def _progress(paths: list[Path]) -> Iterable[Path]:
    # disable=None: silent where stderr is no terminal; one picture needs no bar.
    return tqdm(paths, unit="picture", file=sys.stderr, disable=True if len(paths) < 2 else None)


def as_json(path: Path, image: Image, found: Detections) -> dict[str, Any]:
    """Give what --json prints for one picture."""
    return {
        "image": str(path),
        "width": image.shape[1],
        "height": image.shape[0],
        "detections": [
            {
                "label": found.names[int(label)],
                "score": round(float(score), 4),
                "xyxy": [round(float(side), 2) for side in xyxy],
            }
            for label, score, xyxy in zip(found.label, found.score, found.xyxy, strict=True)
        ],
    }


def as_table(path: Path, image: Image, found: Detections) -> str:
    """Give what is printed for one picture without --json."""
    lines = [f"{path}  {image.shape[1]}x{image.shape[0]}  {len(found) or 'nothing'} found"]
    for label, score, xyxy in zip(found.label, found.score, found.xyxy, strict=True):
        sides = " ".join(f"{float(side):8.1f}" for side in xyxy)
        lines.append(f"  {found.names[int(label)]:<16} {float(score):.2f}  {sides}")
    return "\n".join(lines)


class _Writer:
    """Writes drawn pictures into one folder; two of the same name do not overwrite each other."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        from detector.draw import palette

        self._folder, self._colours = folder, palette(names)
        self._taken: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failure(f"--draw: the folder {folder} cannot be made: {error.strerror}.") from error

    def write(self, path: Path, image: Image, found: Detections) -> None:
        from detector.draw import draw, encode_jpeg

        name, count = path.stem, 1
        while name in self._taken:
            count += 1
            name = f"{path.stem}-{count}"
        self._taken.add(name)
        target = self._folder / f"{name}.jpg"
        try:
            target.write_bytes(encode_jpeg(draw(image, found, self._colours)))
        except OSError as error:
            raise Failure(f"{target} cannot be written: {error.strerror}.") from error
