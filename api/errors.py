"""What can go wrong in a use case, each with the HTTP status a route answers and one clear sentence.

Problem (Failure)
├── NotFound            404  no such case, report, dispatch or file
├── Conflict            409  the case has moved on since it was read
├── ReportDiffers       409  the same report id with another payload
├── MissingEvidence     409  a report names files that were never uploaded: upload, then send again
├── TooLarge            413  body over the limit
├── UnsupportedMedia    415  neither JPEG nor MP4
├── Unacceptable        422  understood, but it makes no sense
├── EvidenceMismatch    422  the bytes do not have the announced sha256
├── Unauthorised        401  no token, wrong token, wrong signature
├── SlowUpload          408  the sender stopped in the middle
├── StoreBusy           503  the database did not answer in time: send again
└── OutOfSpace          507  the disk is full; nothing was half-stored

Routes turn them into problem documents (RFC 9457); the embedded callers see plain failures.
"""

from __future__ import annotations

from typing import ClassVar

from detector.errors import Failure


class Problem(Failure):
    """Carry one sentence, an HTTP status and a stable problem type (RFC 9457)."""

    status: ClassVar[int] = 500
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(self, message: str, **extra: object) -> None:
        super().__init__(message)
        self.extra = extra


class NotFound(Problem):
    """Say that there is nothing of that name."""

    status = 404
    slug = "not-found"
    title = "Not found"


class Conflict(Problem):
    """Say that the case is not in the state the sender believes it to be in."""

    status = 409
    slug = "conflict"
    title = "Conflict"


class ReportDiffers(Conflict):
    """Say that a report of this id was accepted before, with another payload."""

    slug = "report-differs"
    title = "Report id used before"


class MissingEvidence(Conflict):
    """Name the files (`missing`) that have to be uploaded before this report is sent again."""

    slug = "missing-evidence"
    title = "Evidence missing"


class TooLarge(Problem):
    """Say that a body is over the limit."""

    status = 413
    slug = "too-large"
    title = "Body too large"


class UnsupportedMedia(Problem):
    """Say that evidence is neither a JPEG nor an MP4."""

    status = 415
    slug = "unsupported-media"
    title = "Unsupported media type"


class Unacceptable(Problem):
    """Say that a well-formed request makes no sense."""

    status = 422
    slug = "unacceptable"
    title = "Unprocessable content"


class EvidenceMismatch(Unacceptable):
    """Say that a file is not the one that was announced."""

    slug = "evidence-mismatch"
    title = "Evidence differs from its hash"


class Unauthorised(Problem):
    """Say that the sender did not prove who it is."""

    status = 401
    slug = "unauthorised"
    title = "Unauthorised"


class SlowUpload(Problem):
    """Say that a sender stopped in the middle of a body."""

    status = 408
    slug = "slow-upload"
    title = "Request timeout"


class StoreBusy(Problem):
    """Say that the database did not answer in time; sending again is safe."""

    status = 503
    slug = "store-busy"
    title = "Store busy"


class OutOfSpace(Problem):
    """Say that the disk is full; nothing was half-stored and sending again is safe."""

    status = 507
    slug = "out-of-space"
    title = "Insufficient storage"
