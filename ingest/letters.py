"""The letters of an outbox on the disk: one SQLite file, which several processes may use at once."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from ingest.fleet.status import OutboxCount
from ingest.letter_file import cannot_use, open_file

Kind = Literal["report", "ended"]

COLUMNS = "id, kind, report_id, body, attempts, reason, created_at, traceparent"
# An end waits for its report: the API must know the case first.
CLAIM = f"""SELECT {COLUMNS} FROM letter
    WHERE state = 'pending' AND (next_at <= :now OR next_at > :far)
    AND (lease_by IS NULL OR lease_until <= :now OR lease_until > :far)
    AND NOT (kind = 'ended' AND EXISTS (SELECT 1 FROM letter r
        WHERE r.report_id = letter.report_id AND r.kind = 'report' AND r.state <> 'sent'))
    ORDER BY next_at, id LIMIT 1"""  # noqa: S608 - constants only
# An end whose report is dead waits for a redrive, not for us.
UNDERWAY = """SELECT count(*) FROM letter
    WHERE state = 'pending' AND NOT (kind = 'ended' AND EXISTS (SELECT 1 FROM letter r
        WHERE r.report_id = letter.report_id AND r.kind = 'report' AND r.state = 'dead'))"""
# What was refused was never a case; it is reported again.
REPORTS_OF = """SELECT body, EXISTS (SELECT 1 FROM letter e
        WHERE e.report_id = letter.report_id AND e.kind = 'ended')
    FROM letter WHERE kind = 'report' AND state <> 'dead' AND json_extract(body, '$.source_id') = ?
    ORDER BY id DESC LIMIT ?"""
COUNT = """SELECT count(*) FILTER (WHERE state = 'pending'),
        min(created_at) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state = 'dead')
    FROM letter WHERE state IN ('pending', 'dead')"""
INSERT_FILE = "INSERT INTO file (letter_id, sha256, path, media_type, sealed) VALUES (?, ?, ?, ?, ?)"
FAR_S = 7200.0
"""A time further ahead than any pause we make: the clock was set back meanwhile, so it does not count."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One thing to send.

    `reason`: why it was not taken the last time. `created_at`: when it was put, Unix seconds. `traceparent`:
    its place in the trace of the frame that it came of, "" where none is recorded.
    """

    letter_id: int
    kind: Kind
    report_id: str
    body: str
    attempts: int
    reason: str
    created_at: float
    traceparent: str


@dataclass(frozen=True, slots=True)
class LetterFile:
    """One piece of a letter's evidence: where it lies, what it is."""

    sha256: str
    path: Path
    media_type: str
    sealed: bool


