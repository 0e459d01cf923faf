"""Only one process supervises a fleet on a cluster: Ray lets no two actors have one name."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import Any

from detector.errors import Failure
from ingest.fleet.ray_link import NAMESPACE

FREE_S = 20.0
"""A dead supervisor's name may take so long to be free again."""


class Supervisorship:
    """The actor that holds the name; it belongs to the supervisor's process and ends with it."""

    def __init__(self, who: str) -> None:
        self._who = who

    def who(self) -> str:
        """Give who supervises."""
        return self._who


def supervise(fleet: str, site: str) -> Any:
    """Become the only supervisor of a fleet, for as long as what this gives is kept.

    Args:
        fleet: its name.
        site: for the sentence.

    Raises:
        Failure: another process is.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    me = f"{socket.gethostname()}:{os.getpid()}"
    name = f"{fleet}-supervisor"
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    actor = ray.remote(Supervisorship).options(
        name=name, namespace=NAMESPACE, num_cpus=0, max_restarts=-1, scheduling_strategy=here
    )
    until = time.monotonic() + FREE_S
    while True:
        try:
            return actor.remote(me)
        except ValueError as error:
            if time.monotonic() > until:
                raise Failure(
                    f"{_asked(name)} supervises the cameras of '{site}' on this cluster already; stop it "
                    "first, or give the site another name."
                ) from error
        time.sleep(1.0)


def _asked(name: str) -> str:
    """Ask who supervises; "another process" where nobody says."""
    import ray
    from ray.exceptions import RayError

    with contextlib.suppress(RayError, ValueError):
        return str(ray.get(ray.get_actor(name, namespace=NAMESPACE).who.remote(), timeout=5))
    return "another process"
