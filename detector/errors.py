"""The two errors a user can meet, shared by every room because the detector is the lowest one.

    Failure            exit 1: the work could not be done (broken video, full disk, refused connection)
    └── WrongUse       exit 2: what was asked for makes no sense (unknown key, latitude 131, no such option)

The message is one clear sentence: what happened, where, and what to do about it.
"""

from __future__ import annotations


class Failure(Exception):  # noqa: N818 - the word users see is "failed"
    """Say that the work could not be done; `kerbwatch` prints the sentence and exits 1."""

    exit_code = 1


class WrongUse(Failure):
    """Say that the request itself is at fault; `kerbwatch` prints the sentence and exits 2."""

    exit_code = 2