class Letters:
    """The table of letters and their files. Every method is one transaction.

    Args:
        path: the SQLite file; its folder is made.
        lease_s: a sender that has not moved on for so long is taken for dead.
        clock: seconds since the epoch.
    """

    def __init__(self, path: Path, lease_s: float, clock: Callable[[], float] = time.time) -> None:
        """Open the file and take up what an earlier process left.

        Raises:
            Failure: it cannot be opened, or is no outbox.
        """
        self.path = path
        self._lease_s = lease_s
        self._clock = clock
        self._me = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        self._lock = threading.RLock()
        self._db = open_file(path)
        self._take_over()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    # -- keeping --

    def put(
        self, kind: Kind, report_id: str, body: str, files: Sequence[LetterFile], traceparent: str
    ) -> tuple[bool, dict[str, Any] | None]:
        """Keep a letter; say whether it is new, and the API's answer if it was sent before.

        Raises:
            Failure: the disk is full; it is not kept.
        """
        try:
            with self._transaction() as db:
                kept = db.execute(
                    "INSERT OR IGNORE INTO letter (kind, report_id, body, created_at, traceparent)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (kind, report_id, body, self._clock(), traceparent),
                )
                if kept.rowcount != 1:
                    return False, self._again(db, kind, report_id, files)
                rows = [(kept.lastrowid, f.sha256, str(f.path), f.media_type, f.sealed) for f in files]
                db.executemany(INSERT_FILE, rows)
        except sqlite3.Error as error:
            raise cannot_use(self.path, error) from error
        return True, None

    def _again(
        self, db: sqlite3.Connection, kind: Kind, report_id: str, files: Sequence[LetterFile]
    ) -> dict[str, Any] | None:
        """Give the answer to a sent letter, and note its files, written again, for `tidy`."""
        row = db.execute(
            "SELECT id, answer FROM letter WHERE report_id = ? AND kind = ? AND state = 'sent'",
            (report_id, kind),
        ).fetchone()
        if row is None:
            return None
        db.executemany(
            INSERT_FILE.replace("INSERT", "INSERT OR IGNORE"),
            [(row[0], f.sha256, str(f.path), f.media_type, f.sealed) for f in files],
        )
        answer: dict[str, Any] | None = json.loads(row[1])
        return answer

    def redrive(self, report_id: str | None = None) -> int:
        """Make dead letters pending again, all or those of one report; give their number."""
        with self._transaction() as db:
            moved = db.execute(
                "UPDATE letter SET state = 'pending', attempts = 0, next_at = 0"
                " WHERE state = 'dead' AND (? IS NULL OR report_id = ?)",
                (report_id, report_id),
            ).rowcount
            db.execute(
                "UPDATE file SET sent = 0 WHERE letter_id IN (SELECT id FROM letter WHERE attempts = 0)"
            )
        return moved

    def tidy(self, older_s: float) -> int:
        """Remove the evidence files of letters sent and older than `older_s`; give their number.

        The API has them. Files that a letter still to be sent (or dead) needs stay. `older_s` must be longer
        than it takes from writing a file to putting its report, for two reports may share one file.
        """
        with self._transaction() as db:
            letters = "SELECT id FROM letter WHERE state = 'sent' AND created_at < ?"
            rows = db.execute(
                f"SELECT DISTINCT path FROM file WHERE letter_id IN ({letters})"  # noqa: S608 - constants only
                " AND path NOT IN (SELECT path FROM file WHERE letter_id IN"
                " (SELECT id FROM letter WHERE state <> 'sent'))",
                (self._clock() - older_s,),
            ).fetchall()
            for (path,) in rows:
                Path(path).unlink(missing_ok=True)
                db.execute("DELETE FROM file WHERE path = ?", (path,))
        return len(rows)

    def prune(self, keep_s: float) -> int:
        """Forget sent letters older than `keep_s`; give their number. For their files see `tidy`."""
        with self._transaction() as db:
            return db.execute(
                "DELETE FROM letter WHERE state = 'sent' AND created_at < ?", (self._clock() - keep_s,)
            ).rowcount

    # -- looking --

    def of_state(self, state: str) -> list[Letter]:
        """Give the letters that are "pending", "sent" or "dead", oldest first."""
        with self._lock:
            rows = self._db.execute(
                f"SELECT {COLUMNS} FROM letter WHERE state = ? ORDER BY id",  # noqa: S608 - constants only
                (state,),
            ).fetchall()
        return [Letter(*row) for row in rows]

    def open_reports(self, source_id: str, newest: int = 200) -> tuple[list[dict[str, Any]], set[str]]:
        """Give a camera's reports (as JSON) whose end was not put yet, and the ids of those whose end was.

        Args:
            source_id: the camera.
            newest: at most so many of each.
        """
        with self._lock:
            rows = self._db.execute(REPORTS_OF, (source_id, newest)).fetchall()
        bodies = [(json.loads(body), bool(ended)) for body, ended in rows]
        over = {str(report["report_id"]) for report, ended in bodies if ended}
        return [report for report, ended in bodies if not ended], over

    def underway(self) -> int:
        """Give how many letters are still to be sent and are not held up by a dead one."""
        with self._lock:
            row = self._db.execute(UNDERWAY).fetchone()
        return int(row[0])

    def count(self) -> OutboxCount:
        """Count what waits, for status and metrics."""
        with self._lock:
            pending, oldest, dead = self._db.execute(COUNT).fetchone()
        age_s = max(0.0, self._clock() - oldest) if pending else 0.0
        return OutboxCount(pending=pending, oldest_age_s=age_s, dead=dead)

    # -- sending --

    def claim(self) -> Letter | None:
        """Take a lease on a letter that is due; None: none is."""
        now = self._clock()
        with self._transaction() as db:
            row = db.execute(CLAIM, {"now": now, "far": now + FAR_S}).fetchone()
            if row is None:
                return None
            db.execute(
                "UPDATE letter SET lease_by = ?, lease_until = ?, attempts = attempts + 1 WHERE id = ?",
                (self._me, now + self._lease_s, row[0]),
            )
        return Letter(*row)

    def answer(self, report_id: str) -> dict[str, Any] | None:
        """Give what the API answered to a report; None: it was not sent yet."""
        with self._lock:
            row = self._db.execute(
                "SELECT answer FROM letter WHERE report_id = ? AND kind = 'report' AND state = 'sent'",
                (report_id,),
            ).fetchone()
        answer: dict[str, Any] | None = json.loads(row[0]) if row else None
        return answer

    def waited_s(self, letter: Letter) -> float:
        """Give how long ago a letter was put, seconds."""
        return self._clock() - letter.created_at

    def unsent(self, letter: Letter) -> list[LetterFile]:
        """Give what of a letter's evidence is not uploaded yet."""
        with self._lock:
            rows = self._db.execute(
                "SELECT sha256, path, media_type, sealed FROM file WHERE letter_id = ? AND NOT sent"
                " ORDER BY rowid",
                (letter.letter_id,),
            ).fetchall()
        return [
            LetterFile(sha256, Path(path), media_type, bool(sealed))
            for sha256, path, media_type, sealed in rows
        ]

    def note_sent(self, letter: Letter, file: LetterFile) -> bool:
        """Note an upload and renew the lease; False: another sender has the letter now."""
        with self._transaction() as db:
            mine = db.execute(
                "UPDATE letter SET lease_until = ? WHERE id = ? AND lease_by = ?",
                (self._clock() + self._lease_s, letter.letter_id, self._me),
            ).rowcount
            db.execute(
                "UPDATE file SET sent = 1 WHERE letter_id = ? AND sha256 = ? AND sealed = ?",
                (letter.letter_id, file.sha256, file.sealed),
            )
        return bool(mine)

    def settle(
        self, letter: Letter, state: Literal["sent", "dead"], *, reason: str = "", answer: Any = None
    ) -> None:
        """Note that a letter was taken or refused; what was taken stays so."""
        with self._transaction() as db:
            db.execute(
                "UPDATE letter SET state = ?, reason = ?, answer = ?, lease_by = NULL"
                " WHERE id = ? AND state <> 'sent' AND (lease_by = ? OR ? = 'sent')",
                (state, reason, json.dumps(answer), letter.letter_id, self._me, state),
            )

    def postpone(self, letter: Letter, pause_s: float, reason: str, missing: Sequence[str] = ()) -> None:
        """Give a letter back until later; `missing`: hashes of files to be uploaded again."""
        with self._transaction() as db:
            db.execute(
                "UPDATE letter SET next_at = ?, reason = ?, lease_by = NULL WHERE id = ? AND lease_by = ?",
                (self._clock() + pause_s, reason, letter.letter_id, self._me),
            )
            for sha256 in missing:
                db.execute(
                    "UPDATE file SET sent = 0 WHERE letter_id = ? AND sha256 = ?", (letter.letter_id, sha256)
                )

    # -- the file --

    def _take_over(self) -> None:
        """Send at once what waited, and free the leases of processes that are no more."""
        host, pid, _ = self._me.rsplit(":", 2)
        try:
            with self._transaction() as db:
                db.execute("UPDATE letter SET next_at = 0 WHERE state = 'pending'")
                holders = db.execute(
                    "SELECT DISTINCT lease_by FROM letter WHERE lease_by IS NOT NULL"
                ).fetchall()
                for (holder,) in holders:
                    its_host, its_pid, _ = str(holder).rsplit(":", 2)
                    if its_host == host and its_pid != pid and not _alive(int(its_pid)):
                        db.execute("UPDATE letter SET lease_by = NULL WHERE lease_by = ?", (holder,))
        except sqlite3.Error as error:
            raise cannot_use(self.path, error) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.commit()
            except BaseException:
                self._db.rollback()
                raise


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
