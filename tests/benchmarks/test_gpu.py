from __future__ import annotations

import json
import sys
from argparse import Namespace

import pytest

from benchmarks import gpu
from benchmarks.gpu_workers import Workers
from detector.errors import Failure
from detector.registry import resolve


def test_without_a_gpu_it_is_said_in_one_sentence_and_skipped(tmp_path, monkeypatch, capsys):
    def no_gpu(torch, device):
        raise Failure(f"--device {device} asks for a GPU, but there is none.")

    monkeypatch.setattr(gpu, "import_torch", lambda: None)
    monkeypatch.setattr(gpu, "torch_device", no_gpu)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--json", str(tmp_path / "gpu.json")])
    assert gpu.main() == 1
    said = capsys.readouterr().err
    assert said == "gpu: skipped: --device cuda:0 asks for a GPU, but there is none.\n"
    document = json.loads((tmp_path / "gpu.json").read_text())
    assert document["skipped"] == "--device cuda:0 asks for a GPU, but there is none."
    assert document["rows"] == []
    assert document["machine"]["cores"] >= 1

    measured = tmp_path / "results" / "gpu.json"
    measured.parent.mkdir()
    measured.write_text("figures")
    monkeypatch.setattr(gpu, "RESULTS", measured.parent)
    monkeypatch.setattr(gpu, "save", lambda *_: pytest.fail("figures of a GPU were overwritten"))
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    assert gpu.main() == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--clip", "/nowhere.mp4"], "--clip /nowhere.mp4: there is no such file."),
        (["--processes", "0"], "--processes 0: give a number above 0."),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_is(words, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu.py", *words])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def asked(**others):
    wanted = {"backend": "ultralytics", "precision": "f32", "device": "cpu", "processes": 2}
    return Namespace(**(wanted | {"seconds": 1.0, "streams": 3, "fps": 1.0} | others))


def test_processes_are_ready_together_and_do_what_they_are_told():
    pytest.importorskip("torch", reason="needs torch, which is not installed")
    with Workers(asked(), resolve("street@production")) as workers:
        floods, alone = workers.do("flood"), workers.do("alone")
        paced = workers.do("paced")
    assert len(floods) == len(alone) == len(paced) == 2
    assert all(each["pictures"] >= 1 and each["seconds"] >= 1 for each in floods)
    assert all(each["frames_s"] > 0 for each in alone)
    assert sum(len(each["latency_ms"]) + each["skipped"] for each in paced) == 3  # a second of three streams


def test_a_process_that_ends_is_told():
    with pytest.raises(Failure, match="a process that shares the GPU has ended"):
        Workers(asked(backend="nothing"), resolve("street@production"))
