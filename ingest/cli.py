"""The verbs that watch: demo, run, serve, doctor."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from detector.errors import Failure, WrongUse
from detector.precision import CHOICES
from detector.preflight import check_words, on_gpu, preflight
from ingest.config import load_site
from ingest.deploy import ApiChoice, Json, table_of
from ingest.doctor import examine
from ingest.fleet.size import GPU_SHARE
from ingest.fleet.status import STATUS_PORT
from ingest.gate import KINDS
from ingest.session import Job, camera_for, demo_one, run_one

log = logging.getLogger(__name__)

DEMO_FOLDER = Path(__file__).resolve().parents[1] / "datasets" / "demo"
DEMO_CONFIRM = ("illegal_parking", "bin_overflow", "exposed_garbage")
"""Kinds that the demo confirms by itself; the others wait for the person at the page."""
DEFAULT_DATA = "kerbwatch-data"
DEFAULT_PORT = 8765
WORKERS_MAX = 256


def _common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", type=Path, help=f"folder of cases, evidence and outbox (default: {DEFAULT_DATA})")
    add("--model", help="name@version or name@alias (default: the camera's, street@production)")
    add("--backend", default="openvino", help="openvino (default), onnx, ultralytics, tensorrt")
    add(
        "--precision",
        choices=CHOICES,
        help="arithmetic; f32 and int8 repeat exactly, auto: the fastest here (default: the model says it, "
        "or f32; serve: auto)",
    )
    add(
        "--device",
        metavar="D",
        help="cpu, cuda or cuda:N (default: cpu; ultralytics: a GPU where there is one)",
    )
    add(
        "--gate",
        choices=tuple(KINDS),
        default="auto",
        help="which frames are analysed: every that is due; motion: those that differ; follow: those that "
        "differ in a zone, key frames alone while none does; lookback: key frames, and what lies between "
        "two that show that something came to rest or left; auto (default): lookback for live cameras, "
        "every for files",
    )
    add("--api", metavar="URL", help="send to an API elsewhere instead of one beside this process")
    add(
        "--token", default=os.environ.get("KERBWATCH_TOKEN", ""), help="its bearer token (or KERBWATCH_TOKEN)"
    )
    add(
        "--auto-confirm",
        action="append",
        default=[],
        metavar="KIND[:SCORE]",
        help="confirm reports of this kind, at or above this score, without a person; repeatable",
    )
    add("--dispatch", choices=("none", "sandbox", "webhook"), help="where confirmed cases go")
    add("--dispatch-url", metavar="URL", help="the platform's address, for --dispatch webhook")
    add("--dispatch-secret", metavar="whsec_…", help="its secret (better: KERBWATCH_DISPATCH_SECRET)")


def _api_choice(args: argparse.Namespace, dispatch: str, port: int, confirm: Iterable[str]) -> ApiChoice:
    """Say which API is meant, and refuse options that only an embedded one could follow."""
    embedded = {
        "--auto-confirm": args.auto_confirm,
        "--dispatch": args.dispatch,
        "--dispatch-url": args.dispatch_url,
    }
    if args.api:
        if given := [name for name, value in embedded.items() if value]:
            raise WrongUse(f"{given[0]} is a setting of the API: set it where {args.api} runs, not here.")
        return ApiChoice(url=args.api, token=args.token)
    options = [word for kind in confirm for word in ("--auto-confirm", kind)]
    if args.dispatch_url:
        dispatch = args.dispatch or "webhook"
        options += ["--dispatch-url", args.dispatch_url]
    if args.dispatch_secret:
        options += ["--dispatch-secret", args.dispatch_secret]
    return ApiChoice(token=args.token, port=port, options=("--dispatch", args.dispatch or dispatch, *options))


def _job(args: argparse.Namespace, api: ApiChoice, data: Path) -> Job:
    """Put together what the command line said, once it is clear that this machine can do it."""
    if getattr(args, "fleet", None) == "ray":
        # the GPUs are on other machines
        check_words(args.backend, args.device or ("cuda" if args.gpu_fraction is not None else None))
    else:
        preflight(args.backend, args.device)
    return Job(
        data=data,
        api=api,
        model=args.model,
        backend=args.backend,
        precision=args.precision,
        gate=args.gate,
        device=args.device,
    )


def run(argv: list[str]) -> int:
    """Analyse one source and print its cases."""
    parser = argparse.ArgumentParser(
        prog="kerbwatch run",
        description="Analyse one source with a site file, print a line per case, exit when it ends.",
    )
    parser.add_argument("source", metavar="SOURCE", help="video file, folder of pictures, or rtsp:// address")
    parser.add_argument(
        "--site", type=Path, required=True, help="site file (TOML): camera, zones, dwell times"
    )
    parser.add_argument("--camera", help="which camera of the site SOURCE is, where it has several")
    parser.add_argument(
        "--max-down", type=float, metavar="SECONDS", help="end after so long without the camera"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per case on stdout")
    _common(parser)
    args = parser.parse_args(argv)

    site, camera = camera_for(args.site, args.source, args.camera)
    api = _api_choice(args, "none", 0, args.auto_confirm)
    job = _job(args, api, args.data or Path(DEFAULT_DATA))
    _stop_on_signals(job.stop)
    cases = run_one(job, site, camera, args.max_down, _printer(as_json=args.json))
    if not cases and not args.json:
        print("no cases")
    return 0


def _printer(*, as_json: bool) -> Callable[[Json], None]:
    def show(case: Json) -> None:
        print(json.dumps(case, ensure_ascii=False) if as_json else table_of([case]), flush=True)

    return show


def _stop_on_signals(stop: threading.Event) -> None:
    """End cleanly on the first SIGTERM or SIGINT; the second one ends at once."""

    def ask(_signum: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)


def serve(argv: list[str]) -> int:
    """Serve the API and the page, and analyse every camera of a site."""
    parser = argparse.ArgumentParser(
        prog="kerbwatch serve",
        description="Serve the API and the page and analyse every camera of a site until stopped.",
    )
    parser.add_argument(
        "--site", type=Path, help="site file (TOML); without one only the API and the page run"
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"of API and page (default {DEFAULT_PORT})"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--json", action="store_true", help="one JSON object per case on stdout")
    _common(parser)
    _fleet_options(parser)
    args = parser.parse_args(argv)
    _check_fleet(args)

    from ingest.fleet.serve import FleetJob, serve_site
    from ingest.fleet.size import Size

    site = load_site(args.site) if args.site else None
    api = _api_choice(args, "none", args.port, args.auto_confirm)
    if not api.url:
        api = ApiChoice(token=api.token, port=api.port, options=(*api.options, "--host", args.host))
    args.precision = args.precision or "auto"
    job = _job(args, api, args.data or Path(DEFAULT_DATA))
    _stop_on_signals(job.stop)
    share = _gpu_share(args) if site is not None else None
    size = Size(args.workers, args.max_load, share if args.fleet == "local" else None)
    fleet = FleetJob(size, args.site, args.status_port)
    if args.fleet == "ray" and site is not None:
        from ingest.fleet.ray_serve import Cluster, serve_on_ray

        cluster = Cluster(args.address, share, args.host)
        serve_on_ray(job, site, fleet, cluster, _printer(as_json=args.json), _ready)
    else:
        serve_site(job, site, fleet, _printer(as_json=args.json), _ready)
    return 0


def _ready(page: str, status: str) -> None:
    _say(f"page: {page}/" + (f"\nstatus: {status}/status" if status else ""))


def _fleet_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--fleet",
        choices=("local", "ray"),
        default="local",
        help="where cameras are watched: local (default), processes of this machine; ray, a Ray cluster",
    )
    add(
        "--address",
        metavar="HOST:PORT",
        help="of a Ray cluster's head, of which this machine is a node, or auto: the one that runs here; "
        "without it, Ray is started on this machine",
    )
    add(
        "--gpu-fraction",
        type=float,
        metavar="SHARE",
        help="of a GPU, that each worker takes, or each group on a Ray cluster reserves, such as 0.25 "
        f"(default on a GPU: {GPU_SHARE:g})",
    )
    add(
        "--workers",
        type=int,
        metavar="N",
        help="worker processes (default: one per core, not more than cameras)",
    )
    add(
        "--max-load",
        type=float,
        default=0.85,
        metavar="SHARE",
        help="how much of the cores cameras may take, above 0 to 1; more are refused (default 0.85)",
    )
    add(
        "--status-port",
        type=int,
        metavar="PORT",
        help=f"of status, metrics, cameras to add; this machine only (default {STATUS_PORT}, or any; 0: any)",
    )


def _check_fleet(args: argparse.Namespace) -> None:
    if args.fleet == "ray":
        _check_ray(args)
    elif args.address:
        raise WrongUse("--address is for a Ray cluster: add --fleet ray.")
    share = args.gpu_fraction
    if share is not None and not (0.01 <= share <= 1 or (share > 1 and share == int(share))):
        raise WrongUse(f"--gpu-fraction {share:g}: give a share from 0.01 to 1, or whole GPUs.")
    if share is not None and share > 1 and args.fleet == "local":
        raise WrongUse(f"--gpu-fraction {share:g}: a worker uses one GPU; give a share from 0.01 to 1.")
    if share is not None and args.device == "cpu":
        raise WrongUse("--gpu-fraction is of a GPU, --device cpu asks for none: leave one of the two out.")
    if args.workers is not None and not 1 <= args.workers <= WORKERS_MAX:
        raise WrongUse(f"--workers {args.workers}: give a number from 1 to {WORKERS_MAX}.")
    if not 0 < args.max_load <= 1:
        raise WrongUse(f"--max-load {args.max_load:g}: give a share of the cores, above 0 and up to 1.")
    if args.status_port is not None and not 0 <= args.status_port <= 65535:
        raise WrongUse(f"--status-port {args.status_port}: give a port from 0 to 65535.")


def _check_ray(args: argparse.Namespace) -> None:
    if args.site is None:
        raise WrongUse("--fleet ray watches the cameras of a site: add --site.")
    if args.workers is not None:
        raise WrongUse("--workers is for one machine: on a cluster, groups are made as measured costs need.")
    if args.device is not None and args.device.startswith("cuda:"):
        raise WrongUse(f"--device {args.device}: on a cluster Ray says which GPU a group gets; take cuda.")
    if args.address not in {None, "auto"}:
        from ingest.fleet.ray_link import host_and_port

        host_and_port(args.address)


def _gpu_share(args: argparse.Namespace) -> float | None:
    """Give the share of a GPU that each worker or group takes; None: they compute on the CPU."""
    if args.fleet == "ray":
        wanted = args.gpu_fraction is not None or args.device == "cuda" or args.backend == "tensorrt"
    elif not (wanted := on_gpu(args.backend, args.device)) and args.gpu_fraction is not None:
        raise WrongUse(
            f"--gpu-fraction {args.gpu_fraction:g}: nothing here computes on a GPU; add --device cuda and a "
            "--backend for it, or leave it out."
        )
    return float(args.gpu_fraction or GPU_SHARE) if wanted else None


def demo(argv: list[str]) -> int:
    """Run the shipped model on the demo clip, or on the user's own video."""
    parser = argparse.ArgumentParser(
        prog="kerbwatch demo",
        description="Analyse the demo clip (or your own video), print its cases, post them to the sandbox "
        "platform, and serve the page until stopped.",
    )
    parser.add_argument("--source", help="your own video, folder or rtsp:// address (needs --site)")
    parser.add_argument("--site", type=Path, help="your own site file")
    parser.add_argument("--camera", help="which camera of the site --source is, where it has several")
    parser.add_argument("--once", action="store_true", help="exit after the clip instead of serving the page")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"of the page (default {DEFAULT_PORT}; 0: any)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per case on stdout")
    _common(parser)
    args = parser.parse_args(argv)
    if bool(args.source) != bool(args.site):
        raise WrongUse("--source and --site go together: the site file says where your video's zones are.")
    if args.api:
        raise WrongUse("the demo has its own API; kerbwatch run --api sends to another one.")

    site_file = args.site or DEMO_FOLDER / "site.toml"
    site, camera = camera_for(site_file, args.source, args.camera)
    data = args.data or Path(DEFAULT_DATA) / f"demo-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    api = _api_choice(args, "sandbox", 0 if args.once else args.port, args.auto_confirm or DEMO_CONFIRM)
    job = _job(args, api, data)
    _stop_on_signals(job.stop)
    demo_one(job, site, camera, once=args.once, show=_printer(as_json=args.json), say=_say)
    return 0


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def doctor(argv: list[str]) -> int:
    """Say what is missing on this machine, one line each."""
    parser = argparse.ArgumentParser(prog="kerbwatch doctor", description="What this machine has and lacks.")
    parser.add_argument("--model", default="street@production", help="model to look at")
    parser.add_argument("--data", type=Path, default=Path(DEFAULT_DATA), help="data folder to look at")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port to look at")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    args = parser.parse_args(argv)
    findings = examine(args.model, args.data, args.port)
    for finding in findings:
        mark = "ok" if finding.ok else "MISSING" if finding.needed else "-"
        if args.json:
            row = {"name": finding.name, "ok": finding.ok, "needed": finding.needed, "text": finding.text}
            print(json.dumps(row, ensure_ascii=False))
        else:
            print(f"{mark:<8}{finding.name:<12}{finding.text}")
    if all(finding.ok for finding in findings if finding.needed):
        return 0
    raise Failure("something that Kerbwatch needs is missing; see above.")
