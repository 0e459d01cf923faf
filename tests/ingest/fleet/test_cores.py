"""What the machine says of its cores, in the words of the kernel."""

from __future__ import annotations

import os
import sys
import time

import pytest

from ingest.fleet.cores import busy_seconds, quota_cores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")


def test_a_core_that_works_gets_busier():
    before = busy_seconds()
    assert set(os.sched_getaffinity(0)) <= before.keys()
    until = time.process_time() + 0.5
    while time.process_time() < until:
        pass
    after = busy_seconds()
    assert sum(after.values()) - sum(before.values()) >= 0.4


@pytest.mark.parametrize(
    ("groups", "files", "cores"),
    [
        ("0::/", {"cpu.max": "max 100000"}, None),
        ("0::/", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"}, 2.0),
        ("0::/a/b", {"a/b/cpu.max": "50000 100000", "a/cpu.max": "200000 100000"}, 0.5),
        (
            "3:memory:/m\n1:cpu,cpuacct:/a\n0::/",
            {"cpu/a/cpu.cfs_quota_us": "300000", "cpu/a/cpu.cfs_period_us": "100000"},
            3.0,
        ),
        ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ("0::/../odd", {}, None),
    ],
)
def test_a_quota_of_the_container_is_known(tmp_path, groups, files, cores):
    (tmp_path / "self").write_text(groups + "\n")
    root = tmp_path / "cgroup"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    assert quota_cores(tmp_path / "self", root) == cores


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert quota_cores(tmp_path / "nothing", tmp_path) is None
