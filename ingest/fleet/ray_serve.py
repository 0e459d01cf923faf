"""`kerbwatch serve --fleet ray`: the API and the page here, the cameras on a Ray cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from detector.errors import WrongUse
from detector.registry import resolve
from ingest.deploy import Json, check_data, opened_api
from ingest.fleet.group import GroupSettings
from ingest.fleet.metrics import metrics_route
from ingest.fleet.ray_fleet import RayFleet, fleet_name
from ingest.fleet.ray_group import Terms
from ingest.fleet.ray_link import check_gpu, connected, nodes
from ingest.fleet.serve import FleetJob, read_again_on_hangup
from ingest.fleet.site_file import SiteFile
from ingest.fleet.status_server import StatusServer, create_app
from ingest.session import Job
from ingest.site import Site

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What the command line said about the cluster.

    Args:
        address: see `ray_link.connected`.
        gpu_fraction: of a GPU for each group; None: none.
        host: on which an embedded API listens.
    """

    address: str | None = None
    gpu_fraction: float | None = None
    host: str = "127.0.0.1"


def serve_on_ray(
    job: Job,
    site: Site,
    fleet: FleetJob,
    cluster: Cluster,
    show: Callable[[Json], None],
    ready: Callable[[str, str], None],
) -> None:
    """Serve the API and the page and watch every camera on a cluster until stopped.

    Args:
        job: what holds for all cameras.
        site: its cameras are watched.
        fleet: how; the number of workers does not count here.
        cluster: which.
        show: takes each case as it is made.
        ready: called once with the addresses of page and status, the latter "" where there is none.

    Raises:
        WrongUse, Failure: the cluster, the API or a model cannot be had; nothing of ours runs then.
    """
    data = check_data(job.data)
    models = tuple(sorted({job.model or camera.model for camera in site.cameras}))
    for model in models:
        log.info("%s is %s", model, resolve(model).ref)  # said before anything is started
    with ExitStack() as stack:
        stack.enter_context(connected(cluster.address))
        if cluster.gpu_fraction is not None:
            check_gpu(cluster.gpu_fraction)
        _check_reach(cluster.host, job.api.url)
        url = stack.enter_context(opened_api(job.api, data, site.timezone))
        terms = Terms(
            fleet=fleet_name(site),
            site=site.model_copy(update={"cameras": site.cameras[:1]}),
            settings=_settings(job, cluster),
            models=models,
            data=str(data),
            api_url=_as_nodes_see_it(url, cluster.host),
            token=job.api.token,
            gpus=cluster.gpu_fraction or 0.0,
        )
        followed = SiteFile(fleet.site_file, site) if fleet.site_file else None
        watched = stack.enter_context(RayFleet(terms, site.cameras, show, followed))
        read_again_on_hangup(watched)
        status_url = ""
        if fleet.status_port is not None:
            app = create_app(watched, [metrics_route(watched.spooled)])
            status_url = stack.enter_context(StatusServer(app, fleet.status_port)).url
        ready(url, status_url)
        job.stop.wait()


def _settings(job: Job, cluster: Cluster) -> GroupSettings:
    device = job.device
    if cluster.gpu_fraction is not None and device is None:
        device = "cuda"  # Ray shows each group only the GPU that it was given
    return GroupSettings(
        model=job.model, backend=job.backend, precision=job.precision, gate=job.gate, device=device
    )


def _check_reach(host: str, api: str | None) -> None:
    """See that every node can reach the API.

    Raises:
        WrongUse: it listens only on this machine, and the cluster has others.
    """
    where = urlsplit(api).hostname if api else host
    here = _own_addresses()
    others = sorted({node.address for node in nodes() if node.alive and node.address not in here})
    if others and _is_loopback(where or ""):
        raise WrongUse(
            f"the cluster has nodes on other machines ({', '.join(others[:3])}), which cannot reach an API "
            f"at {where}: listen on an address of theirs (--host 0.0.0.0), or give --api URL."
        )


def _own_addresses() -> set[str]:
    import ray

    return {"127.0.0.1", "::1", ray.util.get_node_ip_address()}


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _as_nodes_see_it(url: str, host: str) -> str:
    """Give the API's address with a name of this machine where it listens on all of them.

    An API that listens on all addresses calls itself by 127.0.0.1 or 0.0.0.0.
    """
    import ray

    if host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{ray.util.get_node_ip_address()}:{parts.port}"
