from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from detector.backends.engines import FOLDER, EngineKey, engine_file
from detector.errors import Failure

KEY = EngineKey("ab" * 32, "NVIDIA H200", "10.13.2", "f16", 32, 640)


def writes(content: bytes, built: list):
    def build(path):
        built.append(path)
        path.write_bytes(content)

    return build


def test_an_engine_is_built_once_and_kept(tmp_path):
    built: list = []
    first = engine_file(tmp_path, KEY, writes(b"engine", built))
    assert engine_file(tmp_path, KEY, writes(b"other", built)) == first
    assert first.read_bytes() == b"engine"
    assert first.parent == tmp_path / FOLDER
    assert len(built) == 1
    assert not list(first.parent.glob("*.part*"))


@pytest.mark.parametrize(
    "other",
    [
        {"sha256": "cd" * 32},
        {"gpu": "NVIDIA H100 80GB HBM3"},
        {"tensorrt": "11.0.0"},
        {"precision": "f32"},
        {"batch_max": 16},
        {"side_px": 1280},
    ],
)
def test_whatever_changes_it_is_built_again(other, tmp_path):
    built: list = []
    first = engine_file(tmp_path, KEY, writes(b"engine", built))
    second = engine_file(tmp_path, dataclasses.replace(KEY, **other), writes(b"other", built))
    assert len(built) == 2
    assert first != second
    assert first.is_file()


def test_a_build_that_fails_leaves_nothing_and_is_tried_again(tmp_path):
    def fails(path):
        path.write_bytes(b"half")
        raise Failure("TensorRT cannot build it.")

    for _ in range(2):
        with pytest.raises(Failure, match="cannot build"):
            engine_file(tmp_path, KEY, fails)
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["lock"]
    assert engine_file(tmp_path, KEY, writes(b"engine", [])).read_bytes() == b"engine"


def test_workers_that_start_at_once_build_it_once(tmp_path):
    built: list = []
    started = threading.Event()

    def slow(path):
        started.wait(0.2)
        writes(b"engine", built)(path)

    with ThreadPoolExecutor(6) as workers:
        paths = list(workers.map(lambda _: engine_file(tmp_path, KEY, slow), range(6)))
    assert len(set(paths)) == 1
    assert len(built) == 1


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / FOLDER).write_text("a file is in the way")
    with pytest.raises(Failure, match=r"engine cannot be kept in .*engines: .*; make that folder writable"):
        engine_file(tmp_path, KEY, writes(b"", []))
