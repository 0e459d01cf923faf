"""The envelope of what we send: CloudEvents 1.0, structured JSON. Pure.

Source: https://github.com/cloudevents/spec (1.0.2), JSON event format 1.0.2.
"""

from __future__ import annotations

import json
from typing import Any, Final

from api.types import DispatchJob

MEDIA_TYPE: Final = "application/cloudevents+json; charset=utf-8"
TYPE_OF_ACTION: Final = {"file": "cn.cityops.case.reported.v1"}


def envelope(job: DispatchJob, source: str, public_url: str) -> bytes:
    """Give the body of one dispatch: the same bytes at every attempt, so that receivers can compare them.

    Args:
        job: what to send, its case as it stood at confirmation.
        source: CloudEvents source, which with the id names the event once and for all.
        public_url: this server as the receiver sees it; evidence gets absolute addresses from it.
    """
    data: dict[str, Any] = json.loads(job.body)
    if public_url:
        for ref in data["evidence"]:
            ref["url"] = public_url.rstrip("/") + ref["path"]
    event = {
        "specversion": "1.0",
        "id": str(job.dispatch.idempotency_key),
        "source": source,
        "type": TYPE_OF_ACTION[job.dispatch.action],
        "subject": str(job.case_id),
        "time": job.dispatch.created_at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": data,
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
