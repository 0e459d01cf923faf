from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point, Polygon

from detector.types import Detections
from ingest.types import ZoneKind
from ingest.zones import Zone, crossing_edges, privacy_polygons, without_ignored

FRACTION = st.floats(0, 1)


def zone(kind=ZoneKind.NO_PARKING, polygon=((0.1, 0.5), (0.6, 0.5), (0.6, 0.9), (0.1, 0.9))):
    return Zone("z", kind, polygon, 60, frozenset())


@given(FRACTION, FRACTION)
def test_a_rectangle_contains_what_lies_between_its_sides(x, y):
    assert zone().contains((x, y)) == (0.1 <= x <= 0.6 and 0.5 <= y <= 0.9)


@given(st.lists(st.tuples(FRACTION, FRACTION), min_size=3, max_size=7, unique=True), FRACTION, FRACTION)
def test_crossing_edges_agree_with_shapely(corners, x, y):
    simple = Polygon(corners).is_valid and Polygon(corners).exterior.is_simple
    if crossing_edges(tuple(corners)) is None:
        assert simple
        polygon = zone(polygon=tuple(corners))
        assert polygon.contains((x, y)) == Polygon(corners).intersects(Point(x, y))


def test_a_concave_zone_has_a_bay():
    hook = zone(polygon=((0, 0), (1, 0), (1, 1), (0.9, 1), (0.9, 0.1), (0, 0.1)))
    assert crossing_edges(hook.polygon) is None
    assert hook.contains((0.95, 0.9))
    assert not hook.contains((0.5, 0.5))


@pytest.mark.parametrize(
    ("box", "share"),
    [((64, 100, 384, 300), 1.0), ((-256, 100, 64, 300), 0.0), ((-96, 100, 224, 300), 0.5), ((64, 0, 384, 170), 0.0)],
)  # fmt: skip
def test_the_contact_strip_is_where_the_wheels_are(box, share):
    assert zone().contact_share(box, (640, 360)) == pytest.approx(share, abs=0.01)


def test_ground_contact_at_the_very_edge_of_the_picture_counts():
    floor = zone(polygon=((0, 0.5), (1, 0.5), (1, 1), (0, 1)))
    assert floor.has_contact((100, 100, 200, 361), (640, 360))
    assert floor.share((0.2, 1.0, 0.4, 1.0)) == 1.0


def test_ignore_zones_drop_what_stands_in_them():
    boxes = Detections([[100, 100, 200, 250], [500, 100, 600, 250]], [0.9, 0.8], [0, 0], ("car",))
    kept = without_ignored(boxes, [zone(ZoneKind.IGNORE)], (640, 360))
    assert kept.score.tolist() == pytest.approx([0.8])
    assert without_ignored(boxes, [zone()], (640, 360)) is boxes
    nothing = Detections.empty(("car",))
    assert len(without_ignored(nothing, [zone(ZoneKind.IGNORE)], (640, 360))) == 0


def test_privacy_zones_are_given_as_polygons():
    assert privacy_polygons([zone(), zone(ZoneKind.PRIVACY)]) == (zone().polygon,)
    assert np.array(privacy_polygons([zone(ZoneKind.PRIVACY)])).shape == (1, 4, 2)
