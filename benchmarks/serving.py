"""A real `kerbwatch serve` over cameras by RTSP: started, asked, measured, stopped."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import URLError
from urllib.request import Request, urlopen

from benchmarks.clips import Clip
from detector.errors import Failure

HERE = Path(__file__).resolve().parent
START_S = 90.0
CASES = 60
"""Newest cases asked for at a time: what a page shows, and more than come between two questions."""
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def options_of(args: argparse.Namespace) -> list[str]:
    """Give what `kerbwatch serve` is told of a benchmark's own arguments (`benchmarks.ours`)."""
    words = ["--gate", args.gate, "--model", args.model]
    return [*words, "--precision", args.precision] if args.precision else words


def free_port() -> int:
    """Give a port that nobody listens on now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class LoadServer:
    """benchmarks/rtsp_load_server.py as a process.

    Attributes:
        port: where it serves. epoch: wall-clock second at which camera 0 was at the clip's beginning.
    """

    def __init__(
        self,
        clip: Path,
        cameras: int,
        spread_s: float,
        garbage_after: float | None = None,
        epoch: float | None = None,
    ) -> None:
        words = [sys.executable, str(HERE / "rtsp_load_server.py"), str(clip)]
        words += ["--cameras", str(cameras), "--spread", str(spread_s)]
        words += [] if garbage_after is None else ["--garbage-after", str(garbage_after)]
        words += [] if epoch is None else ["--epoch", repr(epoch)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        line = (self.process.stdout.readline() if self.process.stdout else "").split()
        if line[:1] != ["READY"]:
            raise Failure(f"the RTSP load server did not start for {clip}: it said {line}.")
        self.port, self.epoch = int(line[1]), float(line[2])
        self.cameras, self.spread_s = cameras, spread_s

    def url(self, camera: int = 0) -> str:
        """Give a camera's address."""
        return f"rtsp://127.0.0.1:{self.port}/{camera}"

    def ahead_s(self, camera: int) -> float:
        """Give how far a camera is ahead of camera 0, without its share of a frame."""
        return camera * self.spread_s / self.cameras

    def freeze(self) -> None:
        """Stop the process without a goodbye: its connections stay open and silent."""
        self.process.send_signal(signal.SIGSTOP)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def camera_table(camera_id: str, source: str, fps: float = 5.0) -> dict[str, Any]:
    """Give a camera as a table of a site file, without zones."""
    return {"id": camera_id, "source": source, "lat": 31.779, "lon": 119.951, "fps": fps}


def site_of(clip: Clip, tables: Sequence[Mapping[str, Any]]) -> str:
    """Give a site file of cameras that all have the clip's zones."""
    text = clip.site.read_text(encoding="utf-8")
    head, _, zones = text.partition("[[camera]]")
    zones = zones[zones.index("[[camera.zone]]") :]
    for table in tables:
        head += "[[camera]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        head += "\n" + zones + "\n"
    return head


def zones_of(clip: Clip) -> list[dict[str, Any]]:
    """Give the clip's zones as they stand in a camera's table."""
    zones: list[dict[str, Any]] = tomllib.loads(clip.site.read_text(encoding="utf-8"))["camera"][0]["zone"]
    return zones


