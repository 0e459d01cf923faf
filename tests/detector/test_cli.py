from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import kerbwatch
from detector.cli import detect


@pytest.fixture
def pictures(tmp_path: Path) -> dict[str, Path]:
    """Good and bad files for the colour model."""
    red = np.zeros((192, 320, 3), np.uint8)
    red[32:64, 64:96, 2] = 255
    files = {
        "red.png": cv2.imencode(".png", red)[1].tobytes(),
        "black.png": cv2.imencode(".png", red * 0)[1].tobytes(),
        "one.png": cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes(),
        "empty.jpg": b"",
        "letter.jpg": b"Dear street,\n",
        "cut.jpg": cv2.imencode(".jpg", red)[1].tobytes()[:-400],
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return {name: tmp_path / name for name in files}


@pytest.fixture(autouse=True)
def models(colour_models, monkeypatch):
    monkeypatch.setenv("KERBWATCH_MODELS", str(colour_models))
    return colour_models


def run(*args: object, **more) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    command = [sys.executable, "-m", "kerbwatch", "detect", *map(str, args)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=Path(__file__).parents[2],
        **more,
    )


def test_one_picture_is_one_object(pictures):
    done = run(pictures["red.png"], "--json")
    assert done.returncode == 0
    assert done.stderr == ""
    assert json.loads(done.stdout) == {
        "image": str(pictures["red.png"]),
        "width": 320,
        "height": 192,
        "detections": [{"label": "red", "score": pytest.approx(1, abs=1e-3), "xyxy": [64, 32, 96, 64]}],
    }


def test_bad_pictures_among_good_ones(pictures, tmp_path):
    bad = [
        pictures["empty.jpg"],
        pictures["letter.jpg"],
        pictures["cut.jpg"],
        tmp_path / "gone.jpg",
        tmp_path,
    ]
    done = run(pictures["red.png"], *bad, pictures["one.png"], pictures["black.png"], "--json")
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(line["image"]).name for line in lines] == ["red.png", "one.png", "black.png"]
    said = done.stderr.splitlines()
    assert len(said) == len(bad)
    for path, line in zip(bad, said, strict=True):
        assert line.startswith(f"kerbwatch detect: {path} ")
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_seen_enough_is_no_error(pictures):
    command = (
        f"{sys.executable} -m kerbwatch detect {(str(pictures['red.png']) + ' ') * 300} --json | head -n 1"
    )
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
    assert done.returncode == 0


def test_a_table_for_people(pictures, capsys):
    assert detect([str(pictures["red.png"]), str(pictures["black.png"])]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "red.png  320x192  1 found" in shown.out
    assert "red              1.00      64.0     32.0     96.0     64.0" in shown.out
    assert "black.png  320x192  nothing found" in shown.out


def test_drawn_pictures_of_the_same_name_do_not_overwrite_each_other(pictures, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "red.png"
    twin.write_bytes(pictures["black.png"].read_bytes())
    assert detect([str(pictures["red.png"]), str(twin), "--draw", str(tmp_path / "out" / "deep")]) == 0
    drawn = sorted((tmp_path / "out" / "deep").iterdir())
    assert [path.name for path in drawn] == ["red-2.jpg", "red.jpg"]
    assert cv2.imread(str(drawn[1])).shape == (192, 320, 3)


def test_a_threshold_for_all_classes(pictures, capsys):
    assert detect([str(pictures["red.png"]), "--json", "--score", "1"]) == 0
    few = json.loads(capsys.readouterr().out)
    assert detect([str(pictures["red.png"]), "--json", "--score", "0"]) == 0
    assert len(json.loads(capsys.readouterr().out)["detections"]) > len(few["detections"])


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        ([], 2, "the following arguments are required: IMAGE; kerbwatch detect --help lists"),
        (["x.jpg", "--score", "1.5"], 2, "--score: wanted a number from 0 to 1, got 1.5"),
        (["x.jpg", "--score", "much"], 2, "argument --score: invalid float value"),
        (["x.jpg", "--backend", "tpu"], 2, "argument --backend: invalid choice"),
        (["x.jpg", "--colour"], 2, "unrecognized arguments: --colour"),
        (["x.jpg", "--threads", "0"], 2, "threads: wanted at least 1, got 0"),
        (["x.jpg", "--model", "street@7"], 1, "there is no model street@7 in"),
        (["x.jpg", "--model", "street@staging"], 1, "there is no model alias street@staging in"),
        (["x.jpg", "--model", "str eet@1"], 2, "is no model: write name@version"),
        (["x.jpg", "--backend", "ultralytics"], 1, "ultralytics"),
        (["x.jpg", "--draw", "/proc/nope"], 1, "--draw: the folder /proc/nope cannot be made"),
    ],
)
def test_wrong_use_is_one_sentence(args, code, says, capsys):
    assert kerbwatch.main(["detect", *args]) == code
    shown = capsys.readouterr()
    assert says in shown.err
    assert shown.err.startswith("kerbwatch detect: ")
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_help_says_what_json_looks_like(capsys):
    with pytest.raises(SystemExit) as left:
        detect(["--help"])
    assert left.value.code == 0
    assert '"detections": [{"label"' in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_to(pictures, tmp_path, capsys):
    (tmp_path / "out" / "red.jpg").mkdir(parents=True)
    assert (
        detect([str(pictures["red.png"]), str(pictures["black.png"]), "--draw", str(tmp_path / "out")]) == 1
    )
    shown = capsys.readouterr()
    assert "red.jpg cannot be written" in shown.err
    assert "black.png" in shown.out


def test_progress_goes_to_a_terminals_stderr(pictures, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    assert detect([str(pictures["red.png"])] * 3 + ["--json"]) == 0
    assert "3/3" in screen.getvalue()
    assert all(json.loads(line) for line in capsys.readouterr().out.splitlines())


@pytest.mark.slow
def test_a_picture_of_16k(tmp_path):
    path = tmp_path / "large.jpg"
    cv2.imwrite(str(path), np.zeros((16_384, 16_384, 3), np.uint8))
    done = run(path, "--json", "--threads", "1", env={**os.environ})
    assert done.returncode == 0
    assert json.loads(done.stdout)["width"] == 16_384
