"""`python -m api.server` as another program sees it: started, killed, started again."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from api.server import settings_of
from detector.errors import WrongUse

ROOT = Path(__file__).resolve().parents[2]
REPORTS = 200
KILLS = 3


def command(folder, *options, port=0):
    words = ["--data", str(folder), "--port", str(port), "--no-desk", "--exit-with-parent", *options]
    return [sys.executable, "-m", "api.server", *words]


def start(folder, *options, port=0):
    pipe = subprocess.PIPE
    server = subprocess.Popen(
        command(folder, *options, port=port), stdin=pipe, stdout=pipe, text=True, cwd=ROOT
    )
    line = server.stdout.readline()
    assert line, f"ended with {server.wait()}"
    return server, json.loads(line)["url"]


def stop(server):
    server.kill()
    server.wait(20)
    server.stdin.close()
    server.stdout.close()


@pytest.fixture
def running(tmp_path):
    server, url = start(tmp_path / "data")
    yield server, url
    stop(server)


def client(url):
    return httpx2.Client(base_url=url, trust_env=False, timeout=5.0)


def test_it_says_where_it_is_and_nothing_else(running):
    server, url = running
    with client(url) as http:
        assert http.get("/v1/healthz").json() == {"status": "ok"}
    server.send_signal(signal.SIGTERM)
    assert server.wait(20) in {0, -signal.SIGTERM}
    assert server.stdout.read() == ""


def test_it_ends_when_stdin_closes(running):
    server, _ = running
    server.stdin.close()
    assert server.wait(20) == 0


def test_it_ends_with_a_parent_that_is_killed(tmp_path):
    program = (
        "import subprocess, sys, time\n"
        f"server = subprocess.Popen({command(tmp_path / 'data')!r}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "server.stdout.readline()\n"
        "print(server.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while is_running(pid):
        assert time.monotonic() < deadline, "the server outlived its parent"
        time.sleep(0.1)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def refused(folder, *options, port=0, env=None):
    done = subprocess.run(
        command(folder, *options, port=port),
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
    )
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip().splitlines()[-1]


def test_a_port_in_use_is_one_sentence_and_exit_1(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, said = refused(tmp_path, port=port)
    assert code == 1
    assert f"port {port} on 127.0.0.1 is in use" in said


def test_a_folder_that_is_a_file_is_one_sentence_and_exit_1(tmp_path):
    (tmp_path / "data").write_text("")
    code, said = refused(tmp_path / "data")
    assert code == 1
    assert "cannot be made" in said


def test_wrong_use_is_exit_2(tmp_path):
    code, said = refused(tmp_path, "--auto-confirm", "flying_wire")
    assert code == 2
    assert "always reviewed by a person" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--dispatch", "webhook"], "needs --dispatch-url"),
        (["--data", "what?"], "question mark"),
        (["--dispatch", "fax"], "there is no dispatch 'fax'"),
        (["--dispatch-url", "http://x/"], "is for --dispatch webhook"),
        (["--dispatch-secret", "short"], "webhook secret"),
        (["--dispatch-timeout", "0"], "more than 0"),
        (["--dispatch-timeout", "nan"], "more than 0"),
    ],
)
def test_options_that_do_not_go_together(options, said):
    with pytest.raises(WrongUse, match=said):
        settings_of(options, {})


def test_settings_come_from_the_environment_and_the_command_line_wins():
    said = {
        "KERBWATCH_DATA": "/var/kerb",
        "KERBWATCH_PORT": "80",
        "KERBWATCH_TOKEN": "t",
        "KERBWATCH_NO_DESK": "1",
        "KERBWATCH_AUTO_CONFIRM": "bin_overflow:0.9, road_litter",
    }
    settings = settings_of(["--port", "81"], said)
    assert (settings.data, settings.port, settings.token) == (Path("/var/kerb"), 81, "t")
    assert not settings.desk
    assert settings.auto_confirm == ("bin_overflow:0.9", "road_litter")
    assert settings.store == "sqlite:////var/kerb/kerbwatch.db"
    assert settings_of([], {}).desk


# -- killed at random moments --


class Killer:
    """Kills the server at random moments and starts it again on the same port."""

    def __init__(self, folder, *options):
        self._folder, self._options = folder, options
        self.server, self.url = start(folder, *options)
        self._port = int(self.url.rsplit(":", 1)[1])
        self.kills = 0

    def run(self, done):
        chance = random.Random(7)
        while self.kills < KILLS and not done.wait(chance.uniform(0.05, 1.2)):
            stop(self.server)
            self.kills += 1
            self.server, _ = start(self._folder, *self._options, port=self._port)


def insist(http, method, url, **request):
    """Send until it is answered: what the outbox of a source does."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            answer = http.request(method, url, **request)
        except httpx2.HTTPError:
            time.sleep(0.05)
            continue
        if answer.status_code < 500:
            return answer
    raise AssertionError(f"{method} {url} was never answered")


