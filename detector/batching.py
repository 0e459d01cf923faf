"""Canvases of many cameras -> batches of one shape -> a backend."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from detector.backends import Backend
from detector.types import Detections, FloatArray, Image

Finish = Callable[[FloatArray], Detections]
"""Raw output of one picture, (4 + classes, N), to its boxes."""


@dataclass(slots=True, eq=False)
class _Batch:
    shape: tuple[int, ...]
    jobs: list[tuple[Image, Finish]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Pending:
    """Boxes that are on their way."""

    _batch: Future[list[Detections]]
    _place: int

    def result(self, timeout: float | None = None) -> Detections:
        """Wait for the boxes.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            TimeoutError: they are not there in time.
            Failure: the backend could not do it.
        """
        return self._batch.result(timeout)[self._place]

    def done(self) -> bool:
        """Say whether `result` would return at once."""
        return self._batch.done()


class Batcher:
    """Runs `backend.in_flight` calls side by side; what arrives meanwhile gathers into batches of one shape.

    Nobody waits for a batch to fill: an idle backend takes a single picture at once, a busy one finds more
    each time.
    """

    def __init__(self, backend: Backend) -> None:
        """Start the workers."""
        self._backend = backend
        self._lock = threading.Lock()
        self._open: dict[tuple[int, ...], tuple[_Batch, Future[list[Detections]]]] = {}
        self._workers = ThreadPoolExecutor(backend.in_flight, thread_name_prefix="detector")
        # Twice what can run: enough that no worker waits for a camera, few enough that pictures stay fresh.
        self.room = 2 * backend.in_flight * backend.batch_max
        self._places = threading.BoundedSemaphore(self.room)
        self._batches: Counter[int] = Counter()
        self._infer_s = 0.0

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

    def submit(self, canvas: Image, finish: Finish) -> Pending:
        """Hand in one canvas, uint8 (h, w, 3); wait while `room` pictures are already on their way.

        Raises:
            RuntimeError: it is closed.
        """
        self._places.acquire()
        with self._lock:
            batch, future = self._batch_for(canvas.shape)
            batch.jobs.append((canvas, finish))
            if len(batch.jobs) >= self._backend.batch_max:
                del self._open[canvas.shape]
            return Pending(future, len(batch.jobs) - 1)

    def close(self) -> None:
        """Finish what is on its way, then stop."""
        self._workers.shutdown(wait=True)

    def _count(self, pictures: int, seconds: float) -> None:
        with self._lock:
            self._batches[pictures] += 1
            self._infer_s += seconds

    def _batch_for(self, shape: tuple[int, ...]) -> tuple[_Batch, Future[list[Detections]]]:
        if shape not in self._open:
            batch = _Batch(shape)
            self._open[shape] = batch, self._workers.submit(self._run, batch)
        return self._open[shape]

    def _run(self, batch: _Batch) -> list[Detections]:
        with self._lock:  # from here on the batch takes no more
            if batch.shape in self._open and self._open[batch.shape][0] is batch:
                del self._open[batch.shape]
        start = time.perf_counter()
        try:
            raws = self._backend.infer(np.stack([canvas for canvas, _ in batch.jobs]))
            self._count(len(batch.jobs), time.perf_counter() - start)
            return [finish(raw) for (_, finish), raw in zip(batch.jobs, raws, strict=True)]
        finally:
            self._places.release(len(batch.jobs))
