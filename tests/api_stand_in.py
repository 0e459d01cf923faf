"""A tiny real HTTP server that takes evidence and reports, and misbehaves as told."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Answer:
    """What to do with a request instead of the right thing."""

    def __init__(
        self,
        status: int = 0,
        body: bytes = b"{}",
        headers: dict[str, str] | None = None,
        *,
        hang_s: float = 0,
        drop: str = "",
    ) -> None:
        """Answer with `status`; or wait first; or drop the connection "before" or "after" doing it."""
        self.status, self.body, self.headers, self.hang_s, self.drop = (
            status,
            body,
            headers or {},
            hang_s,
            drop,
        )


class ApiStandIn:
    """Keeps what it took: `evidence` by (sha256, sealed), `cases` by report id, `ended`; counts `made` cases.

    `behave` is asked for every request, with method, path and how many came before; None: do the right thing.
    """

    def __init__(self, behave: Callable[[str, str, int], Answer | None] | None = None, port: int = 0) -> None:
        self.behave = behave or (lambda *_: None)
        self.evidence: dict[tuple[str, bool], bytes] = {}
        self.cases: dict[str, dict[str, Any]] = {}
        self.ended: dict[str, dict[str, Any]] = {}
        self.made: Counter[str] = Counter()
        self.seen: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.at_once: Counter[str] = Counter()
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_PUT(self) -> None:
                outer.handle(self)

            def do_POST(self) -> None:
                outer.handle(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_: object) -> None:
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self.thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        path, _, query = request.path.partition("?")
        with self.lock:
            number = len(self.seen)
            self.seen.append((request.command, request.path))
            self.headers.append(dict(request.headers))
        odd = self.behave(request.command, path, number)
        if odd is not None and odd.drop == "before":
            request.close_connection = True
            return
        if odd is not None and odd.status:
            time.sleep(odd.hang_s)
            self.answer(request, odd.status, odd.body, odd.headers)
            return
        status, reply = self.take(request.command, path, "sealed=1" in query, body)
        if odd is not None:
            time.sleep(odd.hang_s)
            if odd.drop == "after":
                request.close_connection = True
                return
        self.answer(request, status, json.dumps(reply).encode(), {})

    def take(self, method: str, path: str, sealed: bool, body: bytes) -> tuple[int, dict[str, Any]]:
        """Do the right thing."""
        with self.lock:
            if method == "PUT":
                sha256 = path.rsplit("/", 1)[1]
                if hashlib.sha256(body).hexdigest() != sha256:
                    return 422, {"detail": "the bytes do not have the announced sha256"}
                new = (sha256, sealed) not in self.evidence
                self.evidence[sha256, sealed] = body
                return (201 if new else 200), {}
            report = json.loads(body)
            report_id = report["report_id"]
            missing = [
                e["sha256"] for e in report["evidence"] if (e["sha256"], e["sealed"]) not in self.evidence
            ]
            if missing:
                return 409, {"type": "urn:kerbwatch:problem:missing-evidence", "missing": missing}
            if path.endswith("/ended"):
                if report_id not in self.cases:
                    return 404, {"detail": "no such report"}
                self.ended[report_id] = report
                return 200, self.cases[report_id]
            if report_id in self.cases:
                return 200, self.cases[report_id]
            self.made[report_id] += 1
            self.cases[report_id] = {"case_id": f"case-{len(self.cases)}", "kind": report["kind"]}
            return 201, self.cases[report_id]

    @staticmethod
    def answer(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)
