"""Serve an mp4 (H.264) over RTSP in real time, as a camera would: a test tool, run by Debian's own Python.

    /usr/bin/python3 tests/rtsp_server.py CLIP.mp4 --port 0 --epoch 1764000000.0

The stream's position is the wall clock minus `--epoch`, so a server that is killed and started again goes on
where the camera would be. A client gets the pictures from the last key frame on at once, then in real time.
Tests start it with `RtspServer`, which needs nothing but the standard library.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

PYTHON = "/usr/bin/python3"
SECOND = 1_000_000_000


class RtspServer:
    """The server as a process; `url` is set once it serves. `kill` is kill -9."""

    def __init__(self, clip, *options, port=0, epoch=None, user=None):
        self.epoch = time.time() if epoch is None else epoch
        self._command = [PYTHON, __file__, str(clip), "--epoch", repr(self.epoch), *map(str, options)]
        if user:
            self._command += ["--user", user]
        self._user = f"{user}@" if user else ""
        self.port = port
        self.start()

    @staticmethod
    def missing() -> str:
        """Say in one sentence what is not installed, or nothing."""
        if not Path(PYTHON).exists():
            return f"there is no {PYTHON}"
        check = (
            "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
        )
        done = subprocess.run([PYTHON, "-c", check], capture_output=True, check=False, env=_environment())
        return "" if done.returncode == 0 else "GStreamer's RTSP server is not installed (make apt-dev)"

    def start(self) -> None:
        """Start (again, on the same port)."""
        self.process = subprocess.Popen(
            [*self._command, "--port", str(self.port)], stdout=subprocess.PIPE, text=True, env=_environment()
        )
        line = self.process.stdout.readline()
        if not line.startswith("READY "):
            raise RuntimeError(f"the RTSP server did not start: {line!r}")
        self.port = int(line.split()[1])
        self.url = f"rtsp://{self._user}127.0.0.1:{self.port}/live"

    def kill(self) -> None:
        """End the process at once, without a goodbye to its clients."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def _environment():
    """Keep the test's virtual environment out of the other Python, and its plug-in cache in a place of its own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    return {**kept, "GST_DEBUG": "0"}


def access_units(path):
    """Read a clip's H.264 pictures: [(pts in ns from 0, is key frame, bytes with start codes)] in decoding order."""
    from gi.repository import Gst

    launch = (
        f'filesrc location="{path}" ! qtdemux ! h264parse config-interval=-1 !'
        " video/x-h264,stream-format=byte-stream,alignment=au ! appsink name=out sync=false max-buffers=0"
    )
    pipeline = Gst.parse_launch(launch)
    pipeline.set_state(Gst.State.PLAYING)
    out = pipeline.get_by_name("out")
    units = []
    while True:
        sample = out.emit("pull-sample")
        if sample is None:
            break
        buffer = sample.get_buffer()
        key = not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)
        units.append((buffer.pts, key, buffer.extract_dup(0, buffer.get_size())))
    caps = "video/x-h264,stream-format=byte-stream,alignment=au"
    pipeline.set_state(Gst.State.NULL)
    if not units:
        sys.exit(f"{path} holds no H.264 video")
    first = min(pts for pts, _, _ in units)
    return [(pts - first, key, data) for pts, key, data in units], caps


