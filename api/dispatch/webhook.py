"""Webhook: a signed CloudEvent by POST; the answer is the platform's receipt."""

from __future__ import annotations

import asyncio
import email.utils
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import httpx2
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from api.dispatch import DeliveryError, RefusedError, Target
from api.dispatch.cloudevent import MEDIA_TYPE, envelope
from api.dispatch.signature import checked_secret, signed
from api.types import DispatchJob, Receipt
from detector.errors import WrongUse

ANSWER_BYTES_MAX: Final = 64 * 1024
RETRY_STATUSES: Final = frozenset({408, 409, 421, 425, 429})
"""Below 500, yet no refusal: too slow, still at it (409), misdirected, too early, too many."""


class Answer(BaseModel):
    """What a platform has to answer at least; further keys are its own."""

    model_config = ConfigDict(extra="ignore")

    receipt_id: str = Field(min_length=1, max_length=200)
    accepted_at: AwareDatetime | None = None
    deadline: AwareDatetime | None = None


class WebhookDispatcher:
    """Send by HTTP POST.

    Raises:
        WrongUse: the address is no http(s) URL, or the secret is none.
    """

    def __init__(self, target: Target) -> None:
        _check_url(target.url)
        self._secret = checked_secret(target.secret)
        self._target = target
        self._client = httpx2.AsyncClient(timeout=target.timeout_s, trust_env=not target.local)

    async def send(self, job: DispatchJob) -> Receipt:
        """Send once; the whole attempt is bounded in time, however slowly the target answers."""
        try:
            async with asyncio.timeout(self._target.timeout_s):
                status, headers, body = await self._post(job)
        except TimeoutError as error:
            raise DeliveryError(f"no answer within {self._target.timeout_s:g} s") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise DeliveryError(f"{type(error).__name__}: {error}"[:500]) from error
        _raise_for(status, headers, body)
        return _receipt(body)

    async def _post(self, job: DispatchJob) -> tuple[int, httpx2.Headers, bytes]:
        content = envelope(job, self._target.source, self._target.public_url)
        headers = {
            "content-type": MEDIA_TYPE,
            "accept": "application/json",
            "idempotency-key": f'"{job.dispatch.idempotency_key}"',
            **signed(self._secret, str(job.dispatch.dispatch_id), datetime.now(UTC), content),
        }
        body = b""
        async with self._client.stream("POST", self._target.url, content=content, headers=headers) as answer:
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    raise DeliveryError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
            return answer.status_code, answer.headers, body

    async def close(self) -> None:
        """Close connections."""
        await self._client.aclose()


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise WrongUse(f"{url!r} is no http or https address to dispatch to.")


def _raise_for(status: int, headers: httpx2.Headers, body: bytes) -> None:
    if 200 <= status < 300:
        return
    said = " ".join(body[:300].decode("utf-8", "replace").split())
    reason = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    if status in RETRY_STATUSES or status >= 500:
        raise DeliveryError(
            reason, retry_after_s=retry_after_s(headers.get("retry-after", ""), datetime.now(UTC))
        )
    raise RefusedError(reason)


def _receipt(body: bytes) -> Receipt:
    try:
        answer = Answer.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        said = body[:120].decode("utf-8", "replace")
        raise DeliveryError(
            f"the answer is no receipt ({where or 'body'}: {fault['msg']}): {said!r}"
        ) from error
    return Receipt(**answer.model_dump())


def retry_after_s(value: str, now: datetime) -> float | None:
    """Give the seconds that a Retry-After header asks for, None where it says nothing of use.

    >>> retry_after_s("120", datetime.now(UTC))
    120.0
    >>> retry_after_s("Mon, 23 Nov 2026 09:00:10 GMT", datetime(2026, 11, 23, 9, 0, 0, tzinfo=UTC))
    10.0
    >>> retry_after_s("soon", datetime.now(UTC)) is None
    True

    Source: RFC 9110, 10.2.3.
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
