"""The way of a canvas through a backend: what `Direct` and `Batcher` have in common."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from detector.backends import Answer
from detector.types import Detections, FloatArray, Image

Finish: TypeAlias = Callable[[FloatArray], Detections]
"""Raw output of one picture, (4 + classes, N), to its boxes; it may not keep the output."""


class Pending(Protocol):
    """Boxes that are on their way."""

    def result(self, timeout: float | None = None) -> Detections:
        """Wait for the boxes.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            TimeoutError: they are not there in time.
            Failure: the backend could not do it.
        """

    def done(self) -> bool:
        """Say whether `result` would return at once."""


class Lane(Protocol):
    """Takes canvases of any number of threads; bounded, so that whoever is too fast waits."""

    room: int
    """Pictures that may be on their way at once."""
    tally: Tally

    def run(self, canvas: Image, finish: Finish) -> Answer[Detections]:
        """Compute one canvas, uint8 (h, w, 3).

        Raises:
            RuntimeError: it is closed.
            Failure: the backend could not do it.
        """

    def submit(self, canvas: Image, finish: Finish) -> Pending:
        """Begin with one canvas and return, or wait for room first. Raises as `run`."""

    def close(self) -> None:
        """Finish what is on its way, then take no more; calling it twice does no harm."""


class Tally:
    """What went through: safe from many threads."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self._lock = threading.Lock()
        self._batches: Counter[int] = Counter()
        self._waited_s = self._infer_s = 0.0

    def add(self, pictures: int, waited_s: float, infer_s: float) -> None:
        """Count one call of the backend: how long its pictures waited together, and how long it took."""
        with self._lock:
            self._batches[pictures] += 1
            self._waited_s += waited_s
            self._infer_s += infer_s

    def count(self, answer: Answer[Any]) -> None:
        """Count a call with one picture."""
        self.add(1, answer.waited_s, answer.took_s)

    @property
    def batches(self) -> Counter[int]:
        """How many pictures were computed at once: size to times, a copy."""
        with self._lock:
            return self._batches.copy()

    @property
    def infer_s(self) -> float:
        """Seconds that the backend computed so far, summed over calls side by side."""
        with self._lock:
            return self._infer_s

    @property
    def waited_s(self) -> float:
        """Seconds that pictures have waited for the backend so far, summed over pictures."""
        with self._lock:
            return self._waited_s


def closed() -> RuntimeError:
    """Give the error of a lane that takes no more."""
    return RuntimeError("this detector is closed: no pictures after shutdown")
