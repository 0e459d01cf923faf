"""Every mistake a user can make with `run`: one clear sentence, the right exit code, nothing lost."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e import support

CAR = ("car", 0.9, (100.0, 60.0, 180.0, 120.0))
KERB = ("kerb", "no_parking", 2, support.WHOLE)


@pytest.fixture(scope="module")
def parked(tmp_path_factory):
    """A clip, a model and a site in which one car parks for 8 s: one case."""
    folder = tmp_path_factory.mktemp("parked")
    support.write_clip(folder / "clip.mp4", 50)
    support.write_scripted_model(folder / "model", {number: [CAR] for number in range(5, 45)})
    support.write_site(folder / "site.toml", [KERB])
    return folder


def run_words(folder, data, clip=None, site=None, model=None):
    return [
        "run",
        clip or folder / "clip.mp4",
        "--site",
        site or folder / "site.toml",
        "--model",
        model or folder / "model",
        "--backend",
        "scripted",
        "--data",
        data,
        "--json",
    ]


def refused(done, code, *words):
    assert done.code == code, done.err
    assert done.out == ""
    for word in words:
        assert word in done.sentence, done.err
    assert done.sentence.startswith("kerbwatch run: ")


def test_the_clip_itself_gives_one_case_and_the_same_again(kerbwatch, parked, tmp_path):
    first = kerbwatch(*run_words(parked, tmp_path))
    assert first.code == 0, first.err
    (case,) = first.cases
    assert (case["kind"], case["zone_id"], case["status"]) == ("illegal_parking", "kerb", "reported")
    assert case["code"] == {"scheme": "GB/T 47678.5", "version": "2026", "code": "09009"}
    assert {piece["role"] for piece in case["evidence"]} == {"near", "far", "before", "clip"}
    assert all(Path(piece["path"]).is_file() for piece in case["evidence"])
    again = kerbwatch(*run_words(parked, tmp_path))
    assert [one["case_id"] for one in again.cases] == [case["case_id"]]


@pytest.mark.parametrize("fault", ["text", "empty", "no_index", "missing", "folder"])
def test_sources_that_cannot_be_read(kerbwatch, parked, tmp_path, fault):
    path = tmp_path / "street.mp4"
    data = (parked / "clip.mp4").read_bytes()
    if fault == "text":
        path.write_text("this is not a video\n" * 20, encoding="utf-8")
    elif fault == "empty":
        path.write_bytes(b"")
    elif fault == "no_index":
        path.write_bytes(data[: len(data) // 2])
    elif fault == "folder":
        path.mkdir()
    done = kerbwatch(*run_words(parked, tmp_path / "data", clip=path))
    refused(done, 2 if fault == "missing" else 1, "street.mp4")


SITE_FAULTS = {
    "unknown key": ({}, "dwell_s = 2", "dwel_s = 2", "dwel_s"),
    "two points": (
        {},
        "polygon = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]",
        "polygon = [[0, 0], [1, 1]]",
        "kerb",
    ),
    "crossing": ({}, "[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]", "[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]", "crosses"),
    "lat 131": ({"lat": 131.0}, "", "", "131"),
    "dwell -1": ({}, "dwell_s = 2", "dwell_s = -1", "dwell_s"),
    "zone kind": ({}, '"no_parking"', '"no_parkin"', "no_parking"),
    "zone of time": ({}, "Asia/Shanghai", "Asia/Changzhou", "timezone"),
    "not TOML": ({}, "[[camera]]", "[[camera", "line"),
}


@pytest.mark.parametrize("fault", SITE_FAULTS)
def test_site_files_with_a_mistake(kerbwatch, parked, tmp_path, fault):
    keys, old, new, word = SITE_FAULTS[fault]
    site = support.write_site(tmp_path / "site.toml", [KERB], **keys)
    text = site.read_text(encoding="utf-8")
    assert old in text
    site.write_text(text.replace(old, new, 1) if old else text, encoding="utf-8")
    done = kerbwatch(*run_words(parked, tmp_path / "data", site=site))
    refused(done, 2, "site.toml", word)
    assert not (tmp_path / "data").exists()


def test_a_camera_listed_twice(kerbwatch, parked, tmp_path):
    site = support.write_site(tmp_path / "site.toml", [KERB])
    text = site.read_text(encoding="utf-8")
    site.write_text(text + text[text.index("[[camera]]") :], encoding="utf-8")
    refused(kerbwatch(*run_words(parked, tmp_path / "data", site=site)), 2, "cam-1", "twice")


def test_a_missing_model_and_one_with_a_wrong_hash(kerbwatch, parked, tmp_path):
    done = kerbwatch(*run_words(parked, tmp_path / "data", model="nosuch@7"))
    refused(done, 1, "nosuch@7")
    model = support.write_scripted_model(tmp_path / "model", {1: [CAR]})
    with (model / "script.json").open("a", encoding="utf-8") as file:
        file.write(" ")
    done = kerbwatch(*run_words(parked, tmp_path / "data", model=model))
    refused(done, 1, "script.json")


def test_options_that_make_no_sense(kerbwatch, parked, tmp_path):
    assert kerbwatch("run").code == 2
    assert kerbwatch("fly").code == 2
    words = run_words(parked, tmp_path)
    refused(kerbwatch(*words, "--auto-confirm", "flying_wire"), 2, "flying_wire")
    refused(kerbwatch(*words, "--auto-confirm", "parking:2"), 2, "parking")
    refused(kerbwatch(*words, "--api", "http://127.0.0.1:9", "--dispatch", "sandbox"), 2, "--dispatch")
    refused(kerbwatch(*words, "--camera", "cam-9"), 2, "cam-9", "cam-1")


def test_an_api_that_is_not_there_keeps_the_report_for_the_next_run(kerbwatch, parked, tmp_path):
    words = run_words(parked, tmp_path)
    away = kerbwatch(*words, "--api", "http://127.0.0.1:9", KERBWATCH_FLUSH_S="2")
    refused(away, 1, "127.0.0.1:9", "kept")
    here = kerbwatch(*words)
    assert len(here.cases) == 1


def test_a_port_in_use(kerbwatch, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = kerbwatch("serve", "--port", port, "--data", tmp_path)
    assert done.code == 1
    assert str(port) in done.sentence
    assert "in use" in done.sentence


def test_a_platform_that_refuses_keeps_the_case_confirmed(kerbwatch, parked, tmp_path):
    words = [*run_words(parked, tmp_path), "--auto-confirm", "illegal_parking"]
    words += ["--dispatch-url", "http://127.0.0.1:9/events", "--dispatch-secret", "whsec_" + "QUJD" * 8]
    done = kerbwatch(*words, KERBWATCH_SETTLE_S="2")
    assert done.code == 0, done.err
    assert [case["status"] for case in done.cases] == ["confirmed"]
    assert "not with the platform yet" in done.err


def test_a_full_disk_is_said_and_the_next_run_has_the_case(kerbwatch, parked, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mount.returncode != 0:
        pytest.skip("a small file system to fill cannot be mounted here (needs root)")
    try:
        (disk / "filler").write_bytes(b"\0" * 560_000)
        full = kerbwatch(*run_words(parked, disk / "data"))
        assert full.code == 1
        assert "full" in full.err or "No space" in full.err
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)], check=True)
    try:
        assert len(kerbwatch(*run_words(parked, disk / "data")).cases) == 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)
