"""A receiver that answers and calls back like a city platform; for demos and tests, never for a city.

It verifies the signature, makes one receipt per idempotency key however often it is asked, keeps what it
received in a file of JSON lines, and on request calls back with "handled". Faults can be switched on to see
what senders do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx2
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from api.dispatch.signature import SignatureError, signed, verified_id
from detector.errors import Failure

log = logging.getLogger(__name__)

MAILBOX: Final = "received.jsonl"
CALLBACK_ATTEMPTS: Final = 8
HOURS_TO_HANDLE: Final = 24


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """How the receiver behaves.

    Args:
        folder: holds the file of what was received.
        secret: `whsec_…`, shared with the sender.
        callback_url: told "handled" some seconds after acceptance; empty: nobody is told.
        fail_rate: share of requests answered 503, in [0, 1].
        hang_s: every answer comes that much later, after the case was noted, so that replies are lost.
        garbage: answers 200 with a page that is no receipt, and notes nothing, like a captive gateway.
    """

    folder: Path
    secret: str
    callback_url: str = ""
    handled_after_s: float = 30.0
    fail_rate: float = 0.0
    hang_s: float = 0.0
    garbage: bool = False
    chance: Callable[[], float] = field(default=random.random)


class Mailbox:
    """What was received, by idempotency key, in a file that survives the process.

    Raises:
        Failure: the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / MAILBOX
        self._entries: dict[str, dict[str, Any]] = {}
        self._handled: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._load()
        except OSError as error:
            raise Failure(f"the sandbox cannot write to {folder}: {error.strerror}.") from error

    def _load(self) -> None:
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        for line in text.splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # the last line of a process that was killed
                self._take(json.loads(line))
        if text and not text.endswith("\n"):
            self._append("\n")

    def _take(self, entry: dict[str, Any]) -> None:
        if entry["what"] == "received":
            self._entries[entry["key"]] = entry
        else:
            self._handled.add(entry["key"])

    def get(self, key: str) -> dict[str, Any] | None:
        """Give what was received under a key."""
        return self._entries.get(key)

    def add(self, key: str, message_id: str, event: dict[str, Any], at: datetime) -> dict[str, Any]:
        """Note a message and give it a receipt."""
        number = len(self._entries) + 1
        entry = {
            "what": "received",
            "key": key,
            "message_id": message_id,
            "receipt_id": f"SZ{at:%Y%m%d%H%M%S}{number:06d}",
            "accepted_at": at.isoformat(),
            "deadline": (at + timedelta(hours=HOURS_TO_HANDLE)).isoformat(),
            "event": event,
        }
        self._append(json.dumps(entry, ensure_ascii=False) + "\n")
        self._entries[key] = entry
        return entry

    def mark_handled(self, key: str) -> None:
        """Note that the sender was told."""
        self._append(json.dumps({"what": "handled", "key": key}) + "\n")
        self._handled.add(key)

    def _append(self, text: str) -> None:
        with self._path.open("ab") as stream:
            size = stream.tell()
            try:
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
            except OSError:
                os.truncate(self._path, size)  # no half line that the next one would be glued to
                raise

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Give everything that was received, oldest first."""
        return list(self._entries.values())

    @property
    def unhandled(self) -> list[dict[str, Any]]:
        """Give what nobody was told "handled" about."""
        return [entry for entry in self._entries.values() if entry["key"] not in self._handled]


class Sandbox:
    """One receiver: its mailbox and the callbacks under way."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        self.mailbox = Mailbox(settings.folder)
        self._tasks: set[asyncio.Task[None]] = set()

    async def receive(self, request: Request) -> Response:
        """Take one event and answer with a receipt."""
        body = await request.body()
        try:
            message_id = verified_id(self.settings.secret, dict(request.headers), body)
            event = json.loads(body)
            str(event["data"]["case_id"])
        except SignatureError as error:
            return JSONResponse({"error": str(error)}, status_code=401)
        except (ValueError, TypeError, KeyError):
            return JSONResponse({"error": "no CloudEvent with data.case_id"}, status_code=400)
        fault = self._fault()
        return fault or await self._accept(request, message_id, event)

    def _fault(self) -> Response | None:
        if self.settings.garbage:
            return PlainTextResponse("<html>Welcome to our guest network</html>", media_type="text/html")
        if self.settings.fail_rate > 0 and self.settings.chance() < self.settings.fail_rate:
            return JSONResponse({"error": "busy"}, status_code=503, headers={"retry-after": "1"})
        return None

    async def _accept(self, request: Request, message_id: str, event: dict[str, Any]) -> Response:
        key = request.headers.get("idempotency-key", "").strip('"') or message_id
        entry = self.mailbox.get(key)
        status = 200 if entry else 201
        if entry is None:
            entry = self.mailbox.add(key, message_id, event, datetime.now(UTC))
            self._call_back_later(entry, self.settings.handled_after_s)
        await asyncio.sleep(self.settings.hang_s)
        receipt = {name: entry[name] for name in ("receipt_id", "accepted_at", "deadline")}
        return JSONResponse(receipt, status_code=status)

    def resume(self) -> None:
        """Go on with the callbacks that the last process did not come to."""
        for entry in self.mailbox.unhandled:
            self._call_back_later(entry, self.settings.handled_after_s)

    def _call_back_later(self, entry: dict[str, Any], after_s: float) -> None:
        if not self.settings.callback_url:
            return
        task = asyncio.create_task(self._call_back(entry, after_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _call_back(self, entry: dict[str, Any], after_s: float) -> None:
        await asyncio.sleep(after_s)
        message = {
            "case_id": entry["event"]["data"]["case_id"],
            "receipt_id": entry["receipt_id"],
            "status": "handled",
            "at": datetime.now(UTC).isoformat(),
            "note": "sandbox",
        }
        body = json.dumps(message).encode()
        message_id = str(uuid4())
        async with httpx2.AsyncClient(timeout=10.0, trust_env=False) as client:
            for attempt in range(CALLBACK_ATTEMPTS):
                headers = signed(self.settings.secret, message_id, datetime.now(UTC), body)
                if await _told(client, self.settings.callback_url, headers, body):
                    self.mailbox.mark_handled(entry["key"])
                    return
                await asyncio.sleep(min(2.0**attempt, 30.0))

    async def close(self) -> None:
        """Stop the callbacks; those not made yet are made by the next process."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _told(client: httpx2.AsyncClient, url: str, headers: dict[str, str], body: bytes) -> bool:
    """Say whether the sender needs no further telling: it took the message, or will never take it."""
    try:
        answer = await client.post(url, content=body, headers={**headers, "content-type": "application/json"})
    except httpx2.HTTPError as error:
        log.warning("sandbox: callback failed: %s", error)
        return False
    if answer.is_error:
        log.warning("sandbox: callback answered %s: %s", answer.status_code, answer.text[:200])
    return answer.is_success or 400 <= answer.status_code < 500


def create_sandbox(settings: SandboxSettings) -> FastAPI:
    """Put the receiver together: `POST /events` takes cases, `GET /received` shows them."""
    sandbox = Sandbox(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sandbox.resume()
        yield
        await sandbox.close()

    def received() -> list[dict[str, Any]]:
        return sandbox.mailbox.entries

    app = FastAPI(title="Kerbwatch sandbox receiver", lifespan=lifespan, openapi_url=None)
    app.state.sandbox = sandbox
    app.add_api_route("/events", sandbox.receive, methods=["POST"], response_model=None)
    app.add_api_route("/received", received, methods=["GET"])
    return app
