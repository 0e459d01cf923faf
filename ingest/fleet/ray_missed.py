"""Cases that a group had not told yet when it fell: the API has them, so they are asked of it and shown."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.client import ApiClient, Refused, TryLater

log = logging.getLogger(__name__)

Json = dict[str, Any]

ASK_S = 4.0
"""Pause between two questions after a group fell."""
FOR_S = 60.0
"""So long after a fall cases of its uploads may still arrive at the API."""
SKEW = timedelta(seconds=5)
"""The API's clock may be behind ours by so much."""


class Shown:
    """Shows every case once: those that groups tell, and those of fallen groups that only the API knows.

    Args:
        show: takes the Case JSON; called by whoever calls us.
        client: of the API.
        cameras: gives the ids of the fleet's cameras; cases of others are none of ours.
    """

    def __init__(
        self, show: Callable[[Json], None], client: ApiClient, cameras: Callable[[], Collection[str]]
    ) -> None:
        self._show, self._client, self._cameras = show, client, cameras
        self._began = datetime.now(UTC) - SKEW
        self._seen: set[str] = set()
        self._until = self._next = float("-inf")
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="missed-cases")
        self._asked: Future[list[Json]] | None = None

    def take(self, cases: Iterable[Json]) -> None:
        """Show what groups tell."""
        for case in cases:
            report_id = str(case["report_id"])
            if report_id not in self._seen:
                self._seen.add(report_id)
                self._show(case)

    def fell(self, now: float) -> None:
        """Hear that a group fell, or is given up."""
        self._until, self._next = now + FOR_S, now

    def catch_up(self, now: float) -> None:
        """Show what the API answered meanwhile, and ask again while something may still arrive."""
        if self._asked is not None and self._asked.done():
            asked, self._asked = self._asked, None
            self.take(asked.result())
        if self._asked is None and self._next <= now <= self._until:
            self._next = now + ASK_S
            self._asked = self._pool.submit(self._ask)

    def close(self) -> None:
        """Show what is missing yet, once all groups have ended."""
        self._pool.shutdown(wait=True)
        if self._until > float("-inf"):
            self.take(self._ask())
        self._client.close()

    def _ask(self) -> list[Json]:
        """Give the cases that came since we began, oldest first; none where the API does not answer."""
        try:
            cases = self._client.cases_since(self._began)
        except (TryLater, Refused) as reason:
            log.warning("cases of a group that fell could not be asked for: %s", reason)
            return []
        mine = self._cameras()
        return [case for case in reversed(cases) if case["source_id"] in mine]
