"""What supervisors share, here and on a cluster: they open, look after everything over and over, and end."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from detector.errors import Failure

log = logging.getLogger(__name__)

TICK_S = 0.5
"""Pause between two looks."""
STOP_S = 60.0
"""How long the present look may take when it is to end."""


class Supervising(ABC):
    """Begin, look after everything from a thread every `TICK_S`, end. A context manager.

    A `Failure` of one look is logged by its sentence, anything else with its traceback; neither ends it.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._lock = threading.RLock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def _begin(self) -> None:
        """Open what is needed; what it raises ends everything."""

    @abstractmethod
    def _look_after_all(self) -> None:
        """Look after everything once."""

    @abstractmethod
    def _end(self) -> None:
        """End everything, whatever was opened."""

    def __enter__(self) -> Self:
        try:
            self._begin()
        except BaseException:
            self._end()
            raise
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(timeout=STOP_S)
        self._end()

    def _run(self) -> None:
        while not self._done.wait(TICK_S):
            try:
                self._look_after_all()
            except Failure as failure:
                log.error("%s", failure)  # noqa: TRY400 - the sentence says it
            except Exception:  # the process loop: cameras go on being watched
                log.exception("the supervisor stumbled; it goes on")
