"""Many RTSP cameras from one process, cheaply: packets are cut once, a camera costs one write per picture.

    python benchmarks/rtsp_load_server.py CLIP.mp4 --cameras 40 [--spread 60] [--port 0] [--garbage-after 20]

Serves rtsp://127.0.0.1:PORT/0 ... /N-1: the clip (H.264 without B-frames) in a loop and in real time, RTP
over the RTSP connection (the way cameras are read through firewalls, and Kerbwatch reads all of them). Camera
i is `i * spread / cameras` seconds ahead of camera 0 in the clip, so that they are not busy all at once;
their pictures are also spread over the 40 ms of a frame. A client gets the pictures from the last key frame
on at once. Needs PyAV only. Prints "READY port epoch": the position of camera i in the clip is (now - epoch +
offset i) modulo its length.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

RTP_BYTES = 1400
CLOCK = 90_000
STAMP_0 = 1_000_000
"""RTP time of the clip's beginning; FFmpeg takes 0 for none."""
TICK_S = 0.005
BACKLOG_BYTES = 8 << 20
"""A client that has not read so much is too slow: its pictures are dropped, as a camera does."""
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Unit:
    """One picture as interleaved RTP packets, numbered from 0 within the clip.

    Args:
        at_s: when, from the clip's beginning. key: a key frame.
        data: uint8, whole: 4 bytes of framing, 12 of RTP header, payload, and again.
        starts: where in `data` the packets' RTP headers begin. first: number of its first packet.
    """

    at_s: float
    key: bool
    data: Bytes
    starts: npt.NDArray[np.int64]
    first: int

    def packets(self, lap: int, packets_per_lap: int, length_s: float) -> bytes:
        """Give the bytes to send in a lap of the clip: sequence numbers and times go on."""
        out = self.data.copy()
        numbers = (self.first + lap * packets_per_lap + np.arange(len(self.starts))) & 0xFFFF
        out[self.starts + 2], out[self.starts + 3] = numbers >> 8, numbers & 0xFF
        stamp = (STAMP_0 + round((self.at_s + lap * length_s) * CLOCK)) & 0xFFFFFFFF
        for index, byte in enumerate(stamp.to_bytes(4, "big")):
            out[self.starts + 4 + index] = byte
        return out.tobytes()


@dataclass(frozen=True)
class Film:
    """A clip ready to be sent."""

    units: tuple[Unit, ...]
    length_s: float
    packets: int
    sdp: str


def nal_units(annexb: bytes) -> list[bytes]:
    r"""Split a picture with start codes into its NAL units.

    >>> nal_units(b"\0\0\0\1\x67a\0\0\1\x68b")
    [b'ga', b'hb']
    """
    parts = annexb.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return [part for part in parts if part]


def payloads(nal: bytes) -> list[bytes]:
    """Cut a NAL unit into RTP payloads: whole where it fits, else FU-A fragments (RFC 6184, 5.8).

    >>> [len(part) for part in payloads(bytes(3000))]
    [1400, 1400, 205]
    >>> [part[:2].hex() for part in payloads(b"e" + bytes(1400))]
    ['7c85', '7c45']
    """
    if len(nal) <= RTP_BYTES:
        return [nal]
    indicator, kind, body = (nal[0] & 0xE0) | 28, nal[0] & 0x1F, nal[1:]
    size = RTP_BYTES - 2
    cut = []
    for start in range(0, len(body), size):
        first, last = start == 0, start + size >= len(body)
        cut.append(bytes([indicator, kind | first << 7 | last << 6]) + body[start : start + size])
    return cut


