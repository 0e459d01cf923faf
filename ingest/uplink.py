"""From this process to the API: evidence folder, outbox, the thread that hands back cases."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from detector.errors import Failure
from ingest import tracing
from ingest.client import ApiClient, Refused, TryLater
from ingest.evidence import EvidenceWriter
from ingest.outbox import Outbox

log = logging.getLogger(__name__)

Json = dict[str, Any]

FLUSH_S = float(os.environ.get("KERBWATCH_FLUSH_S", "30"))
"""How long a run that has ended waits for the API to take its last reports, seconds."""
SETTLE_S = float(os.environ.get("KERBWATCH_SETTLE_S", "15"))
"""How long it then waits for the platform to take what was confirmed, seconds."""
RECEIPT_POLL_S = 0.2
TIDY_S = 600.0
"""Age from which the spool gives up its copies of evidence that the API has, seconds."""


class Uplink:
    """Where a pipeline puts its evidence and reports; `on_case` is called once per case, from one thread.

    Args:
        data: folder; the spool lies in its `outbox/`.
        url: address of the API. token: its bearer token, "" for none.
        on_case: takes the Case JSON that the API answered.
        sends: False only keeps reports; another process over the same folder sends them.
    """

    def __init__(
        self, data: Path, url: str, token: str, on_case: Callable[[Json], None], *, sends: bool = True
    ) -> None:
        self.client = ApiClient(url, token or None)
        self.writer = EvidenceWriter(data / "outbox" / "evidence")
        sender = self.client if sends else None
        self.outbox = Outbox(data / "outbox" / "outbox.db", sender, self.writer.path_of)
        self.cases: list[Json] = []
        self._seen: set[str] = set()
        self._unasked: set[str] = set()
        self._url = url
        self._on_case = on_case
        self._done = threading.Event()
        self._reader = threading.Thread(target=self._read, name="receipts", daemon=True)

    def __enter__(self) -> Self:
        tracing.configure()
        self.outbox.start()
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._reader.join(timeout=5)
        self.outbox.close()
        self.client.close()
        tracing.flush()

    def _read(self) -> None:
        next_tidy = time.monotonic() + TIDY_S
        while not self._done.wait(RECEIPT_POLL_S):
            self._hand_over()
            if time.monotonic() >= next_tidy:
                self.outbox.tidy(TIDY_S)
                next_tidy = time.monotonic() + TIDY_S

    def _hand_over(self) -> None:
        for report_id, case in self.outbox.receipts():
            if report_id in self._seen:  # left by an earlier run, sent, then found again by this one
                continue
            self._seen.add(report_id)
            self.cases.append(case)
            self._on_case(case)

    def known(self, source_id: str) -> list[Json]:
        """Give the open cases of a camera, so that a restart reports nothing twice.

        The spool knows what is on its way or was sent from this machine, also while the API is not there; the
        API knows what others sent.
        """
        kept, over = self.outbox.open_reports(source_id)
        try:
            cases = self.client.open_cases(source_id)
            self._unasked.discard(source_id)
        except (TryLater, Refused) as reason:
            self._unasked.add(source_id)
            log.warning("%s: which cases are open could not be asked: %s", source_id, reason)
            cases = []
        known = {str(case["report_id"]): case for case in (*kept, *cases)}
        return [case for report_id, case in known.items() if report_id not in over]

    def unaware(self, source_id: str) -> bool:
        """Say whether the API could not be asked when `known` was last called for a camera."""
        return source_id in self._unasked

    def drain(self, flush_s: float = FLUSH_S) -> list[Json]:
        """Wait until every report is at the API; give all cases of this run.

        Raises:
            Failure: some are not; the sentence says how many, why and where they are kept.
        """
        until = time.monotonic() + flush_s
        while self.outbox.underway() and time.monotonic() < until:
            time.sleep(0.05)
        self._done.set()
        self._reader.join(timeout=5)
        self._hand_over()
        self.outbox.tidy(0.0)
        self._complain()
        return self.cases

    def _complain(self) -> None:
        pending, dead = self.outbox.pending(), self.outbox.dead()
        if pending:
            raise Failure(
                f"{len(pending)} reports could not be delivered to {self._url} "
                f"({pending[0].reason or 'no answer'}); "
                f"they are kept in {self.outbox.path} and go out with the next run."
            )
        if dead:
            raise Failure(
                f"{len(dead)} reports were refused by {self._url} ({dead[0].reason}); they are kept in "
                f"{self.outbox.path} as dead letters."
            )

    def settle(self, settle_s: float = SETTLE_S) -> int:
        """Wait until the confirmed cases of this run are with the platform; give how many are not.

        The API keeps and repeats them; this only gives an embedded API the time to send before it ends.
        """
        until = time.monotonic() + settle_s
        waiting = [case for case in self.cases if _leaves(case)]
        while waiting and time.monotonic() < until:
            waiting = [case for case in map(self._again, waiting) if _leaves(case)]
            time.sleep(0.1)
        return len(waiting)

    def _again(self, case: Json) -> Json:
        try:
            return self.client.get_case(str(case["case_id"]))
        except (TryLater, Refused):
            return case


def _leaves(case: Json) -> bool:
    """Say whether a dispatch of the case is still to be made."""
    return (case.get("dispatch") or {}).get("state") == "pending"
