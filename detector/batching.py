"""Canvases of many cameras -> batches of one shape -> a backend that gains by them."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from detector.backends import Answer, Backend, GatheringBackend
from detector.lane import Finish, Pending, Tally, closed
from detector.types import Detections, FloatArray, Image

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Job:
    canvas: Image
    finish: Finish
    asked: float
    """On the clock of `time.perf_counter`."""
    future: Future[Answer[Detections]]


@dataclass(frozen=True, slots=True)
class _Place:
    """One picture's place in a batch."""

    _future: Future[Answer[Detections]]

    def result(self, timeout: float | None = None) -> Detections:
        return self._future.result(timeout).value

    def done(self) -> bool:
        return self._future.done()


@dataclass(slots=True, eq=False)
class _Batch:
    shape: tuple[int, ...]
    jobs: list[_Job] = field(default_factory=list)


class Batcher:
    """Runs `backend.in_flight` calls side by side; what arrives meanwhile gathers into batches of one shape.

    Nobody waits for a batch to fill: an idle backend takes a single picture at once, a busy one finds more
    each time.
    """

    def __init__(self, backend: Backend) -> None:
        """Start the workers."""
        self._backend = backend
        self._lock = threading.Lock()
        self._open: dict[tuple[int, ...], _Batch] = {}
        self._workers = ThreadPoolExecutor(backend.in_flight, thread_name_prefix="detector")
        # Twice what can run: enough that no worker waits for a camera, few enough that pictures stay fresh.
        self.room = 2 * backend.in_flight * backend.batch_max
        self._places = threading.BoundedSemaphore(self.room)
        self._closed = False
        self.tally = Tally()

    def run(self, canvas: Image, finish: Finish) -> Answer[Detections]:
        """Compute one canvas; see `Lane`."""
        return self._submit(canvas, finish).result()

    def submit(self, canvas: Image, finish: Finish) -> Pending:
        """Hand in one canvas; wait while `room` pictures are already on their way; see `Lane`."""
        return _Place(self._submit(canvas, finish))

    def close(self) -> None:
        """Finish what is on its way, then stop; see `Lane`."""
        with self._lock:
            self._closed = True
        self._workers.shutdown(wait=True)

    def _submit(self, canvas: Image, finish: Finish) -> Future[Answer[Detections]]:
        job = _Job(canvas, finish, time.perf_counter(), Future())
        self._places.acquire()
        try:
            with self._lock:
                self._put(job)
        except BaseException:
            self._places.release()
            raise
        return job.future

    def _put(self, job: _Job) -> None:
        if self._closed:
            raise closed()
        shape = job.canvas.shape
        batch = self._open.get(shape)
        if batch is None:
            batch = _Batch(shape)
            self._workers.submit(self._run, batch)
            self._open[shape] = batch
        batch.jobs.append(job)
        if len(batch.jobs) >= self._backend.batch_max:
            del self._open[shape]

    def _run(self, batch: _Batch) -> None:
        with self._lock:  # from here on the batch takes no more
            if self._open.get(batch.shape) is batch:
                del self._open[batch.shape]
        try:
            self._compute(batch.jobs)
        finally:
            self._places.release(len(batch.jobs))

    def _infer(self, canvases: list[Image]) -> FloatArray:
        if isinstance(self._backend, GatheringBackend):
            return self._backend.gather(canvases)
        return self._backend.infer(canvases[0][None] if len(canvases) == 1 else np.stack(canvases))

    def _compute(self, jobs: list[_Job]) -> None:
        """Give every job its boxes or its error; no exception leaves."""
        began = time.perf_counter()
        try:
            raws = self._infer([job.canvas for job in jobs])
        except Exception as error:  # noqa: BLE001 - raised where the boxes are wanted
            if len(jobs) > 1:
                # One picture, or the memory for so many, may be at fault: the others shall not suffer for it.
                log.warning("a batch of %d pictures failed and is done one by one: %s", len(jobs), error)
                for job in jobs:
                    self._compute([job])
            else:
                for job in jobs:
                    job.future.set_exception(error)
            return
        took_s = time.perf_counter() - began
        self.tally.add(len(jobs), sum(began - job.asked for job in jobs), took_s)
        for job, raw in zip(jobs, raws, strict=True):
            _finish(job, raw, began - job.asked, took_s)


def _finish(job: _Job, raw: FloatArray, waited_s: float, took_s: float) -> None:
    began = time.perf_counter()
    try:
        value = job.finish(raw)
    except Exception as error:  # noqa: BLE001 - raised where the boxes are wanted
        job.future.set_exception(error)
    else:
        job.future.set_result(Answer(value, waited_s, took_s + time.perf_counter() - began))
