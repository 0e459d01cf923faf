"""POST /v1/reports and the end of an event."""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response

from api.errors import Unacceptable
from api.http import problems
from api.routes.needs import Needed
from api.view import CaseView, view
from ingest.report import CaseReport, EventEnd

router = APIRouter(prefix="/v1/reports", tags=["reports"])

EXAMPLE_SHA256: Final = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
EXAMPLE_REPORT: Final = {
    "report_id": "0b7c2f0e-54cf-5a31-9f3b-4a5a2e6c7d10",
    "kind": "illegal_parking",
    "variant": "motor",
    "code": {"scheme": "GB/T 47678.5", "version": "2026", "code": "09009"},
    "source_id": "cam-1",
    "zone_id": "kerb-east",
    "site": "Nandajie",
    "started_at": "2026-11-23T01:15:00Z",
    "observed_at": "2026-11-23T01:18:00Z",
    "location": {
        "lat": 31.77912,
        "lon": 119.95111,
        "error_m": 1.8,
        "crs": "WGS84",
        "method": "homography",
    },
    "confidence": 0.91,
    "model": "street@1",
    "label": "car",
    "box": {"x0": 0.31, "y0": 0.62, "x1": 0.44, "y1": 0.78},
    "evidence": [
        {
            "role": "far",
            "sha256": EXAMPLE_SHA256,
            "media_type": "image/jpeg",
            "size_bytes": 182044,
            "sealed": False,
            "frame_index": 900,
            "at": "2026-11-23T01:18:00Z",
        }
    ],
}
EXAMPLE_END: Final = {"report_id": EXAMPLE_REPORT["report_id"], "ended_at": "2026-11-23T01:31:12Z"}


@router.post(
    "",
    operation_id="acceptReport",
    summary="Report an event",
    status_code=201,
    response_model=CaseView,
    responses={
        200: {"model": CaseView, "description": "The same report was accepted before; its case."},
        **problems(401, 409, 413, 422, 503, 507),
    },
)
def accept_report(
    report: Annotated[CaseReport, Body(openapi_examples={"parked car": {"value": EXAMPLE_REPORT}})],
    request: Request,
    response: Response,
    services: Needed,
) -> CaseView:
    """Open a case, once per `report_id` however often it is sent.

    409 `missing-evidence` lists in `missing` the sha256 of files to upload before sending again; 409
    `report-differs` says that the id was used with another payload: sending again will not help.
    """
    case, created = services.accept_report(report)
    request.app.state.metrics.accepted(case, new=created)
    response.status_code = 201 if created else 200
    response.headers["location"] = f"/v1/cases/{case.case_id}"
    return view(case)


@router.post(
    "/{report_id}/ended",
    operation_id="endEvent",
    summary="Say that the thing is gone",
    response_model=CaseView,
    responses=problems(401, 404, 409, 413, 422, 503, 507),
)
def end_event(
    report_id: UUID,
    end: Annotated[EventEnd, Body(openapi_examples={"gone": {"value": EXAMPLE_END}})],
    services: Needed,
) -> CaseView:
    """Note when a reported thing was gone; told twice, the first end stands."""
    if end.report_id != report_id:
        raise Unacceptable(f"report_id: the body says {end.report_id}, the path {report_id}.")
    return view(services.end_event(end))
