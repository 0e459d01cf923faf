"""Who watches a camera: leases, so that no two workers analyse the same one."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Body

from api.http import problems
from api.routes.needs import Needed
from api.types import LeaseAnswer, LeaseRequest

router = APIRouter(prefix="/v1", tags=["system"])

EXAMPLE_LEASE: Final = {"owner": "edge-1:4711", "ttl_s": 30, "sources": ["cam-1", "cam-2"]}


@router.put(
    "/leases",
    operation_id="takeLeases",
    summary="Take, renew or give up cameras",
    responses=problems(401, 413, 422, 503),
)
def take_leases(
    request: Annotated[LeaseRequest, Body(openapi_examples={"two cameras": {"value": EXAMPLE_LEASE}})],
    services: Needed,
) -> LeaseAnswer:
    """Give the owner those of the cameras that nobody else has; a `ttl_s` of 0 gives them up.

    Renew well before `ttl_s` is over. A camera under `refused` is another's until the time it names; whoever
    asks after that gets it. Nobody needs a lease to report: it only keeps two workers from the same work.
    """
    return services.take_leases(request)
