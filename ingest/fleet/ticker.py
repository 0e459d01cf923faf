"""The thread by which a supervisor looks after everything, over and over; what goes wrong does not end it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from detector.errors import Failure

log = logging.getLogger(__name__)

TICK_S = 0.5
"""Pause between two looks."""


class Ticker:
    """Call a function from a thread of its own until `stop`.

    Args:
        name: of the thread.
        tick: called every `TICK_S`; a `Failure` is logged by its sentence, anything else with its traceback.
    """

    def __init__(self, name: str, tick: Callable[[], None]) -> None:
        self._tick = tick
        self.done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, within_s: float) -> None:
        """End, and wait for the present look at most so long."""
        self.done.set()
        if self._thread.is_alive():
            self._thread.join(timeout=within_s)

    def _run(self) -> None:
        while not self.done.wait(TICK_S):
            try:
                self._tick()
            except Failure as failure:
                log.error("%s", failure)  # noqa: TRY400 - the sentence says it
            except Exception:  # the process loop: cameras go on being watched
                log.exception("the supervisor stumbled; it goes on")
