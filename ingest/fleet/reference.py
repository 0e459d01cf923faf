"""The reference of all metrics, made from what the collectors say of themselves, so that it cannot drift.

`make metrics` writes `ingest/fleet/dashboards/METRICS.md` again: it puts the API's metrics to standard input,
because nothing in this room knows the API.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from ingest.fleet.metrics import exposition, registry_of
from ingest.fleet.status import CameraState, CameraStatus, OutboxCount, WorkerStatus

EXAMPLE: Final = WorkerStatus(
    "gate-house:0",
    alive=True,
    cores=1.0,
    model="street@2",
    precision="int8",
    batches={1: 1},
    room=1,
    cores_left=0.85,
    cameras=(
        CameraStatus(
            "cam-1",
            "gate-house:0",
            CameraState.RUNNING,
            last_frame_at=datetime(2026, 1, 1, tzinfo=UTC),
            last_frame_age_s=0.0,
            clock_error_s=0.0,
            stage_s={"decode": 0.0},
            stage_n={"decode": 0},
            events={"illegal_parking": 0},
            codec="h264",
            size_px=(1920, 1080),
        ),
    ),
    outbox=OutboxCount(),
)
"""A fleet in which every metric has something to say."""

HEAD: Final = """# Metrics

Written by `make metrics` from what the collectors say of themselves; do not edit.

The fleet's metrics are served at `/metrics` of the status address that `kerbwatch serve` prints, the API's at
`/metrics` of the page's address (with its token, where it has one). Dashboard: `kerbwatch.json` (Grafana),
alerts: `alerts.yml` (Prometheus), both in this folder.

Counters begin again at 0 when a worker is started again or a camera moves to another worker: look at them
through `rate` and `increase`, which know that. A camera that moves stays one series; `kerbwatch_camera_info`
says where it runs: `kerbwatch_camera_analysed_fps * on (camera) group_left (worker) kerbwatch_camera_info`.
Labels are bounded: cameras, workers and senders by the site file and the machines, all others by the code.
"""


def fleet_text() -> str:
    """Give the metrics of the example fleet as Prometheus reads them."""
    return exposition(registry_of(lambda: (EXAMPLE,)))[0].decode()


def name_of(family: Metric) -> str:
    """Give a family's name as queries use it: of a counter with `_total`."""
    return f"{family.name}_total" if family.type == "counter" else family.name


def page(sections: Iterable[tuple[str, str]]) -> str:
    """Give the reference as Markdown.

    Args:
        sections: title and exposition text of each.
    """
    parts = [HEAD]
    for title, text in sections:
        rows = [_row(family) for family in text_string_to_metric_families(text)]
        parts.append(
            "\n".join([f"## {title}\n", "| metric | type | labels | meaning |", "|---|---|---|---|", *rows])
        )
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _row(family: Metric) -> str:
    labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
    named = ", ".join(f"`{label}`" for label in labels)
    return f"| `{name_of(family)}` | {family.type} | {named} | {family.documentation} |"


if __name__ == "__main__":
    sys.stdout.write(page([("The fleet", fleet_text()), ("The API", sys.stdin.read())]))
