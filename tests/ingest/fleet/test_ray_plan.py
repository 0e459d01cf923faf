"""Which cameras share a group, and what is moved next: pure, by properties and by the cases that matter."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.fleet.cost import Books
from ingest.fleet.ray_placing import Placing
from ingest.fleet.ray_plan import (
    GAIN_MIN,
    GROUP_CAMERAS,
    GROUP_CPUS,
    HEADROOM,
    Group,
    Node,
    group_for,
    load_of,
    new_groups,
    next_move,
    reservation,
    share_out,
)
from tests.ingest.fleet.sites import camera
from tests.ingest.fleet.test_cost import CAMERA, Street, key_frames_first

COSTS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=4), st.floats(0.001, 3.0), max_size=40)


def node(name, cpus=4.0, **more):
    return Node(f"id-{name}", name, "10.0.0.1", cpus, **more)


def group(name, cpus, where, *cameras):
    return Group(name, cpus, f"id-{where}" if where else None, cameras)


def everybody(*groups):
    return frozenset(camera for one in groups for camera in one.cameras)


@given(COSTS, st.integers(0, 5))
def test_every_camera_is_in_one_group(costs, nodes):
    groups = share_out(costs, nodes)
    assert sorted(name for names in groups for name in names) == sorted(costs)
    assert all(0 < len(names) <= GROUP_CAMERAS for names in groups)


@given(COSTS, st.integers(1, 5))
def test_groups_are_even(costs, nodes):
    """No group is fuller than the mean by more than its dearest camera: Graham's bound."""
    groups = share_out(costs, nodes)
    for names in groups:
        mean = sum(costs.values()) / len(groups)
        assert sum(costs[name] for name in names) <= mean + max(costs[name] for name in names) + 1e-9


def test_cameras_are_spread_over_all_nodes_and_over_as_many_groups_as_they_need():
    assert len(share_out(dict.fromkeys("abcd", 0.1), nodes=3)) == 3
    assert len(share_out(dict.fromkeys("ab", 0.1), nodes=3)) == 2
    many = {f"cam-{n}": 0.2 for n in range(100)}
    assert len(share_out(many, nodes=2)) == 20 / GROUP_CPUS
    assert len(share_out({f"cam-{n}": 0.001 for n in range(200)}, nodes=1)) == 4


@given(COSTS, st.lists(st.floats(0, 4.0), max_size=4), st.floats(0, 4))
def test_new_groups_reserve_no_more_than_there_is(costs, room, pending):
    groups = new_groups(costs, room, pending)
    taken = sum(costs[name] for names in groups for name in names)
    assert taken <= max(0.0, sum(room) - pending) + 1e-9
    assert all(reservation(costs[name]) <= max(room) for names in groups for name in names)


def test_ten_thousand_cameras_make_only_the_groups_that_fit():
    groups = new_groups({f"cam-{n}": 0.16 for n in range(10_000)}, [8.0, 8.0], 0.0)
    names = [name for one in groups for name in one]
    assert len(names) == int(16 / (0.16 * HEADROOM))
    assert set(names) == {f"cam-{n}" for n in range(len(names))}, "first come, first served"


@given(st.floats(0, 50))
def test_a_reservation_holds_its_load_and_is_exact_in_rays_four_decimals(load):
    cpus = reservation(load)
    assert cpus >= load
    assert round(cpus * 10_000) == cpus * 10_000


def test_one_more_camera_goes_where_there_is_most_room_or_nowhere():
    costs = {"a": 0.5, "b": 0.1}
    groups = [group("one", 0.6, "x", "a"), group("two", 0.6, "y", "b"), group("three", 2.0, None)]
    assert group_for(0.3, groups, costs) == "two", "a group that has no place yet takes nobody"
    assert group_for(2.0, groups, costs) is None


def test_a_node_that_leaves_comes_first():
    costs = {"a": 0.5, "b": 5.0}
    groups = [group("grown", 1.0, "x", "b"), group("leaving", 0.6, "y", "a")]
    move = next_move([node("x"), node("y", draining=True)], groups, costs, everybody(*groups))
    assert (move.source, move.cameras, move.node_id) == ("leaving", ("a",), None)
    assert move.cpus == reservation(0.5)


