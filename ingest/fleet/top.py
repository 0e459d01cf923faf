"""`kerbwatch top`: how workers and cameras are doing, kept up to date, what is wrong first."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

import httpx2
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from detector.errors import Failure, WrongUse
from ingest.fleet.status import CameraState, CameraStatus, WorkerStatus, cameras_of

DEFAULT_URL: Final = "http://127.0.0.1:8766"
TIMEOUT_S: Final = 5.0
PIPE_WIDTH: Final = 180
"""Columns where the output is no terminal."""

STYLE: Final = {
    CameraState.FAILED: "bold red",
    CameraState.SILENT: "bold red",
    CameraState.RECONNECTING: "red",
    CameraState.REFUSED: "magenta",
    CameraState.DEGRADED: "yellow",
    CameraState.STARTING: "cyan",
    CameraState.RUNNING: "green",
    CameraState.ENDED: "dim",
}
"""Colours, in the order of the table: what is wrong first."""
RANK: Final = {state: rank for rank, state in enumerate(STYLE)}
WIDE: Final = 165
"""Columns of a terminal from which on there is room for `DETAILS`."""
NARROW: Final = 100
"""Columns below which there is room for one number only, or what is wrong could not be read."""
DETAILS: Final = ("QUEUE", "MS/FRAME", "EVENTS", "WORKER")
OTHERS_SHOWN: Final = 0.1
"""Cores of other programs that are worth a word."""
INTENDED: Final = "still"
"""A frame dropped because nothing had changed is work saved, no loss."""
WAITING: Final = frozenset({"infer_wait"})
"""Stages in which a camera's frame costs nothing."""


def top(argv: list[str]) -> int:
    """Show how the fleet is doing until stopped."""
    args = _parser().parse_args(argv)
    if args.every <= 0:
        raise WrongUse(f"--every {args.every:g} has to be more than 0 seconds.")
    with _client(args.url) as client:
        workers = fetch(client)
        if args.json:
            rows = [worker.as_json() for worker in workers]
            sys.stdout.write(json.dumps(rows, ensure_ascii=False) + "\n")
            return 0
        console = Console()
        if args.once or not console.is_terminal:
            if not console.is_terminal:
                console = Console(width=PIPE_WIDTH)
            console.print(screen(workers, width=console.width, height=None))
            return 0
        _follow(client, console, workers, args.every)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kerbwatch top", description="How workers and cameras of a running fleet are doing."
    )
    add = parser.add_argument
    add(
        "--url",
        default=DEFAULT_URL,
        help=f"status address that kerbwatch serve prints (default {DEFAULT_URL})",
    )
    add("--once", action="store_true", help="print once, all cameras (as where the output is no terminal)")
    add("--json", action="store_true", help="print once, as JSON: a list of workers with their cameras")
    add("--every", type=float, default=1.0, metavar="SECONDS", help="pause between two looks (default 1)")
    return parser


def _client(url: str) -> httpx2.Client:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise WrongUse(f"--url {url!r} is no address; give one such as {DEFAULT_URL}.")
    loopback = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    base = url.rstrip("/").removesuffix("/status")  # serve prints it with, people try it without
    return httpx2.Client(base_url=base, timeout=TIMEOUT_S, trust_env=not loopback)


