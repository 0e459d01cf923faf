from __future__ import annotations

from types import SimpleNamespace

import pytest

from detector.detector import Detector
from detector.device import torch_device
from detector.errors import Failure, WrongUse
from detector.registry import resolve


def torch_with(gpus: int, cuda: str | None = "13.0"):
    device = SimpleNamespace(is_available=lambda: gpus > 0, device_count=lambda: gpus)
    return SimpleNamespace(cuda=device, version=SimpleNamespace(cuda=cuda))


@pytest.mark.parametrize(
    ("gpus", "asked", "got"),
    [
        (0, None, "cpu"),
        (0, "cpu", "cpu"),
        (2, None, "cuda:0"),
        (2, "cpu", "cpu"),
        (2, "cuda", "cuda:0"),
        (2, "cuda:1", "cuda:1"),
    ],
)
def test_what_torch_computes_on(gpus, asked, got):
    assert torch_device(torch_with(gpus), asked) == got


@pytest.mark.parametrize(
    ("torch", "asked", "says"),
    [
        (
            torch_with(0),
            "cuda",
            "--device cuda asks for a GPU, but there is none that its driver offers; take",
        ),
        (torch_with(0, None), "cuda:0", "but the installed torch is built without CUDA; take --device cpu"),
        (torch_with(2), "cuda:2", r"but this machine has 2 \(cuda:0 to cuda:1\); take --device cpu"),
    ],
)
def test_a_gpu_that_is_not_there(torch, asked, says):
    with pytest.raises(Failure, match=says) as caught:
        torch_device(torch, asked)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda:-1", "CPU", ""])
@pytest.mark.parametrize("backend", ["openvino", "onnx", "ultralytics"])
def test_a_device_that_nobody_knows(device, backend, colour_models):
    with pytest.raises(WrongUse, match="--device: wanted cpu, cuda or cuda:N, got"):
        Detector(resolve("colours@0", colour_models), backend, device=device)


def test_openvino_computes_on_the_cpu(colour_models):
    with pytest.raises(WrongUse, match="the backend openvino computes on the CPU, not on cuda:0; take"):
        Detector(resolve("colours@0", colour_models), device="cuda:0")
    with Detector(resolve("colours@0", colour_models), device="cpu", threads=1) as detector:
        assert detector.precision == "f32"
