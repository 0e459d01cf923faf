"""Evidence is made one event at a time, by threads that let the looking go first."""

from __future__ import annotations

import logging
import os
import sys
import threading

log = logging.getLogger(__name__)

NICE = int(os.environ.get("KERBWATCH_EVIDENCE_NICE", "3"))
"""Priority of threads that make evidence: beside one that looks they get a third of a core. Weaker still, a
clip would not be made in time where cameras leave little."""


class Turns(threading.Semaphore):
    """How many cameras of a process may make evidence at once; whoever has a turn steps back for the others.

    Linux gives every thread a priority of its own. A thread that has once stepped back stays so: it makes
    nothing but evidence, and only root may go up again.
    """

    def __init__(self, at_once: int = 1) -> None:
        super().__init__(at_once)
        self._stepped = threading.local()

    def __enter__(self, blocking: bool = True, timeout: float | None = None) -> bool:  # noqa: FBT001, FBT002 - as in threading
        """Wait for a turn."""
        taken = self.acquire(blocking, timeout)
        if not getattr(self._stepped, "back", False):
            self._stepped.back = True
            step_back(NICE)
        return taken


def step_back(nice: int) -> bool:
    """Lower the priority of the calling thread; False where threads have none of their own."""
    if sys.platform != "linux":  # elsewhere the number would be a process's
        return False
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
    except OSError as error:
        log.debug("this thread keeps its priority: %s", error.strerror)
        return False
    return True
