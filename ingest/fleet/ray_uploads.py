"""Uploads as Ray tasks: what a group has spooled is sent by tasks, and the API's database knows what arrived.

A report is durable in one of two places. First in the spool, on the disk of the node that saw the event: only
then does the event count as confirmed. Then in the API's database, once the task that posted it was answered.
Tasks hold nothing: Ray repeats one whose process or node died, evidence counts once by its hash and a report
once by its id, and what the API has not taken is sent again from the spool with growing pauses.

What a lost node takes with it is what its spool held and the API had not taken: normally nothing, for a
letter leaves within a tenth of a second, but everything since the API went away, if it was away. The cameras
then run elsewhere and ask the API what is known. A thing still there that the API does not know is reported
again, once it has stood for its time again; one that has left meanwhile is lost with the disk. A node that
lives on keeps its spool, and `sweep` empties it even if no group works there any more.

Where the API cannot be asked for a minute while a camera begins on another node, the camera is watched all
the same. Reports of what stood there then say so (`unaware`), and the API takes them for the case that is
open at that place, if one is, so they make no second one.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ingest import tracing
from ingest.client import ApiClient, Refused, TryLater
from ingest.evidence import EvidenceWriter
from ingest.outbox import Outbox

log = logging.getLogger(__name__)

ANSWER_S = 90.0
"""How long a task may take; the client inside gives up after 60 s."""
RETRIES = 3
"""How often Ray starts a task again whose process or node died."""
POLL_S = 0.1
"""Pause between two looks into the spool."""
SWEEP_S = 300.0
"""How long a sweep goes on trying."""


def send(
    url: str, token: str, call: str, arguments: dict[str, Any], traceparent: str = ""
) -> tuple[str, Any]:
    """Do one call of `ApiClient` in this process, as a part of its report's trace; the body of a task.

    Returns:
        ("done", the API's answer), ("later", (reason, seconds or None, missing hashes)) or
        ("refused", reason).
    """
    tracing.configure()
    with ApiClient(url, token or None) as client, tracing.continued(traceparent, "upload"):
        try:
            return "done", getattr(client, call)(**arguments)
        except TryLater as later:
            return "later", (str(later), later.after_s, later.missing)
        except Refused as refused:
            return "refused", str(refused)


class TaskClient(ApiClient):
    """An API client that sends by Ray tasks and asks by itself.

    Tasks reserve no CPU: a cluster full of cameras must still be able to report.
    """

    def __init__(self, url: str, token: str) -> None:
        """Prepare; nothing is sent yet. Raises: WrongUse: `url` is no http(s) address."""
        import ray

        super().__init__(url, token or None)
        self._token = token
        self._task = ray.remote(num_cpus=0, max_retries=RETRIES)(send)

    def put_evidence_bytes(self, sha256: str, data: bytes, media_type: str, *, sealed: bool) -> None:
        """Upload a file's content; see `ApiClient.put_evidence_bytes`."""
        self._run("put_evidence_bytes", sha256=sha256, data=data, media_type=media_type, sealed=sealed)

    def post_report(self, body: str) -> dict[str, Any]:
        """Post a report; see `ApiClient.post_report`."""
        case: dict[str, Any] = self._run("post_report", body=body)
        return case

    def post_ended(self, report_id: str, body: str) -> dict[str, Any]:
        """Post an end; see `ApiClient.post_ended`."""
        case: dict[str, Any] = self._run("post_ended", report_id=report_id, body=body)
        return case

    def _run(self, call: str, **arguments: Any) -> Any:
        import ray
        from ray.exceptions import RayError

        reference = self._task.remote(self.url, self._token, call, arguments, tracing.carried())
        try:
            word, said = ray.get(reference, timeout=ANSWER_S)
        except RayError as error:
            raise TryLater(f"the cluster did not carry out the upload ({type(error).__name__}).") from error
        if word == "refused":
            raise Refused(said)
        if word == "later":
            raise TryLater(*said)
        return said


def spool(data: Path, client: ApiClient) -> Outbox:
    """Open the spool of a node's folder for sending; groups of the node share it."""
    path_of = EvidenceWriter(data / "outbox" / "evidence").path_of
    return Outbox(data / "outbox" / "outbox.db", client, path_of, backoff_s=(POLL_S, 60.0))


def sweep(data: str, url: str, token: str) -> int:
    """Send what lies in the spool of a node that has no group any more; the body of a task on that node.

    Returns:
        How many letters are left after `SWEEP_S`.
    """
    if not (Path(data) / "outbox" / "outbox.db").exists():
        return 0
    tracing.configure()
    with ApiClient(url, token or None) as client, spool(Path(data), client) as outbox:
        outbox.start().flush(SWEEP_S)
        return outbox.underway()
