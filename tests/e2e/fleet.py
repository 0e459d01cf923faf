"""`kerbwatch serve` in its own process, with its status."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time

import httpx2

from ingest.fleet.status import WorkerStatus, cameras_of
from tests.e2e import support


class Serving:
    """A running `serve`: its status, its cases, its log; killed at the end if it does not stop when asked."""

    def __init__(self, folder, site, *words, model=None, data=None):
        self.log = folder / f"serve-{time.monotonic_ns()}.log"
        options = ["--port", 0, "--status-port", 0, "--data", data or folder / "data", *words]
        if model:
            options += ["--model", model, "--backend", "scripted"]
        self._errors = self.log.open("w", encoding="utf-8")
        self.process = subprocess.Popen(
            support.command("serve", "--site", site, *options),
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            cwd=support.ROOT,
            env=support.environment(),
            start_new_session=True,
        )
        try:
            self.page, self.status_url = (self._address(name) for name in ("page", "status"))
        except BaseException:
            self.__exit__()
            raise

    def _address(self, name):
        until = time.monotonic() + 120
        while time.monotonic() < until:
            if found := re.search(rf"^{name}: (\S+?)/?(?:status)?$", self.said(), re.MULTILINE):
                return found[1].rstrip("/")
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise AssertionError(self.said())

    def said(self):
        return self.log.read_text(encoding="utf-8")

    def workers(self):
        rows = httpx2.get(f"{self.status_url}/status", timeout=30).json()
        return [WorkerStatus.from_json(row) for row in rows]

    def cameras(self):
        return {camera.camera_id: camera for camera in cameras_of(self.workers())}

    def cases(self):
        return httpx2.get(f"{self.page}/v1/cases", params={"limit": 200}, timeout=30).json()["cases"]

    def wait(self, true, within_s=60.0):
        """Wait until `true()` gives something, and give it."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            if found := true():
                return found
            assert self.process.poll() is None, self.said()
            time.sleep(0.1)
        raise AssertionError(f"not in {within_s} s: {self.cameras()}\n{self.said()[-3000:]}")

    def camera(self, camera_id, true, within_s=60.0):
        """Wait until a camera's status is as wanted, and give it."""

        def found():
            camera = self.cameras().get(camera_id)
            return camera if camera and true(camera) else None

        return self.wait(found, within_s)

    def stop(self):
        """Ask it to stop; give the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=90)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._errors.close()


def write_site(path, cameras, zones=(("kerb", "no_parking", 1, support.WHOLE),)):
    """Write a site file; `cameras`: id to source, or to a table."""
    import json

    lines = ["[site]", 'name = "Test"', 'timezone = "Asia/Shanghai"']
    for camera_id, source in cameras.items():
        table = source if isinstance(source, dict) else {"source": str(source)}
        lines += ["[[camera]]", f'id = "{camera_id}"', "lat = 31.779", "lon = 119.951"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        for zone_id, kind, dwell_s, polygon in zones:
            lines += ["[[camera.zone]]", f'id = "{zone_id}"', f'kind = "{kind}"', f"dwell_s = {dwell_s}"]
            lines += [f"polygon = {json.dumps(polygon)}"]
    new = path.with_suffix(".new")
    new.write_text("\n".join(lines) + "\n", encoding="utf-8")
    new.replace(path)
    return path
