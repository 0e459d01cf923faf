"""Infer requests of one compiled OpenVINO graph: taken for one picture, given back when it has been read.

No callbacks and no threads of our own: OpenVINO does not call back when a computation fails, and a hop to
another thread costs more than reading the boxes. Whoever wants the answer waits for it and reads it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np

from detector.backends import Answer
from detector.types import FloatArray, Image

T = TypeVar("T")
Failed: TypeAlias = Callable[[RuntimeError], Exception]
"""Makes the error that a user reads out of OpenVINO's."""

LOOK_AGAIN_S = 0.25
"""How long a thread waits for a request before it looks for answers that nobody has come for."""


class Requests:
    """The requests of one graph, which is compiled when the first one is taken; safe from many threads."""

    def __init__(self, compiled: Callable[[], Sequence[Any]]) -> None:
        """Remember how to compile: `compiled` gives the requests."""
        self._compiled = compiled
        self._opening = threading.Lock()
        self._open = False
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._begun_lock = threading.Lock()
        self._begun: dict[InferRun[Any], None] = {}  # the oldest first; those whose answer is not read yet

    def take(self) -> Any:
        """Give a free request, or wait for one.

        Where answers lie uncollected (`InferRun`), the oldest is read first: a thread that starts many and
        collects them afterwards does not wait for itself.

        Raises:
            RuntimeError: the graph cannot be compiled.
        """
        if not self._open:
            self.open()
        while True:
            try:
                return self._free.get_nowait()
            except queue.Empty:
                self._settle_oldest()
            try:
                return self._free.get(timeout=LOOK_AGAIN_S)
            except queue.Empty:
                continue

    def give(self, request: Any) -> None:
        """Give a request back."""
        self._free.put(request)

    def forget(self, run: InferRun[Any]) -> None:
        """Know that the answer of `run` has been read."""
        with self._begun_lock:
            self._begun.pop(run, None)

    def open(self) -> None:
        """Compile now, unless that is done; other graphs go on computing meanwhile.

        Raises:
            RuntimeError: the graph cannot be compiled; the next call tries again.
        """
        with self._opening:
            if not self._open:
                for request in self._compiled():
                    self._free.put(request)
                self._open = True

    def compute(self, canvas: Image, read: Callable[[FloatArray], T], failed: Failed) -> Answer[T]:
        """Compute one canvas, uint8 (h, w, 3), and read its output (4 + classes, N) where it lies.

        Raises:
            Exception: what `failed` makes of OpenVINO's error, or the error of `read`.
        """
        asked = time.perf_counter()
        try:
            request = self.take()
        except RuntimeError as error:
            raise failed(error) from error
        try:
            began = time.perf_counter()
            try:
                run(request, canvas)
            except RuntimeError as error:
                raise failed(error) from error
            value = read(output(request)[0])
            return Answer(value, began - asked, time.perf_counter() - began)
        finally:
            self.give(request)

    def begin(self, canvas: Image, read: Callable[[FloatArray], T], failed: Failed) -> InferRun[T]:
        """Start to compute one canvas; the run's answer raises what `compute` would.

        Raises:
            Exception: what `failed` makes of OpenVINO's error when it does not even start.
        """
        asked = time.perf_counter()
        try:
            request = self.take()
        except RuntimeError as error:
            raise failed(error) from error
        run = InferRun(self, request, read, failed, time.perf_counter() - asked)
        try:
            run.start(canvas)
        except RuntimeError as error:
            self.give(request)
            raise failed(error) from error
        with self._begun_lock:
            self._begun[run] = None
        return run

    def settle(self) -> None:
        """Read all answers that nobody has come for."""
        while self._settle_oldest():
            pass

    def _settle_oldest(self) -> bool:
        """Read the oldest answer that nobody waits for; say whether there was one."""
        with self._begun_lock:
            begun = list(self._begun)
        return any(run.collect_unless_awaited() for run in begun)


