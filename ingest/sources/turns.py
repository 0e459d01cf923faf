"""Files take turns, group of pictures by group of pictures: a decoder at work holds 10 MB and more.

A live camera works when its pictures come. Files could all work at once, and would gain nothing from it:
there are not more cores for them, only more decoders open at the same time.
"""

from __future__ import annotations

import functools
import os
import threading
from types import TracebackType
from typing import Self

PATIENCE_S = 10.0
"""Longest wait for a turn: a file on a disk that does not answer must not hold up the others for good."""


class Turn:
    """One reader's turn. A context manager: asked for by `again`, given back at the end.

    Args:
        turns: how many readers may have one at once. patience_s: after so long without one it goes on anyway.
    """

    def __init__(self, turns: threading.Semaphore | None = None, patience_s: float = PATIENCE_S) -> None:
        self._turns = turns if turns is not None else turns_of_process()
        self._patience_s = patience_s
        self._mine = False

    @property
    def mine(self) -> bool:
        """Whether it has a turn now."""
        return self._mine

    def again(self) -> None:
        """Let others go first, and wait for the next turn."""
        self._give_back()
        self._mine = self._turns.acquire(timeout=self._patience_s)

    def _give_back(self) -> None:
        if self._mine:
            self._mine = False
            self._turns.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()


@functools.cache
def turns_of_process() -> threading.Semaphore:
    """Give the turns of this process: one more than the cores that it may use when the first file asks."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return threading.Semaphore(cores + 1)
