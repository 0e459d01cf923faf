"""The pictures to choose from: files, and frames of clips by the clip's own time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from detector.errors import Failure, WrongUse
from detector.pictures import read_image
from detector.types import Image
from training.yolo_data import PICTURE_SUFFIXES

CLIP_SUFFIXES = {".mp4", ".mkv", ".avi", ".mov", ".ts", ".webm"}


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture that can be looked at again.

    Args:
        path: of the picture or clip.
        scene: the clip, or the folder of the picture.
        at_s: seconds into the clip, None for a picture.
    """

    path: Path
    scene: str
    at_s: float | None = None

    @property
    def name(self) -> str:
        """What it is called in lists."""
        return str(self.path) if self.at_s is None else f"{self.path}@{self.at_s:.2f}s"


def shots(folder: Path, every_s: float) -> Iterator[tuple[Shot, Image]]:
    """Give every picture below a folder (or the one file), and one frame per `every_s` of every clip.

    Raises:
        WrongUse: there is neither picture nor clip.
        Failure: a file is damaged.
    """
    for path in files_of(folder):
        if path.suffix.lower() in CLIP_SUFFIXES:
            scene = path.relative_to(folder).as_posix() if folder.is_dir() else path.name
            for at_s, image in frames(path, every_s):
                yield Shot(path, scene, at_s), image
        else:
            scene = path.parent.relative_to(folder).as_posix() if folder.is_dir() else "."
            yield Shot(path, scene), read_image(path)


def files_of(folder: Path) -> Sequence[Path]:
    """List pictures and clips below a folder, sorted.

    Raises:
        WrongUse: there are none.
    """
    wanted = PICTURE_SUFFIXES | CLIP_SUFFIXES
    candidates = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    found = [path for path in candidates if path.suffix.lower() in wanted and path.is_file()]
    if not found:
        raise WrongUse(f"{folder}: holds neither pictures nor clips; name a folder that does.")
    return found


def frames(path: Path, every_s: float) -> Iterator[tuple[float, Image]]:
    """Give the first frame of a clip and then the next one every `every_s` seconds of its own time.

    Raises:
        Failure: the clip cannot be opened or read.
    """
    due = 0.0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise Failure(f"{path}: holds no video.")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            first: float | None = None
            for frame in container.decode(stream):
                if frame.pts is None:
                    continue
                first = frame.time if first is None else first
                if frame.time - first >= due - 1e-6:
                    due = frame.time - first + every_s
                    yield frame.time - first, np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)
    except (av.FFmpegError, OSError) as error:
        raise Failure(f"{path}: the clip cannot be read ({error}); copy it again or take it out.") from error


def again(chosen: Sequence[Shot], every_s: float) -> Iterator[tuple[int, Image]]:
    """Look at shots again, each clip once; give each one's place in `chosen` with it.

    Raises:
        Failure: a file has gone or changed meanwhile.
    """
    clips: dict[Path, dict[float, int]] = {}
    for place, shot in enumerate(chosen):
        if shot.at_s is None:
            yield place, read_image(shot.path)
        else:
            clips.setdefault(shot.path, {})[shot.at_s] = place
    for path, places in clips.items():
        for at_s, image in frames(path, every_s):
            if at_s in places:
                yield places.pop(at_s), image
            if not places:
                break
        if places:
            raise Failure(f"{path}: the clip has changed meanwhile; start again.")
