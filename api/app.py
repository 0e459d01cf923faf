"""create_app(parts): the routes, the dispatch worker and the page in one ASGI app.

`python -m api.app` prints the OpenAPI document; `api/openapi.json` is its checked-in copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
from fastapi import FastAPI, Request, Security
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer
from starlette.responses import Response

from api import tracing
from api.dispatch import Dispatcher
from api.dispatch.worker import DispatchWorker
from api.http import OPEN_PATHS, BodyLimit, ProblemDocument, TokenGuard, dumped, install_handlers, login
from api.metrics import Metrics
from api.routes import cases, dispatch, evidence, leases, reports, system, verdicts
from api.services import Callback, Services
from api.settings import Limits

VERSION: Final = "1.2.0"
UPLOADS_AT_ONCE: Final = 16
TAGS: Final = [
    {"name": "reports", "description": "What machines claim: events at places, each sent until it arrived."},
    {"name": "evidence", "description": "Pictures and clips by content; sealed originals go in, never out."},
    {"name": "cases", "description": "What people do with reports: look, confirm or reject."},
    {"name": "dispatch", "description": "Filing confirmed cases with a city platform, and what it answers."},
    {"name": "system", "description": "Health, counts and the stream of changes."},
]
DESCRIPTION: Final = (
    "Street cameras and patrol vehicles report events; operators confirm them; confirmed cases are filed "
    "with the city platform. Every write may be repeated: the same report, file, decision or callback counts "
    "once. Errors are problem documents (RFC 9457) whose `detail` is one sentence."
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What an app is made of.

    Args:
        dispatcher: sends confirmed cases; None leaves them in the outbox until there is one.
        callback_secret: the platform signs its callbacks with it; empty: none are taken.
        token: bearer token asked from everyone but platforms; empty: none is asked.
        desk: mount the operators' page at `/`.
        mounts: further apps by path, such as the embedded sandbox.
    """

    services: Services
    dispatcher: Dispatcher | None = None
    callback_secret: str = ""
    token: str = ""
    desk: bool = False
    mounts: dict[str, FastAPI] = field(default_factory=dict)
    poll_s: float = 0.5


def create_app(parts: Parts) -> FastAPI:
    """Put the app together."""
    app = _bare_app(parts.services.limits)
    app.state.services = parts.services
    app.state.parts = parts
    app.state.metrics = Metrics(
        parts.services.statistics,
        lambda: parts.services.now().timestamp(),
        dispatches=parts.dispatcher is not None,
    )
    app.add_api_route("/metrics", _metrics, include_in_schema=False)
    app.state.uploads = anyio.CapacityLimiter(UPLOADS_AT_ONCE)
    app.router.lifespan_context = _lifespan(parts)
    for path, mounted in parts.mounts.items():
        app.mount(path, mounted)
    if parts.token:
        app.add_middleware(TokenGuard, token=parts.token)
        app.add_api_route("/login", _login_route(parts.token), include_in_schema=False)
    if parts.desk:
        from api.desk.page import mount

        mount(app, parts.services)
    return app


def _bare_app(limits: Limits) -> FastAPI:
    app = FastAPI(
        title="Kerbwatch",
        version=VERSION,
        description=DESCRIPTION,
        license_info={"name": "AGPL-3.0-or-later", "identifier": "AGPL-3.0-or-later"},
        openapi_tags=TAGS,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # both fetch their scripts from elsewhere; this runs where there is no elsewhere
        redoc_url=None,
        servers=[{"url": "/", "description": "this server"}],
        telemetry=tracing.telemetry(),
        dependencies=[
            Security(HTTPBearer(auto_error=False, description="Asked for when the server was given a token."))
        ],
    )
    for module in (reports, evidence, cases, verdicts, dispatch, leases, system):
        app.include_router(module.router)
    install_handlers(app)
    app.add_middleware(BodyLimit, limits=limits)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign] # FastAPI's documented way
    return app


def _metrics(request: Request) -> Response:
    body, content_type = request.app.state.metrics.exposition(request.headers.get("accept", ""))
    return Response(body, headers={"content-type": content_type})


def _login_route(token: str) -> Callable[[Request], Response]:
    def to_page(request: Request) -> Response:
        return login(request, token)

    return to_page


def _lifespan(parts: Parts) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for mounted in parts.mounts.values():
                await stack.enter_async_context(mounted.router.lifespan_context(mounted))
            if parts.dispatcher is None:
                yield
                return
            worker = DispatchWorker(parts.services, parts.dispatcher, poll_s=parts.poll_s)
            task = asyncio.create_task(worker.run(), name="dispatch")
            yield
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await parts.dispatcher.close()

    return lifespan


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            license_info=app.license_info,
            routes=app.routes,
            tags=app.openapi_tags,
            servers=app.servers,
        )
        for name, model in (("Problem", ProblemDocument), ("Callback", Callback)):
            document["components"]["schemas"][name] = model.model_json_schema()
        for path in OPEN_PATHS & set(document["paths"]):
            for operation in document["paths"][path].values():
                operation["security"] = []
        app.openapi_schema = document
    return app.openapi_schema


def openapi_text() -> str:
    """Give the OpenAPI document as it is checked in."""
    return dumped(_document(_bare_app(Limits())))


if __name__ == "__main__":
    sys.stdout.write(openapi_text())