def test_a_group_that_outgrew_its_reservation_gives_away_what_is_too_much():
    costs = dict.fromkeys("abcd", 0.5)
    grown = group("grown", 1.2, "x", *"abcd")
    move = next_move([node("x")], [grown], costs, everybody(grown))
    assert 0 < len(move.cameras) < 4
    assert load_of(Group("", 0, "", tuple(set("abcd") - set(move.cameras))), costs) <= 1.2
    assert next_move([node("x")], [grown], costs, frozenset("abc")) is None, "not before all are measured"
    alone = group("alone", 0.2, "x", "a")
    assert next_move([node("x")], [alone], costs, everybody(alone)).cameras == ("a",)


def test_a_group_that_reserves_far_too_much_is_made_anew_and_a_small_misfit_is_left_alone():
    costs = {"a": 0.1, "b": 0.9}
    large, right = group("large", 1.0, "x", "a"), group("right", 1.1, "x", "b")
    move = next_move([node("x")], [large, right], costs, everybody(large, right))
    assert (move.source, move.cpus) == ("large", reservation(0.1))
    assert next_move([node("x")], [right], costs, everybody(right)) is None


def test_a_node_that_joined_takes_load_until_it_no_longer_pays():
    costs = {f"cam-{n}": 0.5 for n in range(8)}
    names = tuple(costs)
    groups = [group("one", 2.3, "x", *names[:4]), group("two", 2.3, "x", *names[4:])]
    nodes = [node("x", 5.0), node("new", 5.0)]
    move = next_move(nodes, groups, costs, everybody(*groups))
    assert (move.cameras, move.node_id) == (names[:4], "id-new") or move.cameras == names[4:]
    moved = [groups[0], group("three", 2.3, "new", *names[4:])]
    assert next_move(nodes, moved, costs, everybody(*moved)) is None


def test_one_large_group_is_divided_for_a_node_that_joined():
    costs = {f"cam-{n}": 0.4 for n in range(5)}
    one = group("one", 2.3, "x", *costs)
    move = next_move([node("x", 3.0), node("new", 3.0)], [one], costs, everybody(one))
    assert len(move.cameras) == 2
    assert move.node_id == "id-new"


def test_dead_draining_and_empty_nodes_take_nothing():
    costs = {f"cam-{n}": 0.4 for n in range(5)}
    one = group("one", 2.3, "x", *costs)
    others = [node("dead", alive=False), node("gone", draining=True), node("head", cpus=0.0)]
    assert next_move([node("x", 3.0), *others], [one], costs, everybody(one)) is None


@given(COSTS, st.integers(1, 4), st.integers(0, 3))
def test_moves_for_balance_come_to_an_end(costs, nodes, joined):
    """Every move lowers the fuller of two nodes, so that cameras are not carried to and fro."""
    machines = [node(str(n), 8.0) for n in range(nodes + joined)]
    groups = [
        group(f"g{n}", reservation(sum(costs[name] for name in names)), str(n % nodes), *names)
        for n, names in enumerate(share_out(costs, nodes))
    ]
    for step in range(200):
        move = next_move(machines, groups, costs, frozenset(costs))
        if move is None:
            break
        source = next(one for one in groups if one.name == move.source)
        rest = tuple(name for name in source.cameras if name not in move.cameras)
        groups.remove(source)
        if rest:
            groups.append(Group(source.name, source.cpus, source.node_id, rest))
        groups.append(Group(f"m{step}", move.cpus, move.node_id or source.node_id, move.cameras))
    else:
        raise AssertionError("it never rests")
    assert sorted(name for one in groups for name in one.cameras) == sorted(costs)
    assert GAIN_MIN > 0


def test_a_group_is_planned_by_what_its_cameras_take_and_not_by_what_they_could():
    """Two cameras are promised 5 frames a second, of which the gate lets through 0.725."""
    books = Books()
    cameras = [replace(CAMERA, camera_id=name) for name in ("one", "two")]
    Street(books, cameras).run(60, own=0.06, per_frame=0.02, looks=key_frames_first(0.05))
    wanted = {name: camera(name, "rtsp://127.0.0.1:9/1", fps=5.0) for name in ("one", "two", "new")}
    costs = Placing(None, None, wanted, {}, books).costs()
    assert costs == pytest.approx(dict.fromkeys(wanted, 0.06 + 0.02 * 0.725))
