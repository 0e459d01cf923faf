"""Which thread of this process, and which step of ours in it, takes the CPU time.

Every few milliseconds the CPU clock of each thread is read, and what it took since the last look is put down
to the innermost function of ours that it is in: sums are the kernel's own and exact, their parts a sample.
Threads without Python compute the network; what they take is put down to who waits for it. Python is seen
where it gives others their turn: a short function of pure Python may be taken for who calls it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Self

from ingest.fleet.cpu import thread_cpu_s

ROOT = Path(__file__).resolve().parents[1]
OURS = tuple(f"{ROOT / name}{os.sep}" for name in ("detector", "ingest"))
PERIOD_S = 0.004
SWITCH_S = 0.0005
"""How long Python lets a thread go on while the sampler waits for its turn; its own 5 ms would be seen."""
NETWORK = "network"
STEPS = {
    "detector/backends/*": NETWORK,
    "detector/direct.py": NETWORK,
    "detector/batching.py": NETWORK,
    "detector/lane.py": NETWORK,
    "detector/detector.py": "boxes",
    "detector/decode.py": "boxes",
    "detector/nms.py": "boxes",
    "detector/letterbox.py": "resize and colour",
    "ingest/sources/picture.py": "resize and colour",
    "ingest/sources/signs.py": "what two key frames tell",
    "ingest/sources/rtsp.py": "receive",
    "ingest/sources/*": "decode",
    "ingest/gate.py": "gate",
    "ingest/tracker.py": "tracker",
    "ingest/boxes.py": "tracker",
    "ingest/rules/*": "rules",
    "ingest/zones.py": "rules",
    "ingest/clips.py": "encode the clip",
    "ingest/redact.py": "find and blur heads and plates",
    "ingest/stills.py": "stills",
    "ingest/shots.py": "stills",
    "ingest/mp4.py": "seal, write, put in the outbox",
    "ingest/evidence.py": "seal, write, put in the outbox",
    "ingest/outbox.py": "seal, write, put in the outbox",
    "ingest/letters.py": "seal, write, put in the outbox",
    "ingest/letter_file.py": "seal, write, put in the outbox",
}
"""What a file of ours is there for; one that is not named here stands in the table by its own name."""
KINDS = {
    "MainThread": "camera",
    "camera": "camera",
    "rtsp": "reader",
    "evidence": "evidence",
    "main": "main stream",
}
"""First word of a thread's name: what it does. Without Python: the network. Any other: the rest."""


def step_of(path: str) -> str:
    """Give the step that a file of ours, relative to the repository, is there for.

    >>> step_of("ingest/sources/rtsp.py"), step_of("ingest/sources/lookback.py"), step_of("ingest/film.py")
    ('receive', 'decode', 'film')
    """
    folder, _, name = path.rpartition("/")
    return STEPS.get(path) or STEPS.get(f"{folder}/*") or name.removesuffix(".py")


def where(frame: FrameType | None) -> str:
    """Give the step of the innermost function of ours; "rest" where there is none."""
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(OURS):
            return step_of(path[len(str(ROOT)) + 1 :].replace(os.sep, "/"))
        frame = frame.f_back
    return "rest"


def kind_of(name: str) -> str:
    """Give what a thread does, by its name.

    >>> kind_of("evidence cam-1"), kind_of("orders_0")
    ('evidence', 'rest')
    """
    return KINDS.get(name.partition(" ")[0], "rest")


class Sampler:
    """Sample while a `with` block runs; `spent` then has CPU seconds by (what the thread does, step).

    `whole_s`: CPU seconds of the process in that time, less those of the sampler itself.
    """

    def __init__(self, period_s: float = PERIOD_S) -> None:
        self.spent: dict[tuple[str, str], float] = defaultdict(float)
        self.whole_s = 0.0
        self._own_s = 0.0
        self._period_s = period_s
        self._before: dict[int, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self._switch = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        self._began = time.process_time()
        self._before = self._clocks()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()
        self.whole_s = time.process_time() - self._began - self._own_s
        sys.setswitchinterval(self._switch)
        if (unseen := self.whole_s - sum(self.spent.values())) > 0:
            self.spent["rest", "threads that ended between two looks"] += unseen

    def rows(self, per: float) -> list[dict[str, Any]]:
        """Give the table, the most first: CPU milliseconds per `per`, and the share of all.

        Args:
            per: by which seconds are divided, such as the seconds of video.
        """
        return table(self.spent, self.whole_s, per)

    def _clocks(self) -> dict[int, float]:
        found = {}
        for name in os.listdir("/proc/self/task"):  # noqa: PTH208 - 250 times a second
            if (seconds := thread_cpu_s(int(name))) is not None:
                found[int(name)] = seconds
        return found

    def _run(self) -> None:
        while not self._over.wait(self._period_s):
            self._look()
        self._own_s = time.thread_time()

    def _look(self) -> None:
        frames, clocks = sys._current_frames(), self._clocks()  # noqa: SLF001 - there is no other way
        python = {thread.native_id: thread for thread in threading.enumerate()}
        waiting: list[str] = []
        native_s = 0.0
        for number, seconds in clocks.items():
            took = max(seconds - self._before.get(number, 0.0), 0.0)
            thread = python.get(number)
            if thread is None:
                native_s += took
            elif thread is not self._thread:
                kind, step = kind_of(thread.name), where(frames.get(thread.ident or 0))
                waiting += [kind] if step == NETWORK else []
                self.spent[kind, step] += took
        for kind in waiting or ["camera"]:
            self.spent[kind, NETWORK] += native_s / max(len(waiting), 1)
        self._before = clocks


def table(spent: Mapping[tuple[str, str], float], whole_s: float, per: float) -> list[dict[str, Any]]:
    """Give rows, the most first.

    >>> table({("camera", "decode"): 3.0, ("evidence", "stills"): 1.0}, 4.0, 60.0)[0]
    {'thread': 'camera', 'step': 'decode', 'ms': 50.0, 'share': 0.75}
    """
    ordered = sorted(spent.items(), key=lambda pair: -pair[1])
    return [
        {
            "thread": kind,
            "step": step,
            "ms": round(1000 * seconds / per, 3),
            "share": round(seconds / whole_s, 4) if whole_s else 0.0,
        }
        for (kind, step), seconds in ordered
    ]
