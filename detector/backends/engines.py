"""Engines that are built once per model, GPU and TensorRT, and kept in a folder beside the model."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from detector.errors import Failure

log = logging.getLogger(__name__)

FOLDER = "engines"


@dataclass(frozen=True, slots=True)
class EngineKey:
    """All that an engine depends on; another value of any is another engine.

    Args:
        sha256: of the model's file.
        gpu: name of the GPU, as its driver gives it.
        tensorrt: version.
        precision: "f16" or "f32".
        batch_max: pictures of one call.
        side_px: longest side of the network's input.
    """

    sha256: str
    gpu: str
    tensorrt: str
    precision: str
    batch_max: int
    side_px: int

    @property
    def file_name(self) -> str:
        """Give the name of the engine's file, which holds the whole key.

        >>> EngineKey("ab" * 32, "NVIDIA H200", "10.13.2.6", "f16", 32, 640).file_name
        'abababababababab-nvidia-h200-trt10.13.2.6-f16-b32-640px.engine'
        """
        gpu = re.sub(r"[^a-z0-9]+", "-", self.gpu.lower()).strip("-")
        return (
            f"{self.sha256[:16]}-{gpu}-trt{self.tensorrt}-{self.precision}-b{self.batch_max}"
            f"-{self.side_px}px.engine"
        )


def engine_file(model_folder: Path, key: EngineKey, build: Callable[[Path], None]) -> Path:
    """Give the engine for `key`; build it where there is none. Workers that come at once build it once.

    Args:
        model_folder: of the model version; engines lie in its folder "engines", which git ignores.
        key: which engine.
        build: writes the engine to the path it is given; it may take minutes.

    Raises:
        Failure: the folder cannot be written, or what `build` raises.
    """
    folder = model_folder / FOLDER
    path = folder / key.file_name
    if path.is_file():
        return path
    try:
        folder.mkdir(exist_ok=True)
        with _alone(folder / "lock"):
            if not path.is_file():  # somebody else built it while we waited
                _build(path, key, build)
    except OSError as error:
        raise Failure(
            f"the TensorRT engine cannot be kept in {folder}: {error.strerror}; make that folder writable."
        ) from error
    return path


def _build(path: Path, key: EngineKey, build: Callable[[Path], None]) -> None:
    part = path.with_name(f"{path.stem}.{os.getpid()}.part.engine")
    log.info("building the TensorRT engine %s for %s: minutes, once", path.name, key.gpu)
    began = time.monotonic()
    try:
        build(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    log.info("built %s in %.0f s", path.name, time.monotonic() - began)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Let one process in at a time; a process that dies leaves no lock behind."""
    import fcntl  # TensorRT runs on Linux

    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
