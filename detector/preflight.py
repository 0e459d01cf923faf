"""Whether a backend and its device are there, asked before anything is started."""

from __future__ import annotations

import subprocess
import sys

from detector.backends import KINDS
from detector.device import is_gpu, torch_device
from detector.errors import Failure, WrongUse

IN_TORCH = frozenset({"ultralytics", "tensorrt"})
PROBE_S = 120.0
"""How long importing torch may take on a machine that has just been started."""


def preflight(backend: str, device: str | None) -> None:
    """Refuse what cannot be computed here; nothing is loaded into this process.

    Torch is asked in a child process: it would cost this one 200 MB. Only where a GPU is wanted, because
    everything else is said soon enough by the backend itself.

    Args:
        backend: its kind.
        device: as `detector.Detector`.

    Raises:
        WrongUse: there is no such backend or device, or the one does not compute on the other.
        Failure: the GPU, or the package for it, is not there.
    """
    check_words(backend, device)
    if not (is_gpu(device) or backend == "tensorrt"):
        return
    if backend not in IN_TORCH:
        check_here(backend, device)
        return
    command = [sys.executable, "-m", "detector.preflight", backend, device or "cuda"]
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise Failure(
            f"torch did not say within {PROBE_S:.0f} s whether {device or 'a GPU'} is there."
        ) from None
    if child.returncode:
        said = (child.stdout or child.stderr).strip().splitlines()
        raise Failure(said[-1] if said else f"the backend {backend} cannot be tried.")


def check_words(backend: str, device: str | None) -> None:
    """Refuse what makes no sense anywhere.

    Raises:
        WrongUse: see `preflight`.
    """
    if backend not in KINDS:
        raise WrongUse(f"there is no backend {backend!r}; choose one of {', '.join(KINDS)}.")
    if is_gpu(device) and backend in {"openvino", "scripted"}:
        raise WrongUse(
            f"the backend {backend} computes on the CPU, not on {device}; "
            "take --backend ultralytics, tensorrt or onnx for a GPU."
        )
    if backend == "tensorrt" and device == "cpu":
        raise WrongUse("the backend tensorrt computes on a GPU; take another --backend for the CPU.")


def on_gpu(backend: str, device: str | None) -> bool:
    """Tell whether a backend would compute on a GPU of this machine; see `preflight`, which comes first."""
    if device is not None or backend == "tensorrt":
        return device != "cpu"
    if backend != "ultralytics":
        return False
    try:
        preflight(backend, "cuda")
    except Failure:
        return False
    return True


def check_here(backend: str, device: str | None) -> None:
    """Look for the GPU with the backend's own library, in this process.

    Raises:
        Failure: it, or the library, is not there.
    """
    if backend in IN_TORCH:
        from detector.backends.ultralytics import import_torch

        torch_device(import_torch(), device)
    if backend == "tensorrt":
        from detector.backends.tensorrt import installed_version

        installed_version()
    if backend == "onnx":
        from detector.backends.onnx import cuda_provider, import_onnxruntime

        cuda_provider(import_onnxruntime(), device)


if __name__ == "__main__":
    try:
        check_here(sys.argv[1], sys.argv[2])
    except Failure as failure:
        sys.stdout.write(f"{failure}\n")
        sys.exit(failure.exit_code)
