from __future__ import annotations

import pytest

from detector.errors import Failure
from ingest.classes import class_names, event_code, event_codes
from ingest.types import EventKind


def test_class_names_are_those_of_the_model():
    assert class_names()[:3] == ("person", "bicycle", "motorcycle")
    assert len(class_names()) == 13


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_has_a_code_of_a_national_standard(kind):
    variant = "motor" if kind is EventKind.ILLEGAL_PARKING else ""
    assert event_code(kind, variant).scheme == "GB/T 47678.5"


def test_variants_pick_their_own_rows():
    codes = {
        variant: event_code("illegal_parking", variant).code for variant in ("motor", "nonmotor", "fire_lane")
    }
    assert codes == {"motor": "09009", "nonmotor": "09010", "fire_lane": "09012"}
    assert event_code("street_vending", "").code == "09001"
    assert event_code("street_vending", "occupying_road").code == "09006"
    assert event_code("street_vending", "no rows of its own").code == "09001"
    assert ("kerbwatch", "fx_charging") in {(code.scheme, code.code) for code in event_codes("flying_wire")}


def test_what_cannot_be_found_is_a_failure(tmp_path):
    with pytest.raises(Failure, match="no code"):
        event_code("jaywalking")
    with pytest.raises(Failure, match="restore the file"):
        class_names(tmp_path / "classes.toml")
