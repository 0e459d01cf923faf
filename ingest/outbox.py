"""What is to be sent to the API, on the disk until it is there: at least once, across kill -9 and power cuts.

A report is a letter: first its evidence is uploaded, then it is posted, later its end. Every step may be
done twice and counts once (evidence by its hash, reports by their id), so a letter is simply sent again while
it is not known to have arrived. What the API refuses for good becomes a dead letter: kept, listed, sent again
by `redrive`. Two senders never send the same letter at once: each takes a lease on it. The letters lie in
`ingest.letters`; here is who sends them, and when.
"""

from __future__ import annotations

import json
import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from detector.errors import Failure
from ingest import tracing
from ingest.client import ApiClient, Refused, TryLater
from ingest.fleet.status import OutboxCount
from ingest.letters import Kind, Letter, LetterFile, Letters
from ingest.report import CaseReport, EventEnd, EvidenceRef

log = logging.getLogger(__name__)


class Outbox:
    """A spool of letters in one SQLite file, and the thread that sends them.

    Args:
        path: the SQLite file; its folder is made.
        client: where to send; None: only keep.
        path_of: where a piece of evidence lies (`EvidenceWriter.path_of`); None: reports have none.
        backoff_s: first and longest pause between attempts, doubled each time, with jitter.
        lease_s: a sender that has not moved on for so long is taken for dead.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        client: ApiClient | None = None,
        path_of: Callable[[EvidenceRef], Path] | None = None,
        *,
        backoff_s: tuple[float, float] = (0.5, 60.0),
        lease_s: float = 120.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the spool and take up what an earlier process left.

        Raises:
            Failure: the file cannot be opened, or is no outbox.
        """
        self.path = path
        self._client = client
        self._path_of = path_of
        self._backoff_s = backoff_s
        self._lock = threading.Lock()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._receipts: dict[str, dict[str, Any]] = {}
        self._kept = Letters(path, lease_s, clock)

    # -- what the pipeline calls --

    def put(self, report: CaseReport) -> bool:
        """Keep a report for sending; its evidence is on the disk already.

        A report that was put before is not kept again (False); if it was sent, its case is a receipt again.

        Raises:
            Failure: the disk is full or a file of evidence is missing; the report is not kept, put it again.
        """
        report_id = str(report.report_id)
        return self._put("report", report_id, report.wire(), self._files(report.evidence))

    def put_end(self, end: EventEnd) -> bool:
        """Keep the end of a reported event for sending after its report.

        Raises:
            Failure: as `put`.
        """
        report_id = str(end.report_id)
        return self._put("ended", report_id, end.model_dump_json(), self._files(end.evidence))

    def start(self) -> Self:
        """Send from a thread of our own until `close`."""
        if self._thread is None and self._client is not None:
            self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
            self._thread.start()
        return self

    def flush(self, timeout_s: float = 30.0) -> list[tuple[str, dict[str, Any]]]:
        """Wait until everything is sent or dead, at most so long; give the receipts."""
        until = time.monotonic() + timeout_s
        while self.underway() and time.monotonic() < until:
            if self._thread is None and (self._client is None or self.send_one()):
                continue
            with self._changed:
                self._changed.wait(min(0.2, max(0.0, until - time.monotonic())))
        return self.receipts()

    def receipts(self) -> list[tuple[str, dict[str, Any]]]:
        """Give (report_id, case as JSON) of every report sent since the last call."""
        with self._lock:
            receipts = list(self._receipts.items())
            self._receipts.clear()
        return receipts

    def pending(self) -> list[Letter]:
        """Give the letters that are still to be sent, oldest first."""
        return self._kept.of_state("pending")

    def open_reports(self, source_id: str, newest: int = 200) -> tuple[list[dict[str, Any]], set[str]]:
        """Give a camera's reports (as JSON) whose end was not put yet, and the ids of those whose end was.

        Args:
            source_id: the camera.
            newest: at most so many of each.
        """
        return self._kept.open_reports(source_id, newest)

    def dead(self) -> list[Letter]:
        """Give the letters that were refused, with the reason."""
        return self._kept.of_state("dead")

    def redrive(self, report_id: str | None = None) -> int:
        """Send dead letters again, all or those of one report; give their number."""
        moved = self._kept.redrive(report_id)
        self._wake()
        return moved

    def tidy(self, older_s: float) -> int:
        """Remove the evidence files of letters sent and older than `older_s`; give their number.

        The API has them. Files that a letter still to be sent (or dead) needs stay. `older_s` must be longer
        than it takes from writing a file to putting its report, for two reports may share one file.
        """
        return self._kept.tidy(older_s)

    def prune(self, keep_s: float) -> int:
        """Forget sent letters older than `keep_s`; give their number. For their files see `tidy`."""
        return self._kept.prune(keep_s)

    def underway(self) -> int:
        """Give how many letters are still to be sent and are not held up by a dead one."""
        return self._kept.underway()

    def count(self) -> OutboxCount:
        """Count what waits, for status and metrics."""
        return self._kept.count()

    def close(self) -> None:
        """End the thread after what it is just sending; letters stay on the disk."""
        self._stopping.set()
        self._wake()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
            self._thread = None
        self._kept.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- sending --

    def send_one(self) -> bool:
        """Send one letter that is due, in this thread; False: none is due."""
        letter = self._kept.claim()
        if letter is None or self._client is None:
            return False
        try:
            with tracing.continued(letter.traceparent, "send", **self._of(letter)):
                answer = self._deliver(letter, self._client)
        except Refused as refused:
            self._kept.settle(letter, "dead", reason=str(refused))
            self._wake()
            log.error("dead letter %s (%s): %s", letter.report_id, letter.kind, refused)  # noqa: TRY400
        except TryLater as later:
            self._postpone(letter, later)
        else:
            if answer is not None:
                self._sent(letter, answer)
        return True

    def _of(self, letter: Letter) -> dict[str, str | int | float]:
        """Give what a trace says of a letter."""
        return {
            "kerbwatch.letter": letter.kind,
            "kerbwatch.report_id": letter.report_id,
            "kerbwatch.attempt": letter.attempts + 1,
            "kerbwatch.waited_s": round(self._kept.waited_s(letter), 3),
        }

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                sent = self.send_one()
            except (sqlite3.Error, Failure) as error:
                log.error("the outbox %s cannot be used: %s; trying again", self.path, error)  # noqa: TRY400
                sent = False
            if not sent:
                with self._changed:
                    self._changed.wait(min(0.5, self._backoff_s[0]))

    def _deliver(self, letter: Letter, client: ApiClient) -> dict[str, Any] | None:
        """Upload what is not uploaded, then post; None: the lease was lost on the way."""
        for file in self._kept.unsent(letter):
            client.put_evidence(file.sha256, file.path, file.media_type, sealed=file.sealed)
            if not self._kept.note_sent(letter, file):
                return None
        if letter.kind == "report":
            return client.post_report(letter.body)
        return client.post_ended(*self._addressed(letter))

    def _addressed(self, letter: Letter) -> tuple[str, str]:
        """Give report id and body of an end: those of the case that its report was taken for."""
        answer = self._kept.answer(letter.report_id) or {}
        case_of = str(answer.get("report_id", letter.report_id))
        if case_of == letter.report_id:
            return letter.report_id, letter.body
        return case_of, json.dumps({**json.loads(letter.body), "report_id": case_of})

    def _sent(self, letter: Letter, answer: dict[str, Any]) -> None:
        self._kept.settle(letter, "sent", answer=answer)
        another = (
            answer.get("report_id", letter.report_id) != letter.report_id
        )  # reported before: no new case
        if letter.kind == "report" and not another:
            with self._lock:
                self._receipts[letter.report_id] = answer
        self._wake()

    def _postpone(self, letter: Letter, later: TryLater) -> None:
        first, most = self._backoff_s
        pause = later.after_s
        if pause is None:
            pause = min(most, first * 2.0 ** min(letter.attempts, 30)) * random.uniform(0.5, 1.0)  # noqa: S311
        self._kept.postpone(letter, pause, str(later), later.missing)
        log.info("letter %s waits %.1f s: %s", letter.report_id, pause, later)

    # -- keeping --

    def _put(self, kind: Kind, report_id: str, body: str, files: Sequence[LetterFile]) -> bool:
        new, answer = self._kept.put(kind, report_id, body, files, tracing.carried())
        if answer is not None and kind == "report":
            with self._lock:
                self._receipts[report_id] = answer
        self._wake()
        return new

    def _files(self, evidence: Sequence[EvidenceRef]) -> list[LetterFile]:
        files = {}
        for ref in evidence:
            if self._path_of is None:
                raise ValueError("wanted path_of for a report with evidence, got None")
            path = self._path_of(ref).resolve()
            if not path.is_file():
                raise Failure(f"The evidence file {path} is missing; the report was not kept.")
            files[ref.sha256, ref.sealed] = LetterFile(ref.sha256, path, ref.media_type, ref.sealed)
        return list(files.values())

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