def read_film(path: Path) -> Film:
    """Read a clip's coded pictures and cut them into packets.

    Raises:
        ValueError: it is not H.264.
    """
    units: list[Unit] = []
    number, end, parameters = 0, 0.0, []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if stream.codec_context.name != "h264":
            raise ValueError(f"{path} is {stream.codec_context.name}, wanted h264")
        filtering = av.BitStreamFilterContext("h264_mp4toannexb", stream)
        step = 1 / float(stream.average_rate or 25)
        for packet in container.demux(stream):
            for coded in filtering.filter(packet) if packet.size else ():
                at_s = float(coded.pts * coded.time_base)
                nals = nal_units(bytes(coded))
                parameters = parameters or [nal for nal in nals if nal[0] & 0x1F in (7, 8)]
                units.append(_unit(at_s, nals, number, key=coded.is_keyframe))
                number += len(units[-1].starts)
                end = max(end, at_s + step)
    return Film(tuple(units), end, number, _sdp(parameters))


def _unit(at_s: float, nals: Sequence[bytes], first: int, *, key: bool) -> Unit:
    cut = [part for nal in nals for part in payloads(nal)]
    blob, starts = bytearray(), []
    for index, payload in enumerate(cut):
        marker = 0x80 if index == len(cut) - 1 else 0
        blob += struct.pack(">BBH", 0x24, 0, 12 + len(payload))
        starts.append(len(blob))
        blob += struct.pack(">BBHII", 0x80, 96 | marker, 0, 0, 0x6B657262) + payload
    return Unit(at_s, key, np.frombuffer(bytes(blob), np.uint8), np.array(starts, np.int64), first)


def _sdp(parameters: Sequence[bytes]) -> str:
    sets = ",".join(base64.b64encode(nal).decode() for nal in parameters)
    profile = parameters[0][1:4].hex() if parameters else "42001f"
    lines = [
        "v=0",
        "o=- 0 0 IN IP4 127.0.0.1",
        "s=benchmark",
        "t=0 0",
        "a=control:*",
        "m=video 0 RTP/AVP 96",
        f"a=rtpmap:96 H264/{CLOCK}",
        f"a=fmtp:96 packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={sets}",
        "a=control:track",
        "",
    ]
    return "\r\n".join(lines)


@dataclass
class Viewer:
    """One client that is playing: where it is in its camera's film."""

    writer: asyncio.StreamWriter
    camera: int
    ahead_s: float
    index: int = 0
    lap: int = 0
    began: float = 0.0
    dropped: int = 0