@dataclass
class Serve:
    """`kerbwatch serve` on a site file, until the `with` block ends.

    Args:
        site: the file. data: folder. options: more words of the command.
    """

    site: Path
    data: Path
    options: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    status_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] = field(init=False)

    def __enter__(self) -> Self:
        """Start it and wait until status and API answer.

        Raises:
            Failure: it ended, or did not answer in START_S.
        """
        words = [sys.executable, "-m", "kerbwatch", "serve", "--site", str(self.site)]
        words += ["--data", str(self.data), "--port", str(self.port), "--status-port", str(self.status_port)]
        self._log = (self.data.parent / "serve.log").open("wb")
        self.process = subprocess.Popen(
            [*words, *self.options], stdout=subprocess.DEVNULL, stderr=self._log, cwd=HERE.parent
        )
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise Failure(f"kerbwatch serve ended with {self.process.returncode}: {self.said()}")
            try:
                self.status()
                self.cases()
            except (URLError, OSError):
                time.sleep(0.3)
                continue
            return self
        self.__exit__(None, None, None)
        raise Failure(f"kerbwatch serve did not answer in {START_S:.0f} s: {self.said()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()

    def said(self) -> str:
        """Give the end of its log."""
        return (self.data.parent / "serve.log").read_text(encoding="utf-8", errors="replace")[-500:].strip()

    def status(self) -> list[dict[str, Any]]:
        """Give WorkerStatus JSON of every worker."""
        found: list[dict[str, Any]] = _get(f"http://127.0.0.1:{self.status_port}/status")
        return found

    def cameras(self) -> dict[str, dict[str, Any]]:
        """Give CameraStatus JSON by camera."""
        return {row["camera_id"]: row for worker in self.status() for row in worker["cameras"]}

    def cases(self, most: int = CASES) -> list[dict[str, Any]]:
        """Give the newest cases, as the page sees them."""
        found: list[dict[str, Any]] = _get(f"http://127.0.0.1:{self.port}/v1/cases?limit={most}")["cases"]
        return found

    def metrics(self) -> str:
        """Give what Prometheus is told."""
        with urlopen(f"http://127.0.0.1:{self.status_port}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    def add(self, table: Mapping[str, Any]) -> None:
        """Add a camera while it runs."""
        body = json.dumps(table).encode()
        request = Request(
            f"http://127.0.0.1:{self.status_port}/cameras",
            data=body,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urlopen(request, timeout=10) as answer:
                answer.read()
        except URLError as error:
            reason = error.read().decode() if hasattr(error, "read") else str(error)
            raise Failure(f"camera {table['id']} was not taken: {reason}") from error

    def cpu_s(self) -> dict[str, float]:
        """Give the CPU seconds so far of the supervisor, the workers and the API."""
        spent: dict[str, float] = {"supervisor": 0.0, "workers": 0.0, "api": 0.0}
        for pid, seconds in tree(self.process.pid).items():
            spent[_role(pid)] += seconds
        return spent


def _get(url: str) -> Any:
    with urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())


def tree_cpu_s(root: int) -> float:
    """Give the CPU seconds of a process and of those below it that live."""
    return sum(tree(root).values())


def tree(root: int) -> dict[int, float]:
    """Give the CPU seconds of a process and of those below it that live, by number."""
    parents, spent = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has ended meanwhile
        parents[int(entry.name)] = int(fields[1])
        spent[int(entry.name)] = (int(fields[11]) + int(fields[12])) / TICKS
    return {pid: seconds for pid, seconds in spent.items() if _below(pid, root, parents)}


def _role(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "supervisor"
    return "workers" if "ingest.fleet.worker" in words else "api" if "api.server" in words else "supervisor"


def _below(pid: int, root: int, parents: Mapping[int, int]) -> bool:
    while pid > 1 and pid != root:
        pid = parents.get(pid, 0)
    return pid == root


@dataclass
class Look:
    """One answer of the status: when, and the cameras."""

    at: float
    cameras: dict[str, dict[str, Any]]


class Watch:
    """Ask for status and cases again and again from two threads; keep what was answered, and when.

    Attributes:
        looks: by time. cases: by id.
        seen_at: case_id to the wall-clock time at which a case was first listed.
    """

    def __init__(self, serve: Serve, status_s: float = 1.0, cases_s: float = 0.5) -> None:
        self._serve = serve
        self.looks: list[Look] = []
        self.seen_at: dict[str, float] = {}
        self.cases: dict[str, dict[str, Any]] = {}
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._again, args=(what, pause), daemon=True)
            for what, pause in ((self._look, status_s), (self._list, cases_s))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _again(self, what: Any, pause_s: float) -> None:
        while not self._over.wait(pause_s):
            try:
                what()
            except (URLError, OSError):
                continue  # busy: the gap shows in the figures

    def _look(self) -> None:
        self.looks.append(Look(time.time(), self._serve.cameras()))

    def _list(self) -> None:
        cases = self._serve.cases()
        now = time.time()
        for case in cases:
            self.seen_at.setdefault(case["case_id"], now)
            self.cases[case["case_id"]] = case

    def between(self, start: float, end: float) -> list[Look]:
        """Give the looks of a time."""
        return [look for look in list(self.looks) if start <= look.at <= end]
