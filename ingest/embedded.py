"""The embedded default: the API as a child process, so that one command does everything.

`ingest` may not import `api`; it starts it as any other program and talks HTTP to it like any other machine.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from detector.errors import Failure, WrongUse

log = logging.getLogger(__name__)

START_LIMIT_S = 60.0


class EmbeddedApi:
    """Run `python -m api.server` beside this process and start it again when it dies.

    Args:
        data: folder of the database, the evidence and the sandbox's mail box.
        port: 0 takes a free one at the first start; a restart keeps it, so that senders find it again.
        options: further words of `python -m api.server`.
        timezone: in which the page shows times; None: its default.

    Raises:
        Failure: the server did not come up (port in use, full disk); the sentence is the server's own.
    """

    def __init__(
        self, data: Path, port: int = 0, options: Sequence[str] = (), timezone: str | None = None
    ) -> None:
        self._environment = {**os.environ, **({"KERBWATCH_TIMEZONE": timezone} if timezone else {})}
        self._data = data
        self._options = tuple(options)
        self._closing = threading.Event()
        self._process, self.url = self._start(port)
        self._keeper = threading.Thread(target=self._keep, name="api-keeper", daemon=True)
        self._keeper.start()

    def _start(self, port: int) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "api.server", "--data", str(self._data), "--port", str(port)]
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
            [*command, "--exit-with-parent", *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[1],
            env=self._environment,
            process_group=0,  # Ctrl-C is ours: the last reports still need it
        )
        lines: list[str] = []
        reader = threading.Thread(target=_relay, args=(process.stderr, lines), daemon=True)
        reader.start()
        timer = threading.Timer(START_LIMIT_S, process.kill)
        timer.start()
        try:
            ready = process.stdout.readline() if process.stdout else ""
        finally:
            timer.cancel()
        if not ready.strip():
            process.wait()
            reader.join(timeout=5)
            said = lines[-1].strip() if lines else f"it ended with code {process.returncode} and said nothing"
            kind = WrongUse if process.returncode == WrongUse.exit_code else Failure
            raise kind(f"the API did not start: {said}")
        return process, str(json.loads(ready)["url"]).rstrip("/")

    @property
    def pid(self) -> int:
        """Process id of the present server; tests kill it."""
        return self._process.pid

    def _keep(self) -> None:
        port = int(self.url.rsplit(":", 1)[1])
        while not self._closing.is_set():
            self._process.wait()
            if self._closing.wait(0.2):
                return
            log.warning("the API ended with code %s; starting it again", self._process.returncode)
            _let_go(self._process)
            try:
                self._process, _ = self._start(port)
            except Failure as failure:
                log.warning("%s; trying again", failure)
                self._closing.wait(2.0)

    def close(self) -> None:
        """Stop the server; requests in flight are answered first."""
        self._closing.set()
        self._process.terminate()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _let_go(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _let_go(process: subprocess.Popen[str]) -> None:
    """Close our ends of an ended server's pipes; that of its log is closed by who reads it."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def _relay(stream: IO[str] | None, kept: list[str]) -> None:
    """Pass the server's log on and keep its last lines for the error sentence."""
    for line in stream or ():
        kept.append(line)
        del kept[:-20]
        sys.stderr.write(line)
    if stream is not None:
        stream.close()
