"""GET /v1/verdicts: what people decided, for the training of the next model."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from api.http import problems
from api.routes.needs import Needed
from api.types import VerdictQuery
from api.verdicts import VerdictView, verdict_view
from ingest.report import Wire

router = APIRouter(prefix="/v1/verdicts", tags=["cases"])


class VerdictList(Wire):
    """Some decisions, oldest first."""

    verdicts: tuple[VerdictView, ...]
    next_after: int | None = Field(description="Pass as `after` for newer ones; null: there are none.")


@router.get(
    "",
    operation_id="listVerdicts",
    summary="List decisions, oldest first",
    responses=problems(401, 422, 503),
)
def list_verdicts(
    services: Needed,
    since: Annotated[AwareDatetime | None, Query(description="Decided at or after, with offset.")] = None,
    after: Annotated[int, Query(ge=0, description="`next_after` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> VerdictList:
    """Give decisions with what they judge: `kerbwatch dataset import verdicts` makes a data set of them.

    Names of operators and free text are left out. Sealed originals are named by hash and not served.
    """
    page = services.verdicts(VerdictQuery(since=since, after=after, limit=limit))
    return VerdictList(verdicts=tuple(map(verdict_view, page.verdicts)), next_after=page.next_after)
