"""A network's kernels, recorded once and launched as one: what torch spends on each of 300 falls away.

Imports no torch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_RECORDING = threading.Lock()
"""Recording waits for the whole device, which another recording would not stand."""
WARM_UPS = 3
"""Runs before a recording, in which kernels are chosen and anchors made."""


@dataclass(frozen=True, slots=True)
class _Recorded:
    graph: Any
    source: Any
    answer: Any
    held: Any
    """What the kernels read besides: alive as long as the recording."""


class Replays:
    """Recordings of one lane, one per canvas shape and batch size; for one thread and stream at a time."""

    def __init__(self, torch: Any, device: str, batch_max: int, held: Callable[[], Any] = tuple) -> None:
        """Record nothing yet: that is done for each shape and size when it first comes.

        Args:
            torch: the module.
            device: "cuda:N".
            batch_max: most pictures of one call.
            held: gives tensors that the network keeps between calls and may drop.
        """
        self._torch, self._device, self._held = torch, device, held
        self._batch_max = batch_max
        self._recorded: dict[tuple[int, ...], _Recorded] = {}
        self._pool: Any = None

    def run(self, given: Any, steps: Callable[[Any], Any]) -> Any:
        """Compute a batch on the current stream; what comes back is overwritten by the next call.

        Args:
            given: uint8 (B, h, w, 3) in page-locked host memory.
            steps: computes uint8 (B, h, w, 3) on the device, without waiting for it, to a tensor (B, ...);
                the same with every call. It is not kept: a lane that keeps its recordings would never go.
        """
        size = rounded(len(given), self._batch_max)
        key = (size, *given.shape[1:])
        recorded = self._recorded.get(key)
        if recorded is None:
            with _RECORDING:
                recorded = self._recorded[key] = self._record(key, given, steps)
        recorded.source[: len(given)].copy_(given, non_blocking=True)
        recorded.graph.replay()
        return recorded.answer[: len(given)]

    def _record(self, key: tuple[int, ...], given: Any, steps: Callable[[Any], Any]) -> _Recorded:
        torch = self._torch
        source = torch.zeros(key, dtype=torch.uint8, device=self._device)
        source[: len(given)].copy_(given, non_blocking=True)
        for _ in range(WARM_UPS):
            steps(source)
        stream = torch.cuda.current_stream(self._device)
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Other lanes go on computing meanwhile: only what this thread does is recorded.
        with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
            answer = steps(source)
        self._pool = self._pool or graph.pool()
        return _Recorded(graph, source, answer, self._held())


def rounded(count: int, most: int) -> int:
    """Round a batch up to one of three sizes: each takes a second to record, and an idle GPU is not dear.

    >>> [rounded(count, 32) for count in (1, 4, 5, 16, 17, 32)]
    [4, 4, 16, 16, 32, 32]
    """
    return next(size for size in (most // 8, most // 2, most) if size >= count)
