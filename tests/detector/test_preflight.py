from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from detector import preflight as module
from detector.errors import Failure, WrongUse
from detector.preflight import check_here, preflight


@pytest.mark.parametrize(("backend", "device"), [("openvino", None), ("ultralytics", "cpu"), ("onnx", None)])
def test_without_a_gpu_nothing_is_tried(backend, device, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a child was started"))
    preflight(backend, device)


@pytest.mark.parametrize(
    ("backend", "device", "says"),
    [
        ("tpu", None, "there is no backend 'tpu'; choose one of openvino, onnx, ultralytics, tensorrt"),
        (
            "openvino",
            "cuda",
            "computes on the CPU, not on cuda; take --backend ultralytics, tensorrt or onnx",
        ),
        ("tensorrt", "cpu", "the backend tensorrt computes on a GPU"),
        ("onnx", "gpu", "--device: wanted cpu, cuda or cuda:N, got 'gpu'"),
    ],
)
def test_what_makes_no_sense(backend, device, says):
    with pytest.raises(WrongUse, match=says):
        preflight(backend, device)


def test_a_child_asks_torch_and_its_sentence_is_ours():
    # Without torch, without a GPU, and with a few of them: a sentence each.
    with pytest.raises(
        Failure, match=r"^(the backend ultralytics needs torch|--device cuda:99 asks)"
    ) as caught:
        preflight("ultralytics", "cuda:99")
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("backend", "device", "has", "gpu"),
    [
        ("openvino", None, True, False),
        ("onnx", "cuda", True, True),
        ("tensorrt", None, True, True),
        ("ultralytics", "cpu", True, False),
        ("ultralytics", None, True, True),
        ("ultralytics", None, False, False),
    ],
)
def test_what_would_compute_on_a_gpu(backend, device, has, gpu, monkeypatch):
    answer = SimpleNamespace(returncode=0 if has else 1, stdout="there is none.", stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    assert module.on_gpu(backend, device) is gpu


def test_a_child_that_hangs_or_dies(monkeypatch):
    def hangs(command, timeout, **_):
        assert command == [sys.executable, "-m", "detector.preflight", "tensorrt", "cuda"]
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hangs)
    with pytest.raises(Failure, match="torch did not say within 120 s whether a GPU is there"):
        preflight("tensorrt", None)
    monkeypatch.setattr(
        subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=-11, stdout="", stderr="")
    )
    with pytest.raises(Failure, match="the backend tensorrt cannot be tried"):
        preflight("tensorrt", None)


def test_onnx_is_asked_here(monkeypatch):
    runtime = SimpleNamespace(get_available_providers=lambda: ["CPUExecutionProvider"])
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    with pytest.raises(Failure, match="this ONNX Runtime is built without CUDA"):
        preflight("onnx", "cuda:0")
    runtime.get_available_providers = lambda: ["CUDAExecutionProvider"]
    preflight("onnx", "cuda:0")


def test_tensorrt_wants_itself_besides_a_gpu(monkeypatch):
    monkeypatch.setattr("detector.backends.ultralytics.import_torch", lambda: None)
    monkeypatch.setattr(module, "torch_device", lambda torch, device: device)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(Failure, match="needs TensorRT: pip install tensorrt"):
        check_here("tensorrt", "cuda")
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__="10.13"))
    check_here("tensorrt", "cuda")
