"""A worker process: a camera group, told by its supervisor what to watch, over a pipe.

Started by `ingest.fleet.process`. The supervisor sends `Open` first, then
other orders; the worker answers `Ready` or `NotReady`, then gives a `WorkerStatus` each second. When the pipe
ends, the supervisor is gone, and so is the worker, at once: what it had to keep is on the disk.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

from detector.errors import Failure, WrongUse
from ingest.fleet.group import CameraGroup
from ingest.fleet.orders import Answer, Leave, Left, NotReady, Open, Order, Rates, Ready, Stop, Watch

log = logging.getLogger(__name__)

STATUS_S = 1.0
"""Pause between two statuses."""


class Worker:
    """Follow a supervisor's orders until it says stop or is gone.

    Orders are carried out one after the other by a thread of their own, so that a camera that is slow to
    leave does not hold up the status, by whose absence the supervisor knows a worker that hangs.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()
        self._stop = threading.Event()

    def run(self) -> int:
        """Work; give the exit code."""
        first = self._next()
        if not isinstance(first, Open):
            return 2
        logging.getLogger().setLevel(first.log_level)
        _keep_to(first.cores)
        try:
            group = CameraGroup(first.site, first.settings, first.data, first.api_url, first.token)
        except Failure as failure:
            return self._not_ready(failure)
        with group, ThreadPoolExecutor(1, thread_name_prefix="orders") as orders:
            try:
                group.load(first.models)
            except Failure as failure:
                return self._not_ready(failure)
            self._say(Ready())
            threading.Thread(target=self._listen, args=(group, orders), name="pipe", daemon=True).start()
            while not self._stop.wait(STATUS_S):
                self._say(group.status())
            orders.shutdown(cancel_futures=True)
        return 0

    def _not_ready(self, failure: Failure) -> int:
        self._say(NotReady(str(failure), isinstance(failure, WrongUse)))
        return failure.exit_code

    def _say(self, answer: Answer) -> None:
        with self._sending:
            self._pipe.send(answer)

    def _next(self) -> Any:
        """Give the next order; where there is nobody left to give one, end this process."""
        try:
            return self._pipe.recv()
        except (EOFError, OSError):
            # At once, whatever hangs: cameras must not be watched by nobody's worker and by the next one too.
            os._exit(0)

    def _listen(self, group: CameraGroup, orders: ThreadPoolExecutor) -> None:
        while True:
            order = self._next()
            if isinstance(order, Stop):
                self._stop.set()
            else:
                orders.submit(self._obey, group, order)

    def _obey(self, group: CameraGroup, order: Order) -> None:
        try:
            match order:
                case Watch(cameras, handed):
                    for camera in cameras:
                        group.change(camera, handed.get(camera.id))
                case Leave(camera_ids):
                    for camera_id in camera_ids:
                        self._say(Left(camera_id, group.let_go(camera_id) or {}))
                case Rates(fps):
                    group.set_rates(fps)
        except Failure as failure:
            log.error("%s", failure)  # noqa: TRY400 - the sentence says it


def _keep_to(cores: tuple[int, ...]) -> None:
    """Use only these cores, where the system lets one choose."""
    if cores and hasattr(os, "sched_setaffinity"):
        try:
            os.sched_setaffinity(0, cores)
        except OSError as error:
            log.warning("cores %s cannot be had: %s; using any", cores, error.strerror)


def main() -> int:
    """Run a worker over the file descriptor named on the command line."""
    # Ctrl-C and a service manager's SIGTERM reach all processes; the supervisor ends its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO, stream=sys.stderr
    )
    try:
        return Worker(Connection(int(sys.argv[1]))).run()
    except (BrokenPipeError, ConnectionResetError):
        return 0
    finally:
        log.debug("worker %d ends at %.0f", os.getpid(), time.time())


if __name__ == "__main__":
    sys.exit(main())
