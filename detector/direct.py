"""Canvases to a backend that computes them one by one, without a thread or a copy in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from detector.backends import Answer, DirectBackend, Running
from detector.lane import Finish, Pending, Tally, closed
from detector.types import Detections, Image


class Direct:
    """Passes each picture on in the thread that brings it; the backend's places are the only queue."""

    def __init__(self, backend: DirectBackend) -> None:
        """Serve `backend`."""
        self._backend = backend
        self.room = backend.in_flight
        self.tally = Tally()
        self._inside = 0
        self._closed = False
        self._changed = threading.Condition()

    def run(self, canvas: Image, finish: Finish) -> Answer[Detections]:
        """Compute one canvas in this thread; see `Lane`."""
        with self._entered():
            answer = self._backend.compute(canvas, finish)
        self.tally.count(answer)
        return answer

    def submit(self, canvas: Image, finish: Finish) -> Pending:
        """Begin with one canvas; see `Lane`."""
        with self._entered():
            return _Begun(self._backend.begin(canvas, finish), self.tally)

    def close(self) -> None:
        """Take no more and wait for the threads inside; what was begun is read when the backend closes."""
        with self._changed:
            self._closed = True
            while self._inside:
                self._changed.wait()

    @contextmanager
    def _entered(self) -> Iterator[None]:
        with self._changed:
            if self._closed:
                raise closed()
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                if not self._inside:
                    self._changed.notify_all()


@dataclass(slots=True, eq=False)
class _Begun:
    """Counts its answer once, however often it is asked."""

    _run: Running[Detections]
    _tally: Tally
    _counted: bool = field(default=False)

    def result(self, timeout: float | None = None) -> Detections:
        answer = self._run.answer(timeout)
        if not self._counted:
            self._counted = True
            self._tally.count(answer)
        return answer.value

    def done(self) -> bool:
        return self._run.done()
