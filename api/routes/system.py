"""Health, counts, and the stream of changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final, Literal

import anyio
from anyio import to_thread
from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from api.http import problems
from api.routes.needs import Needed
from api.services import Services
from ingest.report import Wire

router = APIRouter(prefix="/v1", tags=["system"])

POLL_S: Final = 0.5
HEARTBEAT_S: Final = 15.0


class Health(Wire):
    """It runs and its database answers."""

    status: Literal["ok"] = "ok"


class Statistics(Wire):
    """How many cases there are."""

    by_status: dict[str, int]
    by_kind: dict[str, int]
    by_source: dict[str, int]
    by_dispatch_state: dict[str, int]


@router.get(
    "/healthz",
    operation_id="getHealth",
    summary="Does it run?",
    responses=problems(503),
)
def get_health(services: Needed) -> Health:
    """Say ok when the database answers."""
    services.last_change()
    return Health()


@router.get(
    "/statistics", operation_id="getStatistics", summary="Simple counts", responses=problems(401, 503)
)
def get_statistics(services: Needed) -> Statistics:
    """Count cases by status, kind and source, and dispatches by state."""
    counts = services.statistics()
    return Statistics(
        by_status=counts.by_status,
        by_kind=counts.by_kind,
        by_source=counts.by_source,
        by_dispatch_state=counts.by_dispatch_state,
    )


@router.get(
    "/events",
    operation_id="followChanges",
    summary="Follow changes live",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events: `id` is the cursor, `event` what happened, `data` the entry.",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        },
        **problems(401, 422, 503),
    },
)
async def follow_changes(
    services: Needed,
    after: Annotated[int | None, Query(ge=0, description="Cursor; left out: only what is new.")] = None,
    last_event_id: Annotated[int | None, Header(ge=0, description="Sent by browsers that reconnect.")] = None,
) -> StreamingResponse:
    """Stream history entries of all cases as server-sent events; a reconnecting browser misses nothing."""
    cursor = last_event_id if last_event_id is not None else after
    if cursor is None:
        cursor = await to_thread.run_sync(services.last_change)
    return StreamingResponse(
        _events(services, cursor), media_type="text/event-stream", headers={"cache-control": "no-store"}
    )


async def _events(services: Services, cursor: int) -> AsyncIterator[str]:
    silent_s = 0.0
    yield ": kerbwatch\n\n"
    while True:
        for entry in await to_thread.run_sync(services.changes, cursor):
            cursor = entry.entry
            silent_s = 0.0
            yield f"id: {entry.entry}\nevent: {entry.what}\ndata: {entry.model_dump_json()}\n\n"
        await anyio.sleep(POLL_S)
        silent_s += POLL_S
        if silent_s >= HEARTBEAT_S:
            silent_s = 0.0
            yield ": still here\n\n"
