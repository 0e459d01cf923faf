"""Fair shares of a cluster's nodes: who shares a node shares its shortage, and nobody else does."""

from __future__ import annotations

from ingest.fleet.fair import Demand
from ingest.fleet.ray_plan import Group, Node
from ingest.fleet.ray_shares import USABLE, Shares

NODES = [Node("n1", "one", "10.0.0.1", 1.0), Node("n2", "two", "10.0.0.2", 1.0)]
GROUPS = [
    (Group("full", 1.0, "n1", ("a", "b")), "life-1"),
    (Group("also", 1.0, "n1", ("c",)), "life-2"),
    (Group("other", 1.0, "n2", ("d",)), "life-3"),
    (Group("unplaced", 1.0, None, ("e",)), "life-4"),
]
DEMANDS = {name: Demand(5.0, 1.0, fixed=0.05, per_frame=0.1) for name in "abcde"}


def test_a_full_nodes_cameras_get_the_same_lower_rate_in_all_its_groups_and_no_other_does():
    changed = Shares().decide(NODES, GROUPS, DEMANDS, 0.0)
    assert changed.keys() == {"full", "also"}
    rates = [fps for news in changed.values() for fps in news.values()]
    assert len(rates) == 3
    assert len({round(fps, 6) for fps in rates}) == 1
    assert abs(sum(DEMANDS["a"].cost(fps) for fps in rates) - USABLE) < 1e-6


def test_what_was_said_is_not_said_again_but_to_a_group_that_was_started_again():
    shares = Shares()
    first = shares.decide(NODES, GROUPS, DEMANDS, 0.0)
    assert shares.decide(NODES, GROUPS, DEMANDS, 3.0) == {}
    again = [(group, f"{life}-again" if group.name == "full" else life) for group, life in GROUPS]
    assert shares.decide(NODES, again, DEMANDS, 6.0) == {"full": first["full"]}


def test_rates_rise_again_once_there_has_been_room_for_a_while():
    shares = Shares()
    shares.decide(NODES, GROUPS, DEMANDS, 0.0)
    fewer = [GROUPS[0], *GROUPS[2:]]
    one = {name: DEMANDS[name] for name in "ad"}
    assert shares.decide(NODES, fewer, one, 3.0) == {}
    assert shares.decide(NODES, fewer, one, 30.0)["full"]["a"] == 5.0


def test_a_camera_that_is_not_measured_keeps_the_rate_it_wants():
    changed = Shares().decide(NODES, GROUPS, {name: DEMANDS[name] for name in "ab"}, 0.0)
    assert set(changed.get("full", {})) <= {"a", "b"}
    assert "also" not in changed
