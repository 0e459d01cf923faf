"""A camera whose clock is wrong: passes RTSP over TCP on, and shifts the wall clock in RTCP sender reports."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

SENDER_REPORT = 200
NTP = slice(8, 12)
"""Seconds since 1900 in a sender report (RFC 3550, 6.4.1)."""


class WrongClock:
    """Stands before an RTSP server; `url` is its address. `shift_s`: whole seconds; None: reports say 0."""

    def __init__(self, url, shift_s):
        self._to = urlsplit(url)
        self._shift_s = shift_s
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self._socket.getsockname()[1]}{self._to.path}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                server = socket.create_connection((self._to.hostname, self._to.port))
                threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
                threading.Thread(target=self._come_back, args=(server, client), daemon=True).start()

    @staticmethod
    def _pass_on(source, sink):
        with suppress(OSError), source, sink:
            while data := source.recv(65536):
                sink.sendall(data)

    def _come_back(self, source, sink):
        with suppress(OSError, EOFError), sink, source.makefile("rb") as stream:
            while True:
                sink.sendall(self._next(stream))

    def _next(self, stream):
        """Give the next answer or packet of the server."""
        head = _exactly(stream, 1)
        if head != b"$":
            while not head.endswith(b"\r\n\r\n"):
                head += _exactly(stream, 1)
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            return head + (_exactly(stream, int(length[1])) if length else b"")
        head += _exactly(stream, 3)
        packet = bytearray(_exactly(stream, int.from_bytes(head[2:4], "big")))
        if head[1] % 2 and packet[1] == SENDER_REPORT:
            seconds = int.from_bytes(packet[NTP], "big")
            packet[NTP] = (0 if self._shift_s is None else seconds + self._shift_s).to_bytes(4, "big")
        return head + packet

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()


def _exactly(stream, count):
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data
