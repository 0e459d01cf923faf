"""`kerbwatch top` against a real status server, as a user runs it."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from rich.cells import cell_len
from rich.console import Console

import kerbwatch
from ingest.fleet.metrics import metrics_route
from ingest.fleet.status import CameraState, CameraStatus, OutboxCount, WorkerStatus
from ingest.fleet.status_server import StatusServer, create_app
from ingest.fleet.top import screen


class Fleet:
    """A fleet that says what it is told to say."""

    def __init__(self, *workers):
        self.workers = workers

    def status(self):
        return self.workers


def camera(name, state=CameraState.RUNNING, **rest):
    told = {"fps_in": 25.0, "fps_analysed": 5.0, "fps_wanted": 5.0, "analysed": 100, "last_frame_age_s": 0.1}
    return CameraStatus(name, "w0", state, **{**told, **rest})


def worker(*cameras, **rest):
    told = {"cores": 1.0, "cpu_share": 0.5, "rss_bytes": 10**8, "model": "street@2", "room": 3}
    return WorkerStatus(**{"worker": "w0", "alive": True, **told, **rest}, cameras=cameras)


@contextmanager
def serving(*workers):
    with StatusServer(create_app(Fleet(*workers), [metrics_route()]), 0) as server:
        yield server.url


def shown(*workers, before=(), width=150, height=None, news=""):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(screen(workers, before, width=width, height=height, news=news))
    return console.export_text().splitlines()


def rows(lines, *names):
    """Give the names of cameras in the order of their lines."""
    return [line.split()[0] for line in lines if line.split() and line.split()[0] in names]


def test_what_is_wrong_comes_first():
    lines = shown(
        worker(
            camera("cam-10"),
            camera("cam-2"),
            camera("full", CameraState.DEGRADED, fault="the machine is full."),
            camera("mute", CameraState.SILENT, fault="connected, but no picture for 12 s."),
            camera("flood", fault="sends 60 frames a second."),
            camera("over", CameraState.ENDED),
        )
    )
    names = ("cam-10", "cam-2", "full", "mute", "flood", "over")
    assert rows(lines, *names) == ["mute", "full", "flood", "cam-2", "cam-10", "over"]
    assert "connected, but no picture for 12 s." in "\n".join(lines)
    assert "1 silent  1 degraded  3 running  1 ended" in lines[0]


def test_a_dead_worker_does_not_hide_a_silent_camera():
    dead = replace(worker(*(camera(f"cam-{n}") for n in range(50))), worker="w1", alive=False)
    dead = replace(dead, cameras=tuple(replace(one, worker="w1") for one in dead.cameras))
    lines = shown(worker(camera("mute", CameraState.SILENT)), dead, height=24)
    assert rows(lines, "mute", "cam-0") == ["mute", "cam-0"]
    assert any("w1 does not answer" in line for line in lines)


@pytest.mark.parametrize(("height", "width"), [(24, 80), (40, 150), (12, 100)])
def test_hundreds_of_cameras_fit_a_terminal(height, width):
    lines = shown(worker(*(camera(f"cam-{n}") for n in range(300))), height=height, width=width)
    assert len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)
    seen = sum(line.startswith("cam-") for line in lines)
    assert f"and {300 - seen} more, all running" in lines[-1]


@pytest.mark.parametrize("height", [None, 24])
def test_refused_cameras_that_are_too_many_to_list_are_counted(height):
    listed = [camera(f"cam-{n}", CameraState.REFUSED) for n in range(200)]
    lines = shown(worker(camera("watched")), worker(*listed, worker="own", unlisted=9799), height=height)
    assert "10000 cameras  9999 refused  1 running" in lines[0]
    assert next(line for line in lines if line.startswith("own")).split()[1] == "9999"
    assert "and 9799 more that are refused" in lines[-1]
    assert height is None or len(lines) <= height


def test_where_there_is_room_downwards_a_sentence_is_not_cut():
    fault = (
        "no room: it would take 1.61 cores, and 0.4 of 0.85 are left beside the 13 cameras that are watched"
    )
    one = worker(camera("late-comer", CameraState.REFUSED, fault=fault), camera("cam-1"))
    cut, whole = shown(one, height=24, width=100), shown(one, width=100)
    assert sum("…" in line for line in cut) == 1
    assert "…" not in "".join(whole)
    assert "are watched" in " ".join(" ".join(whole).split())


def test_without_a_height_every_camera_is_there():
    lines = shown(worker(*(camera(f"cam-{n}") for n in range(300))))
    assert sum(line.startswith("cam-") for line in lines) == 300


def test_chinese_names_keep_the_columns_straight():
    names = ("学校南门东侧", "cam-1", "[red]人民路")
    lines = shown(worker(*(camera(name) for name in names)))
    told = [line for line in lines if line.startswith(names)]
    assert len(told) == 3
    assert len({cell_len(line[: line.index("running")]) for line in told}) == 1


def test_control_characters_in_a_name_do_not_reach_the_terminal():
    text = "\n".join(shown(worker(camera("a\x07b\x1b[2J", fault="x\x1b[31m"))))
    assert "\x07" not in text
    assert "\x1b" not in text


def test_drops_are_those_since_the_last_look():
    before = worker(camera("cam-1", analysed=100, dropped={"late": 900}))
    now = worker(camera("cam-1", analysed=130, dropped={"late": 900, "stale": 10, "still": 500}))
    (line,) = [line for line in shown(now, before=[before]) if line.startswith("cam-1")]
    assert "25% stale" in line


def test_a_worker_that_began_again_counts_from_its_start():
    before = worker(camera("cam-1", analysed=1000, dropped={"late": 900}))
    now = worker(camera("cam-1", analysed=30, dropped={"late": 10}))
    (line,) = [line for line in shown(now, before=[before]) if line.startswith("cam-1")]
    assert "25% late" in line


def test_workers_tell_of_themselves():
    line = shown(worker(camera("c"), restarts=2, batches={1: 2, 4: 2}, outbox=OutboxCount(7, 3.0, 0)))[2]
    assert line.split() == ["w0", "1", "0.50/1", "100", "MB", "3", "2", "2.5", "7", "street@2"]


def run(*words, capsys=None):
    code = kerbwatch.main(["top", *words])
    return code, capsys.readouterr()


@pytest.mark.parametrize("ending", ["", "/", "/status"])
def test_once_prints_the_table(capsys, ending):
    with serving(worker(camera("cam-1"))) as url:
        code, said = run("--url", url + ending, "--once", capsys=capsys)
    assert code == 0
    assert "cam-1" in said.out
    assert "1 cameras" in said.out


def test_json_is_the_list_of_workers(capsys):
    told = worker(camera("学校", CameraState.SILENT), batches={2: 3})
    with serving(told) as url:
        code, said = run("--url", url, "--json", capsys=capsys)
    assert code == 0
    assert [WorkerStatus.from_json(row) for row in json.loads(said.out)] == [told]


def test_metrics_are_served_beside_the_status():
    import httpx2

    with serving(worker(camera("cam-1"))) as url, httpx2.Client(trust_env=False) as client:
        answer = client.get(f"{url}/metrics", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.headers["content-encoding"] == "gzip"
    assert 'kerbwatch_camera_received_fps{camera="cam-1"} 25.0' in answer.text


def test_nobody_there_is_one_sentence(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        code, said = run("--url", f"http://127.0.0.1:{taken.getsockname()[1]}", capsys=capsys)
    assert code == 1
    assert said.err.count("\n") == 1
    assert "start kerbwatch serve" in said.err


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b"no"), (200, b"<html>"), (200, b'{"status": "ok"}'), (200, b'[{"a": 1}]'), (200, b"[3]")],
)
def test_somebody_else_there_is_one_sentence(capsys, status, body):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        code, said = run("--url", f"http://127.0.0.1:{server.server_port}", capsys=capsys)
    finally:
        server.shutdown()
        server.server_close()
    assert code == 1
    assert said.err.count("\n") == 1
    assert "not as a Kerbwatch fleet does" in said.err


@pytest.mark.parametrize("words", [["--url", "127.0.0.1:80"], ["--url", "ftp://x"], ["--every", "0"]])
def test_wrong_words_are_wrong_use(capsys, words):
    code, said = run(*words, capsys=capsys)
    assert code == 2
    assert said.err.count("\n") == 1


def test_a_live_table_says_when_the_fleet_is_gone_and_ends_with_ctrl_c(tmp_path):
    """In a real pseudo-terminal: the table appears, the server ends, the sentence appears, Ctrl-C ends it."""
    script = """
import os, pty, select, signal, sys, time
from tests.ingest.fleet.test_top import serving, worker, camera
from ingest.fleet.status import CameraState
seen = b""
def until(what, pid, fd, limit=60):
    global seen
    end = time.monotonic() + limit
    while what not in seen and time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            seen += os.read(fd, 65536)
    assert what in seen, seen[-2000:]
with serving(worker(camera("cam-1", CameraState.SILENT))) as url:
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm", COLUMNS="140", LINES="30")
        os.execv(sys.executable, [sys.executable, "-m", "kerbwatch", "top", "--url", url, "--every", "0.2"])
    until(b"cam-1", pid, fd)
until(b"nothing answers", pid, fd)
os.kill(pid, signal.SIGINT)
until(b"stopped", pid, fd)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
"""
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
