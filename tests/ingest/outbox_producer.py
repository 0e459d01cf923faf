"""Put reports 0..N-1 into an outbox and send them, killed at random moments: the other half of `test_outbox.py`.

The process forks a child per round, so that Python is started once; the child kills itself with SIGKILL, the
last one is let live and prints: kills, receipts, pending, dead.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from pathlib import Path

from ingest.client import ApiClient
from ingest.outbox import Outbox
from tests.ingest.reports import report_with_files


def work(folder: Path, url: str, count: int) -> tuple[int, int, int]:
    """Put and send everything; give the numbers of receipts, pending and dead letters."""
    spool = folder / "spool"
    with (
        ApiClient(url, timeout_s=2.0) as client,
        Outbox(
            folder / "outbox.db", client, lambda ref: spool / ref.sha256, backoff_s=(0.02, 0.1)
        ).start() as box,
    ):
        for number in range(count):
            box.put(report_with_files(number, spool))
        return len(box.flush(30.0)), len(box.pending()), len(box.dead())


def main() -> None:
    folder, url, count, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    kills = 0
    for seed in range(rounds):
        child = os.fork()
        if child == 0:
            timer = threading.Timer(
                random.Random(seed).uniform(0.0, 0.4), os.kill, (os.getpid(), signal.SIGKILL)
            )
            timer.daemon = True
            timer.start()
            work(folder, url, count)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            break
        kills += 1
    sys.stdout.write(" ".join(map(str, (kills, *work(folder, url, count)))))


if __name__ == "__main__":
    main()
