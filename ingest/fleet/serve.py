"""`kerbwatch serve`: the API and the page, and every camera of a site in worker processes of this machine."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

from detector.errors import Failure
from detector.registry import resolve
from ingest.deploy import Json, check_data, opened_api, with_paths
from ingest.fleet.claims import Claims, LockFiles, me
from ingest.fleet.group import GroupSettings
from ingest.fleet.metrics import metrics_route
from ingest.fleet.orders import Open
from ingest.fleet.site_file import SiteFile
from ingest.fleet.size import Size
from ingest.fleet.status import STATUS_PORT
from ingest.fleet.status_server import StatusServer, create_app
from ingest.fleet.supervisor import Supervisor
from ingest.session import Job
from ingest.site import Site
from ingest.uplink import Uplink

log = logging.getLogger(__name__)


class ReadsAgain(Protocol):
    """Reads its site file again when told."""

    def read_site_again(self) -> None:
        """Read it at once."""
        ...


@dataclass(frozen=True, slots=True)
class FleetJob:
    """What the command line said about the fleet.

    Args:
        size: how many workers, how full.
        site_file: followed while it runs; None: no cameras of a file.
        status_port: of the supervisor's own HTTP; 0: any. None: `STATUS_PORT`, or any if that is taken.
    """

    size: Size
    site_file: Path | None = None
    status_port: int | None = None


def serve_site(
    job: Job,
    site: Site | None,
    fleet: FleetJob,
    show: Callable[[Json], None],
    ready: Callable[[str, str], None],
) -> None:
    """Serve the API and the page and watch every camera until stopped.

    Args:
        job: what holds for all cameras.
        site: its cameras are watched; None: only the API and the page run.
        fleet: how.
        show: takes each case as it is made.
        ready: called once with the addresses of page and status, the latter "" where there is no site.

    Raises:
        WrongUse, Failure: the API or a model cannot be opened, or a port is in use.
    """
    data = check_data(job.data)
    own = None if job.api.url else data
    for model in sorted({job.model or camera.model for camera in (site.cameras if site else ())}):
        log.info("%s is %s", model, resolve(model).ref)  # said before anything is started
    with ExitStack() as stack:
        url = stack.enter_context(opened_api(job.api, data, site.timezone if site else None))
        uplink = stack.enter_context(
            Uplink(data, url, job.api.token, lambda case: show(with_paths(case, own)))
        )
        status_url = ""
        if site is not None:
            supervisor = stack.enter_context(_supervisor(job, site, fleet, data, url, uplink, stack))
            read_again_on_hangup(supervisor)
            status_url = _status(fleet, supervisor, uplink, stack)
        ready(url, status_url)
        job.stop.wait()


def _supervisor(
    job: Job, site: Site, fleet: FleetJob, data: Path, url: str, uplink: Uplink, stack: ExitStack
) -> Supervisor:
    settings = GroupSettings(
        model=job.model,
        backend=job.backend,
        precision=job.precision,
        gate=job.gate,
        sends=False,
        device=job.device,
    )
    order = Open(site, settings, data, url, job.api.token, log_level=logging.getLogger().getEffectiveLevel())
    claims = stack.enter_context(Claims(LockFiles(data / "claims", me()), uplink.client))
    followed = SiteFile(fleet.site_file, site) if fleet.site_file else None
    return Supervisor(order, fleet.size, claims, followed)


def _status(fleet: FleetJob, supervisor: Supervisor, uplink: Uplink, stack: ExitStack) -> str:
    app = create_app(supervisor, [metrics_route(uplink.outbox.count)])
    port = STATUS_PORT if fleet.status_port is None else fleet.status_port
    try:
        return stack.enter_context(StatusServer(app, port)).url
    except Failure as failure:
        if fleet.status_port is not None:
            raise
        log.warning("%s It listens on another one.", failure)
        return stack.enter_context(StatusServer(app, 0)).url


def read_again_on_hangup(fleet: ReadsAgain) -> None:
    """Read the site file again on SIGHUP, as daemons do."""

    def ask(_signum: int, _frame: FrameType | None) -> None:
        fleet.read_site_again()

    try:
        signal.signal(signal.SIGHUP, ask)
    except ValueError as error:  # not the main thread: somebody uses this as a library
        log.debug("SIGHUP is not listened to: %s", error)
