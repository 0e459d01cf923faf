from __future__ import annotations

import json
import sys

from benchmarks import gpu
from detector.errors import Failure


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
