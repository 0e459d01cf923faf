"""`kerbwatch sandbox`: a receiver that answers and calls back like a city platform."""

from __future__ import annotations

import argparse
from pathlib import Path

from api.dispatch.sandbox import SandboxSettings, create_sandbox
from api.dispatch.signature import checked_secret, new_secret
from api.serving import listen, server_of, url_of
from detector.errors import Failure, WrongUse


def sandbox(argv: list[str]) -> int:
    """Run the receiver until it is stopped."""
    args = _parser().parse_args(argv)
    if not 0.0 <= args.fail_rate <= 1.0:
        raise WrongUse(f"--fail-rate {args.fail_rate:g} has to be from 0 to 1.")
    if args.hang < 0 or args.handled_after < 0:
        raise WrongUse("--hang and --handled-after are seconds from 0 on.")
    secret = checked_secret(args.secret) if args.secret else new_secret()
    settings = SandboxSettings(
        folder=args.folder,
        secret=secret,
        callback_url=args.callback,
        handled_after_s=args.handled_after,
        fail_rate=args.fail_rate,
        hang_s=args.hang,
        garbage=args.garbage,
    )
    app = create_sandbox(settings)
    listener = listen(args.host, args.port)

    def ready() -> None:
        url = url_of(listener)
        print(f"sandbox receiver at {url}/events, what it received at {url}/received", flush=True)
        print(f"secret {secret}", flush=True)

    server = server_of(app, ready)
    server.run(sockets=[listener])
    if not server.started:
        raise Failure("the sandbox did not start; the log above says why.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kerbwatch sandbox",
        description="A receiver that answers and calls back like a city platform: for trying things out.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8790, help="0 takes a free one (default 8790)")
    parser.add_argument("--secret", default="", help="whsec_… shared with the sender (default: a fresh one)")
    parser.add_argument(
        "--folder", type=Path, default=Path("sandbox"), help="where received.jsonl is kept (default sandbox/)"
    )
    parser.add_argument(
        "--callback", default="", metavar="URL", help="tell this address that cases were handled"
    )
    parser.add_argument("--handled-after", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--fail-rate", type=float, default=0.0, help="share of requests answered 503")
    parser.add_argument("--hang", type=float, default=0.0, metavar="SECONDS", help="answer so much later")
    parser.add_argument("--garbage", action="store_true", help="answer with a page that is no receipt")
    return parser
