"""HTTP of the supervisor, for this machine's operators: status, cameras to add and to remove.

Listens on 127.0.0.1 unless told otherwise and asks no token: whoever may log in to the machine may use it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Annotated, Any, Protocol, Self

import uvicorn
from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from detector.errors import Failure, WrongUse
from ingest.fleet.status import WorkerStatus

log = logging.getLogger(__name__)

START_S = 10.0


class Refusal(Failure):
    """Say that there is no room for a camera, or that another has it; the route answers 409."""


class NoSuchCamera(Failure):
    """Say that there is no camera of this id; the route answers 404."""


class Fleet(Protocol):
    """What the status server shows and changes; a supervisor, here or on a cluster."""

    def status(self) -> Sequence[WorkerStatus]:
        """Give every worker, and cameras that none has under one more."""

    def add(self, table: dict[str, Any]) -> None:
        """Watch a camera, written as a `[[camera]]` table of a site file.

        Raises:
            WrongUse: it is wrong. Refusal: no room, or another has it.
        """

    def remove(self, camera_id: str) -> None:
        """Watch a camera no more. Raises: NoSuchCamera."""


Extend = Callable[[FastAPI, Fleet], None]
"""Adds routes of its own, such as /metrics."""


def create_app(fleet: Fleet, extend: Sequence[Extend] = ()) -> FastAPI:
    """Put the app together.

    Args:
        fleet: whose status is shown.
        extend: each called with the app and the fleet before the app is used.
    """
    app = FastAPI(title="Kerbwatch fleet", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/status")
    def status() -> list[dict[str, Any]]:
        return [worker.as_json() for worker in fleet.status()]

    @app.post("/cameras", status_code=201)
    def add(table: Annotated[dict[str, Any], Body()]) -> dict[str, str]:
        fleet.add(table)
        return {"camera_id": str(table["id"])}

    @app.delete("/cameras/{camera_id:path}", status_code=204)
    def remove(camera_id: str) -> Response:
        fleet.remove(camera_id)
        return Response(status_code=204)

    for kind, code in ((WrongUse, 422), (Refusal, 409), (NoSuchCamera, 404), (Failure, 503)):
        app.add_exception_handler(kind, _problem(code))
    for hook in extend:
        hook(app, fleet)
    return app


def _problem(status: int) -> Callable[[Request, Exception], Response]:
    def answer(_: Request, error: Exception) -> Response:
        return JSONResponse(
            {"status": status, "detail": str(error)}, status, media_type="application/problem+json"
        )

    return answer


class StatusServer:
    """Serve an app from a thread of this process, as long as the `with` block lives; `url` says where.

    Raises:
        Failure: the port is in use.
    """

    def __init__(self, app: FastAPI, port: int, host: str = "127.0.0.1") -> None:
        config = uvicorn.Config(app, host, port, log_config=None, access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="status-server", daemon=True)
        self._where = f"{host}:{port}"
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        until = time.monotonic() + START_S
        while not self._server.started and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(0.02)
        if not self._server.started:
            raise Failure(f"the status page cannot listen on {self._where}: choose another --status-port.")
        host, port = self._server.servers[0].sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        with suppress(SystemExit):  # uvicorn's way to say that the port is in use
            self._server.run()
