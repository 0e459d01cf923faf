"""`python -m api.server`: the API, the page and the dispatcher in one process.

Prints one line of JSON, `{"url": …}`, when it accepts requests, and nothing else on stdout. Every option can
be given as an environment variable too (`KERBWATCH_` and its name in capitals); secrets are better given that
way, because command lines can be read by others.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import select
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from fastapi import FastAPI

from api.app import Parts, create_app
from api.dispatch import Dispatcher, Target, open_dispatcher
from api.dispatch.sandbox import SandboxSettings, create_sandbox
from api.dispatch.signature import checked_secret, new_secret
from api.evidence import open_evidence
from api.services import Services
from api.serving import listen, server_of, url_of
from api.settings import Retry, parse_auto_confirm
from api.store import open_store
from api.tracing import SERVICE
from detector.errors import Failure, WrongUse

log = logging.getLogger(__name__)

PARENT_POLL_S: Final = 1.0
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What the command line and the environment said."""

    data: Path
    host: str
    port: int
    store: str
    dispatch: str
    dispatch_url: str
    dispatch_secret: str
    dispatch_timeout_s: float
    auto_confirm: tuple[str, ...]
    token: str
    public_url: str
    desk: bool
    handled_after_s: float
    exit_with_parent: bool


def settings_of(argv: Sequence[str], environment: Mapping[str, str]) -> ServerSettings:
    """Read options; the command line wins over the environment.

    Raises:
        WrongUse: options that do not go together.
    """
    args = _parser(environment).parse_args(argv)
    words = args.auto_confirm or environment.get("KERBWATCH_AUTO_CONFIRM", "").replace(",", " ").split()
    settings = ServerSettings(
        data=args.data,
        host=args.host,
        port=args.port,
        store=args.store or f"sqlite:///{(args.data / 'kerbwatch.db').absolute()}",
        dispatch=args.dispatch,
        dispatch_url=args.dispatch_url,
        dispatch_secret=args.dispatch_secret,
        dispatch_timeout_s=args.dispatch_timeout,
        auto_confirm=tuple(words),
        token=args.token,
        public_url=args.public_url,
        desk=not args.no_desk,
        handled_after_s=args.sandbox_handled_after,
        exit_with_parent=args.exit_with_parent,
    )
    _check(settings)
    return settings


def _check(settings: ServerSettings) -> None:
    if settings.dispatch == "webhook" and not (settings.dispatch_url and settings.dispatch_secret):
        raise WrongUse("--dispatch webhook needs --dispatch-url and --dispatch-secret.")
    if settings.dispatch != "webhook" and settings.dispatch_url:
        raise WrongUse("--dispatch-url is for --dispatch webhook.")
    if settings.dispatch not in {"none", "sandbox", "webhook"}:
        raise WrongUse(f"there is no dispatch {settings.dispatch!r}: none, sandbox and webhook are.")
    if "?" in str(settings.data):
        raise WrongUse(f"--data {settings.data}: the name of the data folder must not hold a question mark.")
    if settings.dispatch_secret:
        checked_secret(settings.dispatch_secret)
    if not settings.dispatch_timeout_s > 0:
        raise WrongUse("--dispatch-timeout has to be more than 0 seconds.")


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    def said(name: str, default: str = "") -> str:
        return environment.get(f"KERBWATCH_{name}", default)

    parser = argparse.ArgumentParser(
        prog="python -m api.server", description="The API, the page and the dispatcher."
    )
    add = parser.add_argument
    add("--data", type=Path, default=Path(said("DATA", "data")), help="database, evidence, sandbox mail box")
    add("--host", default=said("HOST", "127.0.0.1"))
    add("--port", type=int, default=said("PORT", "8765"), help="0 takes a free one")
    add("--store", default=said("STORE"), metavar="URL", help="SQLAlchemy URL (default: SQLite under --data)")
    add("--dispatch", default=said("DISPATCH", "none"), help="none, sandbox (built in) or webhook")
    add("--dispatch-url", default=said("DISPATCH_URL"), metavar="URL")
    add("--dispatch-secret", default=said("DISPATCH_SECRET"), metavar="whsec_…")
    add("--dispatch-timeout", type=float, default=said("DISPATCH_TIMEOUT", "10"), metavar="SECONDS")
    add(
        "--auto-confirm", action="append", metavar="KIND[:SCORE]", help="confirm without a person; repeatable"
    )
    add("--token", default=said("TOKEN"), help="bearer token asked from everyone but the platform")
    add("--public-url", default=said("PUBLIC_URL"), metavar="URL", help="this server as platforms see it")
    add("--no-desk", action="store_true", default=said("NO_DESK") == "1", help="do not serve the page")
    add("--sandbox-handled-after", type=float, default=said("SANDBOX_HANDLED_AFTER", "30"), metavar="SECONDS")
    add("--exit-with-parent", action="store_true", help="end when stdin closes or the parent process dies")
    return parser


