"""What every request meets before and after its route: body limit, token, problem documents (RFC 9457)."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Sequence
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import OutOfSpace, Problem, SlowUpload, StoreBusy, TooLarge, Unacceptable, Unauthorised
from api.settings import Limits
from detector.errors import Failure

log = logging.getLogger(__name__)

PROBLEM_JSON: Final = "application/problem+json"
PROBLEM_TYPE: Final = "urn:kerbwatch:problem:"
COOKIE: Final = "kerbwatch_token"
RETRY_LATER: Final = (StoreBusy, OutOfSpace, SlowUpload)

OPEN_PATHS: Final = frozenset({"/v1/healthz", "/v1/dispatch/callbacks", "/sandbox/events", "/login"})
"""Reachable without the token: they hold nothing, or have a signature or password of their own."""


MEANINGS: Final = MappingProxyType(
    {
        401: "No valid token or signature.",
        404: "There is no such thing.",
        408: "The sender stopped in the middle of the body: send again.",
        409: "Not possible as things stand; `detail` says why.",
        413: "The body is larger than the limit.",
        415: "Neither JPEG nor MP4.",
        416: "No such range in the file.",
        422: "Understood, but it makes no sense; `detail` says where.",
        503: "The database did not answer in time: send again.",
        507: "The disk is full; nothing was half-stored: send again later.",
    }
)


class ProblemDocument(BaseModel):
    """Why a request was not done, in one sentence (`detail`). RFC 9457."""

    model_config = ConfigDict(title="Problem", extra="allow")

    type: str = Field(examples=[PROBLEM_TYPE + "conflict"])
    title: str = Field(examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str = Field(examples=["case 5f0c… is rejected: confirm is not possible."])


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Give the OpenAPI responses of the problems that a route may answer."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": MEANINGS[status],
            "content": {PROBLEM_JSON: {"schema": schema}},
        }
        for status in statuses
    }


def problem_response(problem: Problem) -> JSONResponse:
    """Give the answer for a problem."""
    body = {
        **problem.extra,
        "type": PROBLEM_TYPE + problem.slug,
        "title": problem.title,
        "status": problem.status,
        "detail": str(problem),
    }
    headers = {"retry-after": "2"} if isinstance(problem, RETRY_LATER) else {}
    if isinstance(problem, Unauthorised):
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(body, status_code=problem.status, media_type=PROBLEM_JSON, headers=headers)


def plain_problem(status: int, detail: str, headers: Any = None) -> JSONResponse:
    """Give the answer for what the framework itself refuses."""
    phrase = HTTPStatus(status).phrase
    body = {
        "type": PROBLEM_TYPE + phrase.lower().replace(" ", "-"),
        "title": phrase,
        "status": status,
        "detail": detail,
    }
    return JSONResponse(body, status_code=status, media_type=PROBLEM_JSON, headers=headers)


def install_handlers(app: FastAPI) -> None:
    """Make every error of the app a problem document."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(Failure, _on_failure)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_bug)


def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - registered for this type
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("%s %s: %s", request.method, request.url.path, error)
    return problem_response(error)


def _on_failure(request: Request, error: Exception) -> Response:
    log.error("%s %s: %s", request.method, request.url.path, error)
    return plain_problem(500, str(error))


def _on_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    if error.errors()[0]["type"] == "json_invalid":
        return problem_response(Unacceptable("the body is no JSON."))
    faults = [
        {"where": _where(fault["loc"]), "what": str(fault["msg"]).removeprefix("Value error, ")}
        for fault in error.errors()
    ]
    first, more = faults[0], len(faults) - 1
    sentence = f"{first['where']}: {first['what']}" + (f" (and {more} more)." if more else ".")
    return problem_response(Unacceptable(sentence, errors=faults))


def _where(location: Sequence[int | str]) -> str:
    inner = [str(part) for part in location if part not in {"body", "query", "path", "header"}]
    return ".".join(inner) or "body"


def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    return plain_problem(error.status_code, str(error.detail), error.headers)


def _on_bug(request: Request, error: Exception) -> Response:
    log.error("%s %s: bug", request.method, request.url.path, exc_info=error)
    return plain_problem(
        500, "a fault of Kerbwatch itself; the log holds the details. Sending again is safe."
    )


class BodyLimit:
    """Refuse bodies over the limit, announced or not."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what the route reads."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_evidence = scope["method"] == "PUT" and scope["path"].startswith("/v1/evidence/")
        limit = self._limits.evidence_bytes if is_evidence else self._limits.json_bytes
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced) > limit:
            refused = TooLarge(f"the body is larger than the limit of {limit} bytes.")
            await problem_response(refused)(scope, receive, send)
            return
        await self._app(scope, _counting(receive, limit), send)


def _counting(receive: Receive, limit: int) -> Receive:
    size = 0

    async def counted() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise HTTPException(413, f"the body is larger than the limit of {limit} bytes.")
        return message

    return counted


class TokenGuard:
    """Let in who has the token: as bearer, or as the cookie that `/login?token=…` sets in a browser."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"} or self._may_pass(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await problem_response(Unauthorised("a valid bearer token is needed."))(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        if scope["path"] in OPEN_PATHS:
            return True
        headers = Headers(scope=scope)
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(bearer.strip()):
            return True
        return self._is_token(_cookie(headers.get("cookie", "")))

    def _is_token(self, said: str) -> bool:
        return secrets.compare_digest(said.encode(), self._token)


def _cookie(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def login(request: Request, token: str) -> Response:
    """Set the cookie for a browser that came with the right token, and go on to the page.

    Raises:
        Unauthorised: wrong token.
    """
    said = parse_qs(request.url.query).get("token", [""])[0]
    if not secrets.compare_digest(said.encode(), token.encode()):
        raise Unauthorised("this is not the token.")
    answer = RedirectResponse("/", status_code=303)
    answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return answer


def dumped(document: dict[str, Any]) -> str:
    """Give a JSON document as it is checked in."""
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
