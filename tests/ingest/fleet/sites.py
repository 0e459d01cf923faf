"""Sites, clips and scripted models for the tests of the fleet."""

from __future__ import annotations

import time

from ingest.site import Camera, Site, ZoneTable
from tests.e2e.support import WHOLE, write_clip, write_scripted_model

CAR = ("car", 0.9, (40, 40, 140, 120))


def camera(camera_id, source, dwell_s=1, **keys):
    zone = ZoneTable(id="kerb", kind="no_parking", polygon=WHOLE, dwell_s=dwell_s)
    return Camera(id=camera_id, source=str(source), lat=31.779, lon=119.951, zone=(zone,), **keys)


def site_of(*cameras):
    return Site(name="Test", timezone="Asia/Shanghai", cameras=cameras)


def clip(path, seconds=6):
    return write_clip(path, seconds * 5)


def always_a_car(folder):
    """Write a model that sees one parked car in whatever picture it gets."""
    return write_scripted_model(folder, {"*": [CAR]})


def eventually(true, within_s=30.0, every_s=0.05):
    """Wait until `true()` gives something, and give it."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if found := true():
            return found
        time.sleep(every_s)
    raise AssertionError(f"it did not come true in {within_s} s: {true()!r}")
