"""Run an ASGI app: take the port first, say where it listens once it does."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from detector.errors import Failure, WrongUse

GRACE_S: Final = 3
"""How long open streams and pages may keep a server that was told to end."""


def listen(host: str, port: int) -> socket.socket:
    """Take a port; 0 takes a free one.

    Raises:
        WrongUse: no such port. Failure: it is in use, or not ours to take; the sentence says which.
    """
    if not 0 <= port <= 65535:
        raise WrongUse(f"{port} is no port: 0 (any free one) to 65535 are.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Failure(
                f"port {port} on {host} is in use by another program: stop it or choose another port."
            ) from error
        raise Failure(f"cannot listen on {host} port {port}: {error.strerror or error}.") from error
    listener.set_inheritable(True)
    return listener


def url_of(listener: socket.socket) -> str:
    """Give the address under which this machine reaches the listener."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Announcing(uvicorn.Server):
    """A server that says so when it accepts requests."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then announce."""
        await super().startup(sockets=sockets)
        if not self.should_exit:
            self._ready()


def server_of(app: ASGIApp, ready: Callable[[], None]) -> Announcing:
    """Give a server for an app; its log goes where the program's log goes."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
    )
    return Announcing(config, ready)
