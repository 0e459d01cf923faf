"""The way to a Ray cluster: find it within seconds or say why not, see its nodes, keep notes in its store."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from detector.errors import Failure, WrongUse
from ingest.fleet.cores import quota_cores
from ingest.fleet.cpu import usable_cores
from ingest.fleet.ray_plan import Node

log = logging.getLogger(__name__)

NAMESPACE = "kerbwatch"
ANSWER_S = 4.0
"""A cluster that does not take a connection for so long is not there."""
IMPORT_S = 60.0
"""Ray's own import takes a second, and more on a machine that has too much to do."""
PROBE_S = 6.0
"""A cluster may then take so long to say its version."""


@contextmanager
def connected(address: str | None, cpus: float | None = None) -> Iterator[None]:
    """Be connected to a cluster; without an address, one on this machine that ends with the `with` block.

    Args:
        address: HOST:PORT of a cluster's head, or "auto": the one that runs on this machine.
        cpus: of a cluster of our own; None: the cores that this process may use.

    Raises:
        WrongUse: the address is none, or Ray is not installed.
        Failure: nobody answers, or another version does.
    """
    _needs_ray()
    if address not in {None, "auto"}:
        _check(str(address))  # before Ray is imported, which takes longer than to see that nobody is there
    import ray

    if address is None:
        os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's own 15 lets cameras starve beside anything
        how: dict[str, Any] = {"address": "local", "num_cpus": cpus or cores_here()}
    elif address == "auto":
        how = {"address": "auto"}
    else:
        how = {"address": address}
    with _signals_kept():
        try:
            ray.init(namespace=NAMESPACE, include_dashboard=False if address is None else None, **how)
        except (Exception, SystemExit) as error:
            ray.shutdown()
            raise Failure(_why(address, error)) from error
    try:
        yield
    finally:
        ray.shutdown()


def cores_here() -> int:
    """Give the cores that this process and what it starts may use, by affinity and quota, at least one.

    Ray by itself takes all that the machine has.
    """
    return max(1, int(min(float(len(usable_cores())), quota_cores() or math.inf)))


def _needs_ray() -> None:
    if find_spec("ray") is None:
        raise WrongUse("--fleet ray needs Ray, which is not installed: pip install 'kerbwatch[ray]'.")


def _check(address: str) -> None:
    """Ask who is there before Ray does, which waits for minutes."""
    host, port = host_and_port(address)
    try:
        socket.create_connection((host, port), timeout=ANSWER_S).close()
    except OSError as error:
        why = error.strerror or "no answer"
        raise Failure(
            f"no Ray cluster answers at {address} ({why.lower()}): is its head up, and is this its port? "
            "On the head: ray start --head --port 6379."
        ) from error
    versions = _versions(address)
    mine = {"ray": _ray_version(), "python": platform.python_version()}
    if versions != mine:
        raise Failure(
            f"the cluster at {address} runs Ray {versions['ray']} on Python {versions['python']}, this "
            f"machine Ray {mine['ray']} on Python {mine['python']}: install the same versions on all."
        )


