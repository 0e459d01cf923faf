"""The SQLite file of an outbox: made, opened, brought up to the present version."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from detector.errors import Failure

SCHEMA = """
CREATE TABLE IF NOT EXISTS letter (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('report', 'ended')),
    report_id TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'dead')),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL DEFAULT 0,
    lease_by TEXT,
    lease_until REAL NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    answer TEXT,
    created_at REAL NOT NULL,
    traceparent TEXT NOT NULL DEFAULT '',
    UNIQUE (report_id, kind)
);
CREATE INDEX IF NOT EXISTS letter_state ON letter (state, next_at);
CREATE TABLE IF NOT EXISTS file (
    letter_id INTEGER NOT NULL REFERENCES letter (id) ON DELETE CASCADE,
    sha256 TEXT NOT NULL,
    path TEXT NOT NULL,
    media_type TEXT NOT NULL,
    sealed INTEGER NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (letter_id, sha256, sealed)
);
PRAGMA user_version = 2;
"""
ADDED_IN_2 = "ALTER TABLE letter ADD COLUMN traceparent TEXT NOT NULL DEFAULT ''"


def open_file(path: Path) -> sqlite3.Connection:
    """Open the file, made where there is none.

    Raises:
        Failure: it cannot be opened, or is no outbox.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
    except OSError as error:
        raise Failure(f"The outbox {path} cannot be opened: {error.strerror}.") from error
    except sqlite3.Error as error:
        raise cannot_use(path, error) from error
    try:
        # FULL: a committed letter is on the disk, not only with the operating system
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
        db.executescript(SCHEMA)
        _add_what_is_new(db)
    except sqlite3.Error as error:
        db.close()
        raise cannot_use(path, error) from error
    return db


def _add_what_is_new(db: sqlite3.Connection) -> None:
    """Bring the table of an earlier version up to this one; of two processes that try, one does it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        if "traceparent" not in {row[1] for row in db.execute("PRAGMA table_info(letter)")}:
            db.execute(ADDED_IN_2)
        db.commit()
    except BaseException:
        db.rollback()
        raise


def cannot_use(path: Path, error: sqlite3.Error) -> Failure:
    """Say what is wrong with the file."""
    if "full" in str(error):
        return Failure(f"The disk that holds the outbox {path} is full; free some space and report again.")
    if isinstance(error, sqlite3.DatabaseError) and "not a database" in str(error):
        return Failure(f"{path} is not an outbox; move it away or name another file.")
    return Failure(f"The outbox {path} cannot be used: {error}.")
