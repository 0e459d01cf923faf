"""Events become evidence and kept reports: in order, in a thread of the camera's own, none lost on the way.

Making a clip takes a third of a second of a core; the camera goes on being watched meanwhile. The cameras of
a process make theirs one after the other: that takes the same memory however many they are.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from detector.errors import Failure
from ingest import tracing
from ingest.evidence import Piece
from ingest.recorder import Capture
from ingest.types import Event

log = logging.getLogger(__name__)

RETRY_S = 5.0
"""Pause between two attempts to put a held event on a full disk."""
HELD_MAX = 50
"""Held events from which on a camera waits for the disk instead of looking further ..."""
HELD_BYTES_MAX = 64 << 20
"""... and their evidence: about 6 MB each, nearly all of it the sealed clip."""
UNMADE_MAX = 4
"""Events (about 10 MB each) whose evidence is still to be made, from which on it waits as well."""
ONE_AT_A_TIME = threading.Semaphore(1)
"""Of a process: who makes evidence."""


@dataclass(slots=True, eq=False)
class Filed:
    """An event on its way to the disk.

    Args:
        event: confirmed or ended. wh: width and height of its frame in pixels.
        capture: evidence still to be made; None: there is none, or it is made.
        traceparent: its place in a trace.
        pieces: evidence that is made.
    """

    event: Event
    wh: tuple[int, int]
    capture: Capture | None
    traceparent: str = ""
    pieces: tuple[Piece, ...] = ()

    def make(self) -> None:
        """Make the evidence, once."""
        if self.capture is not None:
            with tracing.continued(self.traceparent, "make"):
                self.pieces, self.capture = self.capture.make(), None


class Filing:
    """The events of one camera, filed one after the other.

    Args:
        write: puts an event's pieces and report on the disk; raises Failure if it cannot.
        live: what cannot be written is tried again for as long as it takes. Else the `Failure` comes out of
            the next `put` or `finish`, and nothing after it is written: the file is to be read again.
        name: of the thread.
        slots: how many cameras of this process may make evidence at once; None: one.
    """

    def __init__(
        self,
        write: Callable[[Filed], None],
        *,
        live: bool,
        name: str,
        slots: threading.Semaphore | None = None,
    ) -> None:
        self._write, self._live, self._name = write, live, name
        self._slots = slots or ONE_AT_A_TIME
        self._waiting: deque[Filed] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._error: Exception | None = None
        self._next_try = 0.0
        self._thread: threading.Thread | None = None

    def put(self, filed: Filed) -> None:
        """Hand in an event; wait while too many are on their way.

        A file can wait: it goes on once the evidence is made, whose packets are then those of its tape still.

        Raises:
            Failure: an earlier one could not be written (not for live cameras).
        """
        with self._changed:
            self._start()
            self._changed.wait_for(lambda: self._error is not None or not self._crowded)
            self._raise()
            self._waiting.append(filed)
            self._changed.notify_all()
            if not self._live:
                self._changed.wait_for(lambda: self._error is not None or filed.capture is None)

    def finish(self) -> None:
        """Wait until all is written.

        Raises:
            Failure: something could not be.
        """
        with self._changed:
            self._closing, self._next_try = True, 0.0
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._closing = False
        self._raise()

    @property
    def _crowded(self) -> bool:
        unmade = sum(filed.capture is not None for filed in self._waiting)
        held = sum(len(piece.data) for filed in self._waiting for piece in filed.pieces)
        return unmade >= UNMADE_MAX or len(self._waiting) >= HELD_MAX or held >= HELD_BYTES_MAX

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    # -- its thread --

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except Exception as error:  # noqa: BLE001 - it is raised where the camera's loop sees it
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _step(self) -> bool:
        """Do one thing; False: all is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._worth_looking)
            if not self._waiting:
                return False
            first = self._waiting[0]
            unmade = next((filed for filed in self._waiting if filed.capture is not None), None)
            may_write = self._closing or time.monotonic() >= self._next_try
        if unmade is not None and (unmade is first or not may_write):
            with self._slots:
                unmade.make()
            with self._changed:
                self._changed.notify_all()
        elif may_write:
            self._try(first)
        else:
            with self._changed:
                self._changed.wait(timeout=max(0.0, self._next_try - time.monotonic()))
        return True

    @property
    def _worth_looking(self) -> bool:
        return bool(self._waiting)

    def _try(self, first: Filed) -> None:
        try:
            self._write(first)
        except Failure as failure:
            if not self._live or self._closing:
                raise
            log.warning("%s (%d events wait)", failure, len(self._waiting))
            self._next_try = time.monotonic() + RETRY_S
            return
        with self._changed:
            self._waiting.popleft()
            self._changed.notify_all()