def report_one(http, make_payload, make_picture, number):
    data = b"\xff\xd8\xff" + f"picture {number}".encode()
    sha256 = hashlib.sha256(data).hexdigest()
    put = insist(http, "PUT", f"/v1/evidence/{sha256}", content=data, headers={"content-type": "image/jpeg"})
    assert put.status_code in {200, 201}
    ref = make_picture(sha256=sha256, size_bytes=len(data))
    answer = insist(http, "POST", "/v1/reports", json=make_payload(number, evidence=[ref]))
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()["case_id"]


def all_cases(http):
    cases, before = [], None
    while True:
        params = {"limit": 200, **({"before": before} if before else {})}
        page = insist(http, "GET", "/v1/cases", params=params).json()
        cases += page["cases"]
        before = page["next_before"]
        if before is None:
            return cases


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_random_moments_it_loses_nothing_and_doubles_nothing(tmp_path, make_payload, make_picture):
    options = ("--dispatch", "sandbox", "--dispatch-timeout", "1", "--auto-confirm", "illegal_parking")
    killer = Killer(tmp_path / "data", *options)
    done = threading.Event()
    thread = threading.Thread(target=killer.run, args=(done,))
    thread.start()
    with client(killer.url) as http:
        with ThreadPoolExecutor(4) as pool:
            numbers = range(REPORTS)
            ids = list(pool.map(lambda number: report_one(http, make_payload, make_picture, number), numbers))
        done.set()
        thread.join()
        cases = all_cases(http)
        assert killer.kills > 0
        assert len(set(ids)) == REPORTS
        assert sorted(case["case_id"] for case in cases) == sorted(ids)
        for case in cases:
            assert http.get(case["evidence"][0]["path"]).status_code == 200
        assert_all_arrived_once(http, ids)
    stop(killer.server)
    assert not list((tmp_path / "data" / "evidence" / "incoming").iterdir())


def assert_all_arrived_once(http, ids):
    deadline = time.monotonic() + 30
    while True:
        received = http.get("/sandbox/received").json()
        if len(received) >= REPORTS or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    assert sorted(entry["event"]["data"]["case_id"] for entry in received) == sorted(ids)


# -- a disk that is full --

LIMITED = (
    "import os, resource, sys\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])\n"
)


def test_what_does_not_fit_is_refused_and_what_was_taken_stays(tmp_path, make_payload):
    pipe = subprocess.PIPE
    words = [sys.executable, "-c", LIMITED, *command(tmp_path / "data")[1:]]
    server = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)
    url = json.loads(server.stdout.readline())["url"]
    large = b"\xff\xd8\xff" + b"x" * 400_000
    sha256 = hashlib.sha256(large).hexdigest()
    taken, refused = [], None
    with client(url) as http:
        answer = http.put(f"/v1/evidence/{sha256}", content=large)
        assert (answer.status_code, answer.json()["title"]) == (507, "Insufficient storage")
        assert http.get(f"/v1/evidence/{sha256}").status_code == 404
        while refused is None:
            answer = http.post("/v1/reports", json=make_payload(len(taken)))
            if answer.status_code == 201:
                taken.append(answer.json()["case_id"])
            else:
                refused = answer
        assert refused.status_code in {503, 507}
        assert refused.json()["detail"].endswith(("send again.", "then send again."))
        assert http.get("/v1/cases").status_code == 200
    stop(server)
    server, url = start(tmp_path / "data")
    with client(url) as http:
        assert sorted(case["case_id"] for case in all_cases(http)) == sorted(taken)
        assert http.post("/v1/reports", json=make_payload(len(taken))).status_code == 201
    stop(server)
