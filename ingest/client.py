"""The API as a source sees it: upload evidence, post a report, post its end.

Every answer is one of three: done, try later, refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2

from detector.errors import WrongUse
from ingest import tracing

ANSWER_BYTES_MAX = 1 << 20
RETRY_AFTER_MAX_S = 3600.0
TRY_AGAIN = frozenset({408, 409, 425, 429})
"""Client errors that pass by themselves, or once missing evidence is uploaded."""
SENDING_AGAIN_IS_USELESS = "urn:kerbwatch:problem:report-differs"


class TryLater(Exception):  # noqa: N818 - an answer, not an error
    """The API could not be reached, or could not do it now.

    Args:
        reason: one sentence.
        after_s: how long the API asked to wait, None if it did not.
        missing: sha256 of files the API does not have although they were uploaded once.
    """

    def __init__(self, reason: str, after_s: float | None = None, missing: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.after_s = after_s
        self.missing = missing


class Refused(Exception):  # noqa: N818 - an answer, not an error
    """The API will never take this: a dead letter."""


class ApiClient:
    """Speak to one API; thread-safe, to be closed.

    Args:
        url: address of the API, http or https, without `/v1`.
        token: bearer token, or None.
        timeout_s: for connecting, and for every pause in sending or answering.
        deadline_s: for a whole answer, so that one that drips cannot hold us.
        transport: for tests.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = 15.0,
        deadline_s: float = 60.0,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Raises:
            WrongUse: `url` is no http(s) address.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise WrongUse(f"{url!r} is not the address of an API; give one such as http://127.0.0.1:8080.")
        self.url = url.rstrip("/")
        self._deadline_s = deadline_s
        self._http = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, 10.0)),
            trust_env=not _is_loopback(parts.hostname),
            transport=transport,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def put_evidence(self, sha256: str, path: Path, media_type: str, *, sealed: bool) -> None:
        """Upload one file; twice is once.

        Raises:
            TryLater, Refused: it is not there (yet).
        """
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise Refused(f"The evidence file {path} is gone; it cannot be sent.") from error
        except OSError as error:
            raise TryLater(f"The evidence file {path} cannot be read: {error.strerror}.") from error
        self.put_evidence_bytes(sha256, data, media_type, sealed=sealed)

    def put_evidence_bytes(self, sha256: str, data: bytes, media_type: str, *, sealed: bool) -> None:
        """Upload a file's content; twice is once.

        Raises:
            TryLater, Refused: it is not there (yet).
        """
        self._send(
            "PUT",
            f"/v1/evidence/{sha256}",
            data,
            {"Content-Type": media_type},
            {"sealed": "1"} if sealed else {},
        )

    def post_report(self, body: str) -> dict[str, Any]:
        """Post a `CaseReport` as JSON and give the case; twice is one case.

        Raises:
            TryLater, Refused: there is no case (yet).
        """
        return self._post("/v1/reports", body)

    def post_ended(self, report_id: str, body: str) -> dict[str, Any]:
        """Post an `EventEnd` as JSON and give the case.

        Raises:
            TryLater, Refused: it is not noted (yet).
        """
        return self._post(f"/v1/reports/{report_id}/ended", body)

    def get_case(self, case_id: str) -> dict[str, Any]:
        """Give one case.

        Raises:
            TryLater, Refused: it cannot be had (now), or there is none.
        """
        return self._case(self._send("GET", f"/v1/cases/{case_id}", b"", {}, {}))

    def open_cases(self, source_id: str) -> list[dict[str, Any]]:
        """Give the cases of a camera whose thing has not been seen to leave, newest first, at most 200.

        Raises:
            TryLater, Refused: they cannot be had (now).
        """
        answer = self._send("GET", "/v1/cases", b"", {}, {"source_id": source_id, "limit": "200"})
        return [case for case in self._case(answer)["cases"] if case["ended_at"] is None]

    def cases_since(self, at: datetime) -> list[dict[str, Any]]:
        """Give the cases that came in at or after a time, newest first.

        Raises:
            TryLater, Refused: they cannot be had (now).
        """
        found: list[dict[str, Any]] = []
        params = {"limit": "100"}
        while True:
            page = self._case(self._send("GET", "/v1/cases", b"", {}, params))
            new = [case for case in page["cases"] if datetime.fromisoformat(case["received_at"]) >= at]
            found += new
            if len(new) < len(page["cases"]) or page["next_before"] is None:
                return found
            params["before"] = str(page["next_before"])

    def take_leases(self, owner: str, sources: Sequence[str], ttl_s: float) -> dict[str, str]:
        """Take or renew cameras, or give them up with 0 s; at most 1000 at a time.

        Returns:
            Those that another has, and who: camera id to owner.

        Raises:
            TryLater, Refused: nobody answers (now), or the API knows no leases.
        """
        body = json.dumps({"owner": owner, "ttl_s": ttl_s, "sources": list(sources)}).encode()
        answer = self._case(self._send("PUT", "/v1/leases", body, {"Content-Type": "application/json"}, {}))
        refused = answer.get("refused", ())
        return {str(lease["source_id"]): str(lease["owner"]) for lease in refused}

    def _case(self, answer: bytes) -> dict[str, Any]:
        try:
            case = json.loads(answer)
        except ValueError:
            case = None
        if not isinstance(case, dict):
            raise TryLater(f"{self.url} answered something that is no case; is it the Kerbwatch API?")
        return case

    def _post(self, path: str, body: str) -> dict[str, Any]:
        return self._case(self._send("POST", path, body.encode(), {"Content-Type": "application/json"}, {}))

    def _send(
        self, method: str, path: str, body: bytes, headers: dict[str, str], params: dict[str, str]
    ) -> bytes:
        with tracing.request(method, self.url, path) as carried:
            return self._exchange(method, path, body, {**headers, **carried}, params)

    def _exchange(
        self, method: str, path: str, body: bytes, headers: dict[str, str], params: dict[str, str]
    ) -> bytes:
        until = time.monotonic() + self._deadline_s
        answer = bytearray()
        try:
            with self._http.stream(method, path, content=body, headers=headers, params=params) as response:
                tracing.answered(response.status_code)
                for part in response.iter_bytes():
                    answer += part
                    if len(answer) > ANSWER_BYTES_MAX or time.monotonic() > until:
                        raise TryLater(f"{self.url} answers without end; the answer was cut off.")
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            raise TryLater(f"{self.url} cannot be reached: {str(error) or type(error).__name__}.") from error
        _judge(self.url, response, bytes(answer))
        return bytes(answer)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _judge(url: str, response: httpx2.Response, answer: bytes) -> None:
    """Say what a status means by raising, or return where it means done."""
    status = response.status_code
    if status in {200, 201, 204}:
        return
    problem = _problem(answer)
    sentence = f"{url} answered {status}: {problem.get('detail') or response.reason_phrase}"
    for_good = 400 <= status < 500 and status not in TRY_AGAIN
    if for_good or problem.get("type") == SENDING_AGAIN_IS_USELESS:
        raise Refused(sentence)
    missing = problem.get("missing")
    names = tuple(str(name) for name in missing) if isinstance(missing, list) else ()
    raise TryLater(sentence, _retry_after(response.headers.get("Retry-After")), names)


def _problem(answer: bytes) -> dict[str, Any]:
    try:
        problem = json.loads(answer)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _retry_after(value: str | None) -> float | None:
    """Read a Retry-After header: seconds or a date (RFC 9110, 10.2.3).

    >>> _retry_after("120"), _retry_after("soon"), _retry_after(None)
    (120.0, None, None)
    """
    if not value:
        return None
    if value.strip().isdigit():
        return min(float(value), RETRY_AFTER_MAX_S)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0.0, (at - datetime.now(UTC)).total_seconds()), RETRY_AFTER_MAX_S)