def host_and_port(address: str) -> tuple[str, int]:
    """Take an address apart.

    Raises:
        WrongUse: it is none.
    """
    if address.startswith("ray://"):
        raise WrongUse(
            f"{address} is an address for Ray clients, which cannot hold cameras; make this machine a node "
            "(ray start --address HOST:6379 --num-cpus 0) and give --address HOST:6379."
        )
    try:
        parts = urlsplit(f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise WrongUse(f"{address!r} is no address of a Ray cluster; give HOST:PORT, such as 10.0.0.5:6379.")
    return host, port


def _versions(address: str) -> dict[str, str]:
    """Give the cluster's versions.

    Raises:
        Failure: what answers there is no Ray cluster.
    """
    command = [sys.executable, "-m", "ingest.fleet.ray_probe", address]
    with subprocess.Popen(  # noqa: S603 - our own interpreter, our own module
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as probe:
        _line(probe, IMPORT_S)
        answer = _line(probe, PROBE_S)
        probe.kill()
    try:
        said: dict[str, str] = json.loads(answer)
    except ValueError as error:
        raise Failure(
            f"something listens at {address}, but it does not answer as a Ray cluster: is this the port of "
            "the head (6379), not that of its dashboard or clients?"
        ) from error
    return said


def _line(probe: subprocess.Popen[str], within_s: float) -> str:
    """Read a line, or end the process that does not give one in time."""
    timer = threading.Timer(within_s, probe.kill)
    timer.start()
    try:
        return probe.stdout.readline() if probe.stdout else ""
    finally:
        timer.cancel()


def _ray_version() -> str:
    import ray

    return str(ray.__version__)


def _why(address: str | None, error: BaseException) -> str:
    where = "on this machine" if address in {None, "auto"} else f"at {address}"
    said = " ".join(str(error).split())
    if address == "auto":
        return "no Ray cluster runs on this machine: start one (ray start --head), or give its --address."
    if "node" in said and ("IP address" in said or "raylet" in said.lower()):
        return (
            f"this machine is no node of the cluster {where}: "
            f"make it one first (ray start --address {address} --num-cpus 0)."
        )
    return f"the Ray cluster {where} cannot be used: {said[:300] or type(error).__name__}."


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep our own handlers: ray.init puts one for SIGTERM in place that ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def nodes() -> list[Node]:
    """Give the cluster's nodes, dead ones too."""
    import ray

    leaving = _draining()
    return [
        Node(
            node_id=row["NodeID"],
            name=row["NodeName"],
            address=row["NodeManagerAddress"],
            cpus=float(row["Resources"].get("CPU", 0.0)),
            gpus=float(row["Resources"].get("GPU", 0.0)),
            alive=bool(row["Alive"]),
            draining=row["NodeID"] in leaving,
        )
        for row in ray.nodes()
    ]


def _draining() -> frozenset[str]:
    """Give the ids of nodes that were told to leave (`ray drain-node`, the autoscaler, a spot market)."""
    from ray._private.state import state

    try:
        return frozenset(state.get_draining_nodes())
    except AttributeError:  # not a public call: another version of Ray may not have it
        return frozenset()


def free_cpus() -> dict[str, float]:
    """Give the CPUs that nobody has reserved, by node id."""
    return _free("CPU")


def free_gpus() -> dict[str, float]:
    """Give the GPUs, and parts of one, that nobody has reserved, by node id."""
    return _free("GPU")


def _free(kind: str) -> dict[str, float]:
    from ray._private.state import available_resources_per_node

    rows = available_resources_per_node()
    return {node_id: float(row.get(kind, 0.0)) for node_id, row in rows.items()}


def check_gpu(fraction: float) -> None:
    """See that some node has a GPU.

    Raises:
        Failure: none has.
    """
    if not any(node.gpus >= fraction for node in nodes() if node.alive):
        raise Failure(
            f"each group of cameras is to have {fraction:g} of a GPU (--gpu-fraction, --device cuda), but no "
            "node of the Ray cluster has one: leave it out (the CPU is used), or add a node with a GPU."
        )


class Notes:
    """What must outlive every process of ours: kept by the cluster itself, as Ray Serve keeps its own.

    Args:
        fleet: name; notes of other fleets are not seen.
    """

    def __init__(self, fleet: str) -> None:
        self._space = f"{NAMESPACE}/{fleet}".encode()

    def put(self, name: str, value: object) -> None:
        """Keep a value under a name."""
        from ray import cloudpickle
        from ray.experimental.internal_kv import _internal_kv_put

        _internal_kv_put(name.encode(), cloudpickle.dumps(value), overwrite=True, namespace=self._space)

    def get(self, name: str) -> Any:
        """Give what is kept; None: nothing."""
        from ray import cloudpickle
        from ray.experimental.internal_kv import _internal_kv_get

        kept = _internal_kv_get(name.encode(), namespace=self._space)
        return None if kept is None else cloudpickle.loads(kept)

    def names(self) -> list[str]:
        """Give all names."""
        from ray.experimental.internal_kv import _internal_kv_list

        return sorted(name.decode() for name in _internal_kv_list(b"", namespace=self._space))

    def drop(self, name: str) -> None:
        """Forget a value."""
        from ray.experimental.internal_kv import _internal_kv_del

        _internal_kv_del(name.encode(), namespace=self._space)
