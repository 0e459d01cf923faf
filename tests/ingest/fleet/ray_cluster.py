"""A real Ray cluster of several nodes on this machine, whose every process is gone afterwards."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from ingest.fleet.ray_fleet import fleet_name
from ingest.fleet.ray_group import Terms
from ingest.fleet.ray_link import NAMESPACE


class Machines:
    """A head without CPUs, as a supervisor's machine is, and nodes that come and go; `nodes`: by name."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        os.environ.update(RAY_worker_niceness="0", RAY_DEDUP_LOGS="0")  # a busy test machine is busy enough
        self.nodes = {}
        self._cluster = Cluster(initialize_head=True, head_node_args=self._args("head", 0))

    @staticmethod
    def _args(name, cpus):
        return {
            "num_cpus": cpus,
            "num_gpus": 0,
            "node_name": name,
            "include_dashboard": False,
            "object_store_memory": 100 << 20,
        }

    @property
    def address(self):
        return self._cluster.address

    def add(self, name, cpus=1):
        args = self._args(name, cpus)
        args.pop("include_dashboard")
        self.nodes[name] = self._cluster.add_node(**args)

    def kill(self, name):
        """Take a machine's power away: its Ray process by kill -9, which takes its workers with it."""
        node = self.nodes[name]
        for info in node.all_processes["raylet"]:
            info.process.kill()
            info.process.wait()

    def drain(self, name):
        """Announce that a machine leaves, as an autoscaler or a spot market does."""
        from ray._raylet import GcsClient
        from ray.core.generated import autoscaler_pb2

        reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        until_ms = int((time.time() + 600) * 1000)
        accepted, why = GcsClient(address=self.address).drain_node(
            self.nodes[name].node_id, reason, "the test wants it", until_ms
        )
        assert accepted, why

    def close(self):
        import ray

        with contextlib.suppress(Exception):
            ray.shutdown()
        self._cluster.shutdown()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def terms_of(site, settings, data: Path, api_url):
    return Terms(fleet_name(site), site, settings, (settings.model,), str(data), api_url)


def actors():
    """Give the groups that live: name -> worker."""
    import ray

    found = {}
    for name in ray.util.list_named_actors():
        if name.endswith("-supervisor"):
            continue
        with contextlib.suppress(Exception):
            told = ray.get(ray.get_actor(name, namespace=NAMESPACE).tell.remote(), timeout=10)
            found[name] = told.status.worker
    return found


def node_of(worker):
    return worker.rpartition("@")[2]
