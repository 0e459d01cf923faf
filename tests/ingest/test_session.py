"""Which camera of a site file is meant."""

from __future__ import annotations

import pytest

from detector.errors import WrongUse
from ingest.session import camera_for
from tests.e2e.fleet import write_site


def test_a_site_of_many_cameras_is_told_in_one_line(tmp_path):
    site = write_site(tmp_path / "site.toml", {f"cam-{n}": f"rtsp://127.0.0.1:9/{n}" for n in range(300)})
    with pytest.raises(
        WrongUse, match=r"has 300 cameras \(cam-0, .*, cam-19 and 280 more\); say which"
    ) as caught:
        camera_for(site, "rtsp://10.0.0.1/live", None)
    assert len(str(caught.value)) < 400
    with pytest.raises(WrongUse, match=r"has no camera 'x'; it has cam-0, .* and 280 more\.$"):
        camera_for(site, None, "x")
    assert camera_for(site, "rtsp://127.0.0.1:9/7", None)[1].id == "cam-7"