class InferRun(Generic[T]):
    """A request that computes; whoever comes first waits for it, reads it and gives it back."""

    def __init__(
        self,
        requests: Requests,
        request: Any,
        read: Callable[[FloatArray], T],
        failed: Failed,
        waited_s: float,
    ) -> None:
        """Belong to `requests`, from which `request` was taken."""
        self._requests, self._request = requests, request
        self._read, self._failed, self._waited_s = read, failed, waited_s
        self._lock = threading.Lock()
        self._canvas: Image | None = None
        self._answer: Answer[T] | None = None
        self._error: Exception | None = None

    def start(self, canvas: Image) -> None:
        """Begin; the canvas is held because OpenVINO reads it where it lies.

        Raises:
            RuntimeError: OpenVINO does not take it.
        """
        self._canvas = canvas
        self._request.set_input_tensor(0, shared(canvas))
        self._request.start_async()

    def answer(self, timeout: float | None = None) -> Answer[T]:
        """Wait for the answer; see `detector.backends.Running`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if self._lock.acquire(timeout=-1 if timeout is None else timeout):
            try:
                if self._request is not None and (
                    deadline is None or self._over(deadline - time.monotonic())
                ):
                    self._collect()
            finally:
                self._lock.release()
        if self._error is not None:
            raise self._error
        if self._answer is None:
            raise TimeoutError(f"no boxes after {timeout} s")
        return self._answer

    def done(self) -> bool:
        """Say whether `answer` would return at once."""
        if not self._lock.acquire(blocking=False):
            return False  # somebody waits for it
        try:
            return self._request is None or self._over(0)
        finally:
            self._lock.release()

    def collect_unless_awaited(self) -> bool:
        """Wait for the answer and keep it, unless another thread does that already or it is done."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._request is None:
                return False
            self._collect()
            return True
        finally:
            self._lock.release()

    def _over(self, timeout_s: float) -> bool:
        try:
            return bool(self._request.wait_for(max(0, int(1000 * timeout_s))))
        except RuntimeError:
            return True  # it failed; `_collect` meets the same error

    def _collect(self) -> None:
        """Wait, read, give the request back. The lock is held."""
        try:
            self._request.wait()
        except RuntimeError as error:
            self._error = self._failed(error)
        else:
            self._read_out()
        request, self._request, self._canvas = self._request, None, None
        self._requests.forget(self)
        self._requests.give(request)

    def _read_out(self) -> None:
        began = time.perf_counter()
        try:
            value = self._read(output(self._request)[0])
        except Exception as error:  # noqa: BLE001 - of the reader: raised where the answer is wanted
            self._error = error
        else:
            took_s = self._request.latency / 1000 + time.perf_counter() - began
            self._answer = Answer(value, self._waited_s, took_s)


def run(request: Any, canvases: Image) -> None:
    """Compute and wait. Not by `request.infer`, which keeps silent about errors of dynamic shapes (2026.4).

    Raises:
        RuntimeError: OpenVINO could not do it.
    """
    request.set_input_tensor(0, shared(canvases))
    request.start_async()
    request.wait()


def shared(canvases: Image) -> Any:
    """Give the tensor of a canvas (h, w, 3) or of several (B, h, w, 3); no copy where contiguous."""
    from openvino import Tensor

    if canvases.ndim == 3:
        canvases = canvases[None]
    canvases = np.ascontiguousarray(canvases)
    if not canvases.flags.writeable:
        canvases = np.asarray(_Writeable(canvases))
    return Tensor(canvases, shared_memory=True)


def output(request: Any) -> FloatArray:
    """Give the output where it lies: float32 (B, 4 + classes, N), valid until the request is used again."""
    return np.asarray(request.get_output_tensor().data, dtype=np.float32)


class _Writeable:
    """A read-only array that says it is not: the binding refuses those, although inputs are only read."""

    def __init__(self, array: Image) -> None:
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}
        self._array = array