def build(settings: ServerSettings, own_url: str) -> FastAPI:
    """Open store, evidence and dispatcher, and put the app together.

    Raises:
        WrongUse, Failure: one sentence about what is wrong.
    """
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"the data folder {settings.data} cannot be made: {error.strerror}.") from error
    rules = parse_auto_confirm(settings.auto_confirm)
    services = Services(
        store=open_store(settings.store),
        evidence=open_evidence("folder", str(settings.data / "evidence")),
        auto_confirm=rules,
        retry=Retry(lease_s=2.0 * settings.dispatch_timeout_s + 5.0),
    )
    secret = settings.dispatch_secret or (new_secret() if settings.dispatch == "sandbox" else "")
    return create_app(
        Parts(
            services=services,
            dispatcher=_dispatcher(settings, own_url, secret),
            callback_secret=secret,
            token=settings.token,
            desk=settings.desk,
            mounts=_mounts(settings, own_url, secret),
        )
    )


def _dispatcher(settings: ServerSettings, own_url: str, secret: str) -> Dispatcher | None:
    if settings.dispatch == "none":
        return None
    is_sandbox = settings.dispatch == "sandbox"
    target = Target(
        url=f"{own_url}/sandbox/events" if is_sandbox else settings.dispatch_url,
        secret=secret,
        public_url=settings.public_url or own_url,
        timeout_s=settings.dispatch_timeout_s,
        local=is_sandbox,
    )
    return open_dispatcher(settings.dispatch, target)


def _mounts(settings: ServerSettings, own_url: str, secret: str) -> dict[str, FastAPI]:
    if settings.dispatch != "sandbox":
        return {}
    receiver = SandboxSettings(
        folder=settings.data / "sandbox",
        secret=secret,
        callback_url=f"{own_url}/v1/dispatch/callbacks",
        handled_after_s=settings.handled_after_s,
    )
    return {"/sandbox": create_sandbox(receiver)}


def serve(settings: ServerSettings) -> int:
    """Serve until told to end. Raises: Failure."""
    listener = listen(settings.host, settings.port)
    app = build(settings, url_of(listener))
    if settings.host not in LOOPBACK and not settings.token:
        log.warning(
            "everyone who reaches %s:%s may read and decide: set KERBWATCH_TOKEN",
            settings.host,
            _port(listener),
        )
    server = server_of(app, lambda: _announce(listener))
    if settings.exit_with_parent:
        _end_with_parent(server)
    server.run(sockets=[listener])
    if not server.started:
        raise Failure("the API did not start; the log above says why.")
    return 0


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _announce(listener: socket.socket) -> None:
    sys.stdout.write(json.dumps({"url": url_of(listener)}) + "\n")
    sys.stdout.flush()


def _end_with_parent(server: uvicorn.Server) -> None:
    """End when stdin closes, or when the parent is gone though something else holds our stdin open.

    Not by PR_SET_PDEATHSIG: that signal comes with the end of the thread that started us, not of the process.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            said, _, _ = select.select([0], [], [], PARENT_POLL_S)
            if said and not os.read(0, 4096):  # not sys.stdin: its lock would abort the interpreter's end
                break
        server.should_exit = True

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server; give the exit code."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    for name in ("httpx2", "httpcore2", "alembic", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
    os.environ.setdefault("OTEL_SERVICE_NAME", SERVICE)  # the SDK reads it there
    try:
        return serve(settings_of(sys.argv[1:] if argv is None else argv, os.environ))
    except Failure as failure:
        sys.stderr.write(f"{failure}\n")
        return failure.exit_code


if __name__ == "__main__":
    sys.exit(main())