class Camera:
    """The clip as something that goes on whether anybody watches or not."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.units, self.caps = access_units(arguments.clip)
        if arguments.then:
            after = max(pts for pts, _, _ in self.units) + SECOND // 25
            self.units += [(pts + after, key, data) for pts, key, data in access_units(arguments.then)[0]]
        self.length = max(pts for pts, _, _ in self.units) + SECOND // 25
        self.stalled = False

    def feed(self, source):
        """Push pictures into one client's pipeline until it goes away or the clip ends."""
        from gi.repository import Gst

        gone = max(0, int((time.time() - self.arguments.epoch) * SECOND))
        lap = gone // self.length * self.length if self.arguments.loop else 0
        keys = [i for i, (pts, key, _) in enumerate(self.units) if key and pts <= gone - lap]
        index = keys[-1] if keys else 0
        base = lap + self.units[index][0]
        while True:
            if index == len(self.units):
                if not self.arguments.loop:
                    break
                index, lap = 0, lap + self.length
            pts, _, data = self.units[index]
            time.sleep(max(0.0, self.arguments.epoch + (lap + pts) / SECOND - time.time()))
            self.maybe_stall(pts)
            buffer = Gst.Buffer.new_wrapped(self.spoilt(pts, data))
            buffer.pts = lap + pts - base
            if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return
            index += 1
        if self.arguments.at_end == "exit":
            os._exit(0)
        if self.arguments.at_end == "eos":
            source.emit("end-of-stream")

    def maybe_stall(self, pts):
        """Go silent once, with the connection open."""
        at = self.arguments.stall_at
        if at is not None and not self.stalled and pts >= at * SECOND:
            self.stalled = True
            time.sleep(self.arguments.stall_s)

    def spoilt(self, pts, data):
        """Give a second's pictures as noise, start codes kept."""
        since = self.arguments.garbage_from
        if since is not None and time.time() - self.arguments.epoch >= since:
            return data[:5] + random.Random(pts).randbytes(max(0, len(data) - 5))
        at = self.arguments.garbage_at
        if at is None or not at <= pts / SECOND < at + 1:
            return data
        return data[:5] + random.Random(pts).randbytes(max(0, len(data) - 5))


def serve(camera, arguments):
    """Serve until killed."""
    from gi.repository import GLib, Gst, GstRtspServer

    def configure(_, media):
        element = media.get_element()
        element.get_parent().connect("deep-element-added", hurry)
        source = element.get_by_name("source")
        source.set_property("caps", Gst.Caps.from_string(camera.caps))
        threading.Thread(target=camera.feed, args=(source,), daemon=True).start()

    def hurry(_, __, element):
        # the feeder keeps the time; a sink that does so too would hold back what a new client gets at once
        if element.find_property("sync") is not None:
            element.connect(
                "notify::sync", lambda sink, _: sink.get_property("sync") and sink.set_property("sync", False)
            )
            element.set_property("sync", False)

    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(str(arguments.port))
    factory = GstRtspServer.RTSPMediaFactory.new()
    factory.set_launch(
        "( appsrc name=source is-live=true format=time max-bytes=0 ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
    )
    factory.connect("media-configure", configure)
    if arguments.user:
        protect(server, factory, arguments.user)
    server.get_mount_points().add_factory("/live", factory)
    if not server.attach(None):
        sys.exit(f"port {arguments.port} is in use")
    sys.stdout.write(f"READY {server.get_bound_port()}\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


def protect(server, factory, user):
    """Ask for `name:password` (basic)."""
    from gi.repository import GstRtspServer

    name, _, password = user.partition(":")
    auth = GstRtspServer.RTSPAuth.new()
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(name, password), token)
    server.set_auth(auth)
    factory.add_role_from_structure(roles())


def roles():
    """Let viewers watch."""
    from gi.repository import Gst, GstRtspServer

    access, construct = (
        GstRtspServer.RTSP_PERM_MEDIA_FACTORY_ACCESS,
        GstRtspServer.RTSP_PERM_MEDIA_FACTORY_CONSTRUCT,
    )
    return Gst.Structure.from_string(f"viewer,{access}=(boolean)true,{construct}=(boolean)true")[0]


def main():
    """Read the command line and serve."""
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import Gst

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip")
    parser.add_argument("--then", help="a second clip, shown after the first, perhaps of another size")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument(
        "--epoch", type=float, default=time.time(), help="wall-clock time of the clip's beginning"
    )
    parser.add_argument("--loop", action="store_true")
    parser.add_argument("--at-end", choices=("hold", "eos", "exit"), default="eos")
    parser.add_argument("--stall-at", type=float, help="position in s at which the stream goes silent once")
    parser.add_argument("--stall-s", type=float, default=3600.0)
    parser.add_argument(
        "--garbage-at", type=float, help="position in s from which a second of pictures is noise"
    )
    parser.add_argument(
        "--garbage-from", type=float, help="seconds after the epoch from which all pictures are noise"
    )
    parser.add_argument("--user", help="name:password to ask for")
    arguments = parser.parse_args()
    Gst.init(None)
    serve(Camera(arguments), arguments)


if __name__ == "__main__":
    main()
