"""One camera tries a new version, the others keep theirs; every case says which saw it, and it can be taken back."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time

import pytest

from detector.registry import resolve
from tests.e2e import support

CAR = ("car", 0.9, (40, 40, 120, 100))
BIN = ("bin_overflow", 0.9, (200, 40, 260, 120))
FRAMES = 30


@pytest.fixture
def models(tmp_path, kerbwatch):
    """street@1 sees cars, street@2 a bin too; production is 1, canary is 2."""
    root = tmp_path / "models"
    for version, boxes in ((1, [CAR]), (2, [CAR, BIN])):
        folder = support.write_scripted_model(
            root / "street" / str(version), dict.fromkeys(range(FRAMES), boxes)
        )
        text = (folder / "model.toml").read_text()
        (folder / "model.toml").write_text(
            text.replace('"scripted"\nversion = 1', f'"street"\nversion = {version}')
        )
        (folder / "card.md").write_text("Licence: CC0-1.0\n")
    for words in (["street@1"], ["street@2", "--alias", "canary", "--reason", "bins at the market"]):
        done = kerbwatch("promote", *words, KERBWATCH_MODELS=str(root))
        assert done.code == 0, done.err
    return root


@pytest.fixture
def site(tmp_path):
    """Two cameras that look at the same street; the second one has the canary."""
    zone = [("kerb", "no_parking", 1, support.WHOLE), ("bins", "public", 1, support.WHOLE)]
    paths = []
    for camera_id, keys in (("north", {}), ("south", {"model": "street@canary", "lat": 31.79})):
        clip = support.write_clip(tmp_path / f"{camera_id}.mp4", FRAMES)
        paths.append(
            support.write_site(tmp_path / f"{camera_id}.toml", zone, camera_id, source=str(clip), **keys)
        )
    first, second = (path.read_text(encoding="utf-8") for path in paths)
    both = tmp_path / "site.toml"
    both.write_text(first + second[second.index("[[camera]]") :], encoding="utf-8")
    return both


def served(site, models, data, wanted):
    """Serve the site until `wanted` cases are printed or 60 s have passed; give the cases and what was logged."""
    words = ["serve", "--site", site, "--backend", "scripted", "--port", "0", "--data", data, "--json"]
    log = data.with_suffix(".log")
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(
            support.command(*words),
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=support.ROOT,
            env=support.environment(KERBWATCH_MODELS=str(models)),
        ) as server,
    ):
        lines = lines_of(server, wanted)
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0, log.read_text(encoding="utf-8")
    return [json.loads(line) for line in lines], log.read_text(encoding="utf-8")


def lines_of(server, wanted):
    """Read lines of JSON from a server until there are enough, or for 60 s."""
    os.set_blocking(server.stdout.fileno(), False)
    text, until = b"", time.monotonic() + 60
    with selectors.DefaultSelector() as selector:
        selector.register(server.stdout, selectors.EVENT_READ)
        while text.count(b"\n") < wanted and time.monotonic() < until and server.poll() is None:
            if selector.select(0.5):
                text += server.stdout.read() or b""
    return text.decode().splitlines()


def seen(cases):
    return sorted((case["source_id"], case["kind"], case["model"]) for case in cases)


@pytest.mark.timeout(240)
def test_one_camera_has_the_canary_and_a_rollback_takes_effect_at_the_next_start(
    site, models, tmp_path, kerbwatch
):
    cases, _ = served(site, models, tmp_path / "first", 3)
    assert seen(cases) == [
        ("north", "illegal_parking", "street@1"),
        ("south", "bin_overflow", "street@2"),
        ("south", "illegal_parking", "street@2"),
    ]
    env = {"KERBWATCH_MODELS": str(models)}
    assert kerbwatch("promote", "street@1", "--alias", "canary", **env).code == 0
    cases, _ = served(site, models, tmp_path / "second", 2)
    assert {case["model"] for case in cases} == {"street@1"}
    done = kerbwatch("promote", "--rollback", "--alias", "canary", **env)
    assert done.out == "street@canary = street@2 (was street@1)\n"
    assert resolve("street@canary", models).version == 2
    assert resolve("street@production", models).version == 1
