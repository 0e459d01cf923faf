"""Dispatch: dead letters, redrive, and what platforms call back."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Body, Request
from pydantic import AwareDatetime, Field, ValidationError

from api.dispatch.signature import SignatureError, verified_id
from api.errors import NotFound, Unacceptable, Unauthorised
from api.http import problems
from api.routes.needs import Needed
from api.services import Callback
from api.types import DispatchJob, DispatchState
from api.view import CaseView, view
from ingest.report import Wire

router = APIRouter(prefix="/v1/dispatch", tags=["dispatch"])

EXAMPLE_CALLBACK: Final = {
    "case_id": "8d7f0a52-1e0c-5e7b-a7e4-90c9a2b0f3f1",
    "receipt_id": "SZ202611230915000001",
    "status": "handled",
    "at": "2026-11-23T03:02:00Z",
    "note": "vehicle towed",
}


class DispatchRow(Wire):
    """One thing to send, or sent."""

    dispatch_id: UUID
    case_id: UUID
    action: str
    state: DispatchState
    attempts: int
    last_error: str
    created_at: AwareDatetime
    next_at: AwareDatetime | None


class DeadLetters(Wire):
    """What could not be sent, oldest first."""

    dead_letters: tuple[DispatchRow, ...]


class Redrive(Wire):
    """Who asks for another round of attempts."""

    operator: str = Field(default="api", min_length=1, max_length=100)


@router.get(
    "/dead-letters",
    operation_id="listDeadLetters",
    summary="What could not be sent",
    responses=problems(401, 503),
)
def list_dead_letters(services: Needed) -> DeadLetters:
    """Give the dispatches that were refused for good, or tried too often, each with the last reason."""
    return DeadLetters(dead_letters=tuple(map(_row, services.dead_letters())))


@router.post(
    "/dead-letters/{dispatch_id}/redrive",
    operation_id="redriveDeadLetter",
    summary="Send a dead letter again",
    responses=problems(401, 404, 409, 422, 503),
)
def redrive(
    dispatch_id: UUID,
    services: Needed,
    who: Annotated[Redrive, Body()] = Redrive(),  # noqa: B008 - frozen
) -> DispatchRow:
    """Put a dead letter back into the outbox, under the same idempotency key."""
    return _row(services.redrive(dispatch_id, who.operator))


@router.post(
    "/callbacks",
    operation_id="takeCallback",
    summary="What a platform says about a case it took",
    responses=problems(401, 404, 409, 413, 422, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/Callback"},
                    "example": EXAMPLE_CALLBACK,
                }
            },
        },
        "parameters": [
            {
                "in": "header",
                "name": name,
                "required": True,
                "schema": {"type": "string"},
                "description": text,
            }
            for name, text in (
                ("webhook-id", "Id of the message; the same id counts once."),
                ("webhook-timestamp", "Seconds since 1970; more than 5 minutes off is refused."),
                ("webhook-signature", "`v1,` and the base64 HMAC-SHA256 of `id.timestamp.body`."),
            )
        ],
    },
)
async def take_callback(request: Request, services: Needed) -> CaseView:
    """Take a signed message (Standard Webhooks, the dispatch secret) about a case."""
    secret = request.app.state.parts.callback_secret
    if not secret:
        raise NotFound("no dispatch target is configured, so nobody can call back.")
    body = await request.body()
    try:
        message_id = verified_id(secret, dict(request.headers), body)
    except SignatureError as error:
        raise Unauthorised(f"the callback is not accepted: {error}.") from error
    try:
        callback = Callback.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "body"
        raise Unacceptable(f"{where}: {fault['msg']}.") from error
    return view(await to_thread.run_sync(services.handle_callback, message_id, callback))


def _row(job: DispatchJob) -> DispatchRow:
    dispatch = job.dispatch
    return DispatchRow(
        dispatch_id=dispatch.dispatch_id,
        case_id=job.case_id,
        action=dispatch.action,
        state=dispatch.state,
        attempts=dispatch.attempts,
        last_error=dispatch.last_error,
        created_at=dispatch.created_at,
        next_at=dispatch.next_at,
    )