@dataclass
class Server:
    """Serve a film on many mounts."""

    film: Film
    cameras: int
    spread_s: float
    garbage_after: float | None = None
    epoch: float = field(default_factory=time.time)
    viewers: list[Viewer] = field(default_factory=list)

    def offset_s(self, camera: int) -> float:
        """Give how far a camera is ahead of the first one, in the clip and within a frame."""
        return camera * self.spread_s / self.cameras + (camera * 7 % 8) * TICK_S

    def place(self, viewer: Viewer, now: float) -> None:
        """Put a new client at the last key frame that its camera has passed."""
        position = now - self.epoch + self.offset_s(viewer.camera)
        viewer.lap = int(position // self.film.length_s)
        within = position - viewer.lap * self.film.length_s
        keys = [i for i, unit in enumerate(self.film.units) if unit.key and unit.at_s <= within]
        viewer.index, viewer.began = keys[-1] if keys else 0, now

    def send_due(self, viewer: Viewer, now: float) -> None:
        """Send what is due to one client."""
        film = self.film
        position = now - self.epoch + self.offset_s(viewer.camera)
        while True:
            unit = film.units[viewer.index]
            if unit.at_s + viewer.lap * film.length_s > position:
                return
            waiting = viewer.writer.transport.get_write_buffer_size()
            if waiting < BACKLOG_BYTES:
                viewer.writer.write(self._data(viewer, unit, now))
            else:
                viewer.dropped += 1
            viewer.index += 1
            if viewer.index == len(film.units):
                viewer.index, viewer.lap = 0, viewer.lap + 1

    def _data(self, viewer: Viewer, unit: Unit, now: float) -> bytes:
        data = unit.packets(viewer.lap, self.film.packets, self.film.length_s)
        if self.garbage_after is None or now - viewer.began < self.garbage_after:
            return data
        return spoilt(data, unit.starts)

    async def tick(self) -> None:
        """Send to all, for ever."""
        while True:
            now = time.time()
            for viewer in list(self.viewers):
                if viewer.writer.is_closing():
                    self.viewers.remove(viewer)
                else:
                    self.send_due(viewer, now)
            await asyncio.sleep(TICK_S)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client's requests until it goes."""
        viewer: Viewer | None = None
        try:
            while (head := await self._request(reader)) is not None:
                verb, url, sequence = head
                camera = _camera_of(url, self.cameras)
                answer = self._answer(verb, url, camera)
                writer.write(f"RTSP/1.0 {answer[0]}\r\nCSeq: {sequence}\r\n{answer[1]}".encode())
                if verb == "PLAY" and viewer is None and camera is not None:
                    viewer = Viewer(writer, camera, self.offset_s(camera))
                    self.place(viewer, time.time())
                    self.viewers.append(viewer)
                if verb == "TEARDOWN":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if viewer in self.viewers:
                self.viewers.remove(viewer)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> tuple[str, str, str] | None:
        """Read one request, or give None at the end; what comes interleaved (RTCP) is skipped."""
        while True:
            first = await reader.read(1)
            if not first:
                return None
            if first != b"$":
                break
            _, size = struct.unpack(">BH", await reader.readexactly(3))
            await reader.readexactly(size)
        text = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = text.split("\r\n")
        verb, url, *_ = [*lines[0].split(), "", ""]
        fields = dict(line.lower().split(":", 1) for line in lines[1:] if ":" in line)
        return verb, url, fields.get("cseq", "0").strip()

    def _answer(self, verb: str, url: str, camera: int | None) -> tuple[str, str]:
        if camera is None and verb != "OPTIONS":
            return "404 Not Found", "\r\n"
        if verb == "OPTIONS":
            return "200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER\r\n\r\n"
        if verb == "DESCRIBE":
            sdp = self.film.sdp
            base = f"Content-Base: {url.rstrip('/')}/\r\n"
            return "200 OK", f"{base}Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n\r\n{sdp}"
        if verb == "SETUP":
            transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            return "200 OK", f"{transport}Session: 1;timeout=3600\r\n\r\n"
        return "200 OK", "Session: 1;timeout=3600\r\n\r\n"


def spoilt(data: bytes, starts: npt.NDArray[np.int64]) -> bytes:
    """Give packets whose payloads are noise, headers and NAL types kept."""
    noise = np.random.default_rng(len(data)).integers(0, 256, len(data), dtype=np.uint8)
    good = np.frombuffer(data, np.uint8)
    headers = (starts[:, None] + np.arange(-4, 14)).ravel()
    headers = headers[headers < len(good)]
    noise[headers] = good[headers]
    return noise.tobytes()


def _camera_of(url: str, cameras: int) -> int | None:
    """Give the number in an address like rtsp://host:port/3/track."""
    parts = url.split("/")[3:4]
    number = parts[0] if parts else ""
    return int(number) if number.isdigit() and int(number) < cameras else None


async def serve(server: Server, port: int) -> None:
    """Serve until killed."""
    listening = await asyncio.start_server(server.talk, "127.0.0.1", port)
    bound = listening.sockets[0].getsockname()[1]
    sys.stdout.write(f"READY {bound} {server.epoch!r}\n")
    sys.stdout.flush()
    async with listening:
        await server.tick()


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path)
    parser.add_argument("--cameras", type=int, default=1)
    parser.add_argument("--spread", type=float, default=60.0, help="seconds over which the cameras lie")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--garbage-after", type=float, help="seconds of good pictures before the noise")
    parser.add_argument("--epoch", type=float, help="wall-clock second of camera 0's beginning (now)")
    args: Any = parser.parse_args(argv)
    server = Server(read_film(args.clip), args.cameras, args.spread, args.garbage_after)
    server.epoch = server.epoch if args.epoch is None else args.epoch
    asyncio.run(serve(server, args.port))


if __name__ == "__main__":
    main()
