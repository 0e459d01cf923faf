"""Prometheus metrics of the API: how fast events become cases, and what waits to be dispatched.

`python -m api.metrics` prints them as an API without cases tells them: the reference is made from that.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from api.types import Case, CaseStatus, Counts

BUCKETS_S: Final = (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
OF_A_FILE_S: Final = 86400.0
STATES: Final = ("pending", "delivered", "dead")


class Metrics:
    """What the API counts by itself, and what it asks the store at each scrape.

    Args:
        counts: gives the present counts (`Services.statistics`).
        now_s: Unix seconds.
        dispatches: there is somewhere to dispatch to; without, nothing that waits is late.
    """

    def __init__(self, counts: Callable[[], Counts], now_s: Callable[[], float], *, dispatches: bool) -> None:
        # When a counter began is of no use to anybody here, and doubles the lines.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._now_s = now_s
        self.registry = CollectorRegistry()
        self._reports = Counter(
            "kerbwatch_api_reports",
            "Reports accepted. new: a case was opened; again: the same report had been accepted before.",
            ("result",),
            registry=self.registry,
        )
        for result in ("new", "again"):
            self._reports.labels(result)
        self._event_to_case = Histogram(
            "kerbwatch_api_event_to_case_seconds",
            "Time from the frame that confirmed an event (its dwell was reached) to its case, by the camera "
            "machine's and this machine's clocks, seconds. What is older than a day is not counted: it comes "
            "from a video file.",
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.registry.register(_StoreCollector(counts, now_s, dispatches=dispatches))

    def accepted(self, case: Case, *, new: bool) -> None:
        """Count an accepted report."""
        self._reports.labels("new" if new else "again").inc()
        took_s = max(0.0, self._now_s() - case.report.observed_at.timestamp())
        if new and took_s <= OF_A_FILE_S:
            self._event_to_case.observe(took_s)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Give the body and the content type of an answer to a scrape with this Accept header."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class _StoreCollector(Collector):
    def __init__(self, counts: Callable[[], Counts], now_s: Callable[[], float], *, dispatches: bool) -> None:
        self._counts, self._now_s, self._dispatches = counts, now_s, dispatches

    def describe(self) -> Iterator[Metric]:
        return iter(())  # so that registering asks nothing of the store

    def collect(self) -> Iterator[Metric]:
        counts = self._counts()
        cases = GaugeMetricFamily("kerbwatch_api_cases", "Cases by status.", labels=("status",))
        for status in CaseStatus:
            cases.add_metric((status.value,), counts.by_status.get(status.value, 0))
        yield cases
        rows = GaugeMetricFamily(
            "kerbwatch_api_dispatches",
            "Dispatches by state. pending: to be sent (again); dead: refused for good, waiting for a person.",
            labels=("state",),
        )
        for state in STATES:
            rows.add_metric((state,), counts.by_dispatch_state.get(state, 0))
        yield rows
        age = GaugeMetricFamily(
            "kerbwatch_api_dispatch_oldest_age_seconds",
            "Age of the oldest dispatch that is still to be sent, seconds; 0 where none is, absent where "
            "there is nowhere to dispatch to.",
        )
        if self._dispatches:
            since = counts.oldest_pending_at
            age.add_metric((), 0.0 if since is None else max(0.0, self._now_s() - since.timestamp()))
        yield age


if __name__ == "__main__":
    sys.stdout.write(generate_latest(Metrics(Counts, lambda: 0.0, dispatches=True).registry).decode())
