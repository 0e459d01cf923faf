from __future__ import annotations

import sys
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


def modules(monkeypatch, **by_name):
    for name, module in by_name.items():
        monkeypatch.setitem(sys.modules, name, module)


class Session:
    """ONNX Runtime's, on what it was given or on the CPU."""

    def __init__(self, path, settings, providers):
        self.providers = providers

    def get_providers(self):
        return ["CPUExecutionProvider"]


def onnxruntime_with(*providers):
    return SimpleNamespace(
        get_available_providers=lambda: list(providers),
        SessionOptions=SimpleNamespace,
        InferenceSession=Session,
        capi=SimpleNamespace(onnxruntime_pybind11_state=SimpleNamespace()),
    )


def test_onnx_without_cuda(colour_models, monkeypatch):
    modules(monkeypatch, onnxruntime=onnxruntime_with("CPUExecutionProvider"))
    with pytest.raises(
        Failure, match=r"ONNX Runtime is built without CUDA \(pip install 'kerbwatch\[cuda\]'"
    ):
        Detector(resolve("colours@0", colour_models), "onnx", device="cuda")


def test_onnx_that_would_silently_fall_back_to_the_cpu(colour_models, monkeypatch):
    modules(monkeypatch, onnxruntime=onnxruntime_with("CUDAExecutionProvider", "CPUExecutionProvider"))
    monkeypatch.setattr("detector.backends.onnx.weights", lambda spec, kind: spec.folder / "colours.xml")
    with pytest.raises(Failure, match="asks for a GPU, but ONNX Runtime could not load its CUDA libraries"):
        Detector(resolve("colours@0", colour_models), "onnx", device="cuda:1")


@pytest.fixture
def torch_on(monkeypatch):
    """Put a torch with so many GPUs in place of the real one."""

    def put(gpus):
        torch = torch_with(gpus)
        torch.cuda.get_device_name = lambda device: "NVIDIA H200"
        monkeypatch.setattr("detector.backends.ultralytics.import_torch", lambda: torch)
        monkeypatch.setattr("detector.backends.tensorrt.import_torch", lambda: torch)

    return put


def test_tensorrt_without_a_gpu_or_itself(colour_models, monkeypatch, torch_on):
    spec = resolve("colours@0", colour_models)
    torch_on(0)
    with pytest.raises(
        Failure, match="--device cuda asks for a GPU, but there is none that its driver offers"
    ):
        Detector(spec, "tensorrt")
    torch_on(1)
    modules(monkeypatch, tensorrt=None)
    with pytest.raises(Failure, match="the backend tensorrt needs TensorRT: pip install tensorrt"):
        Detector(spec, "tensorrt")
    with pytest.raises(WrongUse, match="the backend tensorrt computes on a GPU"):
        Detector(spec, "tensorrt", device="cpu")
    with pytest.raises(WrongUse, match="in f16 or f32, not bf16"):
        Detector(spec, "tensorrt", precision="bf16")


def test_ultralytics_without_the_gpu_that_is_asked_for(colour_models, torch_on):
    torch_on(0)
    with pytest.raises(Failure, match="--device cuda:0 asks for a GPU, but there is none"):
        Detector(resolve("colours@0", colour_models), "ultralytics", device="cuda:0", precision="f16")
