"""A cluster that is not there, is something else, or cannot do what is asked: one sentence, soon."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from detector.errors import Failure, WrongUse
from ingest.fleet import ray_link
from ingest.fleet.ray_link import connected

SOON_S = 60
"""The bound on a machine that does ten other things; on a quiet one it is ten seconds."""


def sentence(kind, address):
    began = time.monotonic()
    with pytest.raises(kind) as caught, connected(address):
        raise AssertionError("there is no such cluster")
    assert time.monotonic() - began < SOON_S
    return str(caught.value)


@pytest.fixture
def silent():
    """Give the address of something that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept = []
        threading.Thread(target=_accept, args=(server, kept), daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        for connection in kept:
            connection.close()


def _accept(server, kept):
    try:
        while True:
            kept.append(server.accept()[0])
    except OSError:
        return


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(ray_link, "find_spec", lambda _: None)
    assert "pip install 'kerbwatch[ray]'" in sentence(WrongUse, "10.0.0.5:6379")


@pytest.mark.parametrize("address", ["6379", "head", "head:", "head:port", "head:99999", ""])
def test_what_is_no_address_is_said_before_anybody_is_asked(address):
    pytest.importorskip("ray", reason="Ray is not installed (extra [ray])")
    assert "give HOST:PORT" in sentence(WrongUse, address)


@pytest.mark.parametrize(
    ("cores", "quota", "found"), [([0, 1, 5], None, 3), ([0, 1, 5], 1.5, 1), ([4], 8.0, 1), ([4], 0.5, 1)]
)
def test_a_cluster_of_our_own_has_the_cores_that_this_process_may_use(monkeypatch, cores, quota, found):
    pytest.importorskip("ray", reason="Ray is not installed (extra [ray])")
    monkeypatch.setattr(ray_link, "usable_cores", lambda: cores)
    monkeypatch.setattr(ray_link, "quota_cores", lambda: quota)
    asked = {}
    monkeypatch.setattr("ray.init", lambda **how: asked.update(how))
    monkeypatch.setattr("ray.shutdown", lambda: None)
    with connected(None):
        assert asked["num_cpus"] == found
    with connected(None, 4):
        assert asked["num_cpus"] == 4


def test_a_client_address_is_refused_with_what_to_do():
    pytest.importorskip("ray", reason="Ray is not installed (extra [ray])")
    assert "ray start --address HOST:6379 --num-cpus 0" in sentence(WrongUse, "ray://head:10001")


def test_nobody_at_the_address():
    pytest.importorskip("ray", reason="Ray is not installed (extra [ray])")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    told = sentence(Failure, address)
    assert told.startswith(f"no Ray cluster answers at {address} (connection refused)")


def test_something_else_at_the_address(silent):
    pytest.importorskip("ray", reason="Ray is not installed (extra [ray])")
    assert "does not answer as a Ray cluster" in sentence(Failure, silent)
