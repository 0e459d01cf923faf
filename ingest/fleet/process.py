"""A worker process as its supervisor holds it: start, orders, status, kill."""

from __future__ import annotations

import logging
import multiprocessing
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from detector.errors import Failure, WrongUse
from ingest.fleet.orders import Left, NotReady, Open, Order, Ready, Stop
from ingest.fleet.status import WorkerStatus
from ingest.pipeline import Handed

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
END_S = 15.0
"""How long a worker may take to end in order before it is killed."""


@dataclass(slots=True)
class WorkerProcess:
    """One process that runs `ingest.fleet.worker`.

    `status`: the last it told, None before. `heard_at`: when it told something, monotonic seconds.
    `left`: what the rules of cameras that have left it were counting, for whoever takes them out.
    """

    order: Open
    status: WorkerStatus | None = None
    heard_at: float = field(default_factory=time.monotonic)
    started_at: float = field(default_factory=time.monotonic)
    refusal: NotReady | None = None
    left: dict[str, Handed] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] = field(init=False)
    _pipe: Connection = field(init=False)
    _ready: threading.Event = field(default_factory=threading.Event)
    _sending: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Start it; it is not ready yet."""
        self._pipe, theirs = multiprocessing.Pipe()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
                [sys.executable, "-m", "ingest.fleet.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno() if _has_fd(sys.stderr) else subprocess.DEVNULL,
                cwd=ROOT,
                process_group=0,  # Ctrl-C is ours, also before the worker has learnt not to listen to it
            )
        self.tell(self.order)
        threading.Thread(target=self._listen, name="worker-status", daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def ready(self) -> bool:
        """It has told that its group is open."""
        return self._ready.is_set() and self.refusal is None

    def alive(self) -> bool:
        """Say whether the process runs."""
        return self._process.poll() is None

    def exit_code(self) -> int | None:
        """Give the code it ended with (negative: the signal), None while it runs."""
        return self._process.poll()

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until the group is open.

        Raises:
            WrongUse, Failure: it cannot be, by the worker's own sentence; or it did not answer in time.
        """
        until = time.monotonic() + timeout_s
        while not self._ready.wait(0.1):
            if not self.alive():
                self._ready.wait(1.0)  # its last word may be on the way
                break
            if time.monotonic() > until:
                raise Failure(f"worker {self.pid} did not start in {timeout_s:.0f} s.")
        if self.refusal:
            raise (WrongUse if self.refusal.wrong_use else Failure)(self.refusal.sentence)
        if not self._ready.is_set():
            raise Failure(f"worker {self.pid} ended with code {self.exit_code()} before it was ready.")

    def tell(self, order: Order) -> None:
        """Send an order; one that cannot be sent is lost with the worker, whose end is noticed elsewhere."""
        with self._sending:
            try:
                self._pipe.send(order)
            except OSError as error:
                log.debug("worker %d takes no orders: %s", self.pid, error)

    def quiet_s(self) -> float:
        """Give the seconds since it last told something."""
        return time.monotonic() - self.heard_at

    def kill(self) -> None:
        """End it at once, even if it is stopped or hangs."""
        self._process.kill()
        self._process.wait()
        self._pipe.close()

    def stop(self) -> None:
        """Ask it to end; see `join`."""
        self.tell(Stop())

    def join(self, timeout_s: float = END_S) -> None:
        """Wait for its end, and kill it if that does not come."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            log.warning("worker %d did not end in %.0f s and is killed", self.pid, timeout_s)
        self.kill()

    def _listen(self) -> None:
        try:
            while True:
                said = self._pipe.recv()
                self.heard_at = time.monotonic()
                if isinstance(said, WorkerStatus):
                    self.status = said
                elif isinstance(said, Left):
                    self.left[said.camera_id] = said.counting
                elif isinstance(said, Ready | NotReady):
                    self.refusal = said if isinstance(said, NotReady) else None
                    self._ready.set()
        except (EOFError, OSError):
            return


def _has_fd(stream: object) -> bool:
    try:
        stream.fileno()  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
    return True