def fetch(client: httpx2.Client) -> list[WorkerStatus]:
    """Ask a fleet for its status.

    Raises:
        Failure: nobody answers there, or somebody else does.
    """
    where = str(client.base_url).rstrip("/")
    try:
        answer = client.get("/status")
    except httpx2.ConnectError as error:
        raise Failure(
            f"nothing answers at {where}: start kerbwatch serve, or name the status address that it prints "
            "with --url."
        ) from error
    except (httpx2.TimeoutException, httpx2.HTTPError) as error:
        raise Failure(
            f"{where} did not answer properly ({type(error).__name__}); is it overloaded?"
        ) from error
    try:
        return [WorkerStatus.from_json(row) for row in answer.raise_for_status().json()]
    except (httpx2.HTTPStatusError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Failure(
            f"{where} answers, but not as a Kerbwatch fleet does: name the status address that kerbwatch "
            "serve prints with --url, not the page's."
        ) from error


def _follow(client: httpx2.Client, console: Console, workers: list[WorkerStatus], every_s: float) -> None:
    """Keep the table up to date until Ctrl-C; a fleet that stops answering leaves its last status there."""
    before, news = workers, ""
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            now = screen(workers, before, width=console.width, height=console.height, news=news)
            live.update(now, refresh=True)
            time.sleep(every_s)
            try:
                before, workers, news = workers, fetch(client), ""
            except Failure as failure:
                news = str(failure)


def screen(
    workers: Sequence[WorkerStatus],
    before: Sequence[WorkerStatus] = (),
    *,
    width: int,
    height: int | None,
    news: str = "",
) -> RenderableType:
    """Give all that is shown.

    Args:
        workers: the fleet now.
        before: the fleet at the last look, for what was dropped since; none: since the start.
        width: columns of the terminal; a narrow one shows less of each camera.
        height: its lines; None shows every camera.
        news: a sentence for the first line.
    """
    unlisted = sum(worker.unlisted for worker in workers)
    lost_workers = frozenset(worker.worker for worker in workers if not worker.alive)
    cameras = sorted(cameras_of(workers), key=lambda camera: urgency(camera, lost_workers))
    head = _head(workers, cameras, news)
    about_workers = _workers_table(workers)
    room = len(cameras)
    if height is not None:
        room = max(2, height - (2 if news else 1) - (len(workers) + 1) - 3 - bool(unlisted))
        room = room if len(cameras) <= room else room - 1
    shown, hidden = cameras[:room], cameras[room:]
    parts: list[RenderableType] = [
        head,
        about_workers,
        Text(),
        _cameras_table(shown, before, width, whole=height is None),
    ]
    if hidden:
        parts.append(Text(f"  and {summary(hidden)}", style="dim"))
    if unlisted:
        parts.append(Text(f"  and {unlisted} more that are refused", style="dim"))
    return Group(*parts)


def summary(cameras: Sequence[CameraStatus]) -> str:
    """Say how many cameras are not shown, and how they are.

    >>> cameras = [CameraStatus(str(n), "w", CameraState.RUNNING) for n in range(3)]
    >>> summary(cameras)
    '3 more, all running'
    >>> summary([*cameras, CameraStatus("x", "w", CameraState.SILENT)])
    '4 more: 1 silent, 3 running'
    """
    counts = _counted(cameras)
    if len(counts) == 1:
        return f"{len(cameras)} more, all {next(iter(counts))}"
    return f"{len(cameras)} more: " + ", ".join(f"{count} {state}" for state, count in counts.items())


def urgency(
    camera: CameraStatus, lost_workers: frozenset[str] = frozenset()
) -> tuple[float, bool, float, list[tuple[int, str]]]:
    """Give what cameras are sorted by: state, fault, how far behind, name (cam-2 before cam-10).

    Cameras that fail because their worker does come after those that are wrong by themselves: the worker's
    line says it, and seventy of them must not hide the one that is silent.
    """
    rank: float = RANK[camera.state]
    if camera.state is CameraState.FAILED and camera.worker in lost_workers:
        rank = RANK[CameraState.DEGRADED] + 0.5
    behind = 0.0
    if camera.fault and camera.fps_wanted > 0:
        behind = camera.fps_analysed / camera.fps_wanted
    name = [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", camera.camera_id)
    ]
    return rank, not camera.fault, behind, name


def _counted(cameras: Iterable[CameraStatus], unlisted: int = 0) -> dict[CameraState, int]:
    counts = Counter(camera.state for camera in cameras)
    counts[CameraState.REFUSED] += unlisted
    return {state: counts[state] for state in STYLE if counts[state]}


def _head(workers: Sequence[WorkerStatus], cameras: Sequence[CameraStatus], news: str) -> Text:
    head = Text(no_wrap=True, overflow="ellipsis")
    if news:
        head.append(f"{news}\n", style="bold red")
    unlisted = sum(worker.unlisted for worker in workers)
    count_all = len(cameras) + unlisted
    head.append(f"{datetime.now().astimezone():%H:%M:%S}  {count_all} cameras", style="bold")
    for state, count in _counted(cameras, unlisted).items():
        head.append("  ")
        head.append(f"{count} {state}", style=STYLE[state])
    used = sum(worker.cpu_share for worker in workers)
    allowed = sum(worker.cores for worker in workers)
    head.append(f"  {sum(camera.fps_analysed for camera in cameras):.1f} analysed fps")
    head.append(f"  {used:.1f} of {allowed:g} cores")
    if (others := sum(worker.cores_others for worker in workers)) >= OTHERS_SHOWN:
        head.append(f", {others:.1f} used by other programs", style="yellow")
    rooms = [worker.room for worker in workers if worker.alive and worker.room is not None]
    if rooms:
        head.append(f"  room for {sum(rooms)} more")
    return head


def _workers_table(workers: Sequence[WorkerStatus]) -> Table:
    table = _table("WORKER")
    for name in ("CAMERAS", "CPU/CORES", "MEMORY", "ROOM", "RESTARTS", "BATCH", "OUTBOX"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("MODEL", no_wrap=True, overflow="ellipsis", ratio=1)
    for worker in sorted(workers, key=lambda worker: (worker.alive, worker.worker)):
        pictures = sum(size * times for size, times in worker.batches.items())
        batches = sum(worker.batches.values())
        outbox = worker.outbox
        table.add_row(
            _said(worker.worker) if worker.alive else _said(f"{worker.worker} does not answer", "bold red"),
            str(len(worker.cameras) + worker.unlisted),
            f"{worker.cpu_share:.2f}/{worker.cores:g}" if worker.cores else "",
            f"{worker.rss_bytes / 1e6:,.0f} MB" if worker.rss_bytes else "",
            "" if worker.room is None else str(worker.room),
            Text(str(worker.restarts or ""), "yellow"),
            f"{pictures / batches:.1f}" if batches else "",
            Text("") if outbox is None else Text(f"{outbox.pending}", "yellow" if outbox.pending else ""),
            _said(f"{worker.model} {worker.precision}".strip()),
        )
    return table


def _cameras_table(
    cameras: Sequence[CameraStatus], before: Sequence[WorkerStatus], width: int, *, whole: bool
) -> Table:
    """Give the table of cameras; `whole`: sentences may take several lines."""
    table = _table("CAMERA", "STATE")
    numbers = ["ANALYSED"] if width < NARROW else ["FPS IN", "ANALYSED", "DROPPED", "AGE"]
    numbers += DETAILS if width >= WIDE else ()
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("WHAT IS WRONG", no_wrap=not whole, overflow="fold" if whole else "ellipsis", ratio=1)
    earlier = {camera.camera_id: camera for camera in cameras_of(before)}
    for camera in cameras:
        told = {
            "FPS IN": f"{camera.fps_in:.1f}",
            "ANALYSED": f"{camera.fps_analysed:.1f}/{camera.fps_wanted:.3g}",
            "DROPPED": lost(camera, earlier.get(camera.camera_id)),
            "AGE": "" if camera.last_frame_age_s is None else _seconds(camera.last_frame_age_s),
            "QUEUE": _seconds(camera.queue_age_s) if camera.queue_age_s else "",
            "MS/FRAME": _cost(camera),
            "EVENTS": str(sum(camera.events.values()) or ""),
            "WORKER": camera.worker,
        }
        table.add_row(
            _said(camera.camera_id),
            Text(camera.state.value, STYLE[camera.state]),
            *(_said(told[name]) for name in numbers),
            _said(camera.fault, STYLE[camera.state] if camera.state is not CameraState.RUNNING else "yellow"),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, expand=True, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold underline")
    for name in columns:
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    return table


def _said(words: str, style: str = "") -> Text:
    """Give words that came from elsewhere; what would steer the terminal becomes a space."""
    return Text("".join(letter if letter.isprintable() else " " for letter in words), style)


def lost(camera: CameraStatus, before: CameraStatus | None) -> str:
    """Give the share of the frames due that were not analysed, and the main reason; "" where none was lost.

    >>> dropped = {"late": 15, "stale": 5, "still": 900}
    >>> camera = CameraStatus("c", "w", CameraState.RUNNING, analysed=80, dropped=dropped)
    >>> lost(camera, None)
    '20% late'
    >>> lost(camera, camera)
    ''
    """
    earlier = before.dropped if before else {}
    dropped = _since(camera.dropped, earlier)
    analysed = camera.analysed - (before.analysed if before else 0)
    if analysed < 0:  # it began again meanwhile
        dropped, analysed = _since(camera.dropped, {}), camera.analysed
    total = sum(dropped.values())
    if not total or total < 0.005 * (total + analysed):
        return ""
    return f"{100 * total / (total + analysed):.0f}% {max(dropped, key=dropped.__getitem__)}"


def _since(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    return {reason: times - before.get(reason, 0) for reason, times in now.items() if reason != INTENDED}


def _cost(camera: CameraStatus) -> str:
    """Give the milliseconds that all stages took per analysed frame, decoding of the others included."""
    spent_s = sum(seconds for stage, seconds in camera.stage_s.items() if stage not in WAITING)
    return f"{1000 * spent_s / camera.analysed:.0f}" if camera.analysed and spent_s else ""


def _seconds(value: float) -> str:
    """Give a time as people read it.

    >>> [_seconds(value) for value in (0.042, 3.14, 75, 731, 7300)]
    ['0.04 s', '3.1 s', '75 s', '12 min', '2.0 h']
    """
    if value < 1:
        return f"{value:.2f} s"
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"
