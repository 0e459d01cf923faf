"""Which device a network is computed on; nothing is loaded before it is known to be there."""

from __future__ import annotations

import re
from typing import Any

from detector.errors import Failure, WrongUse

NO_GPU = "--device {device} asks for a GPU, but {why}; take --device cpu, or leave it out."


def is_gpu(device: str | None) -> bool:
    """Tell whether `device` names a GPU.

    >>> is_gpu("cuda:0"), is_gpu("cpu"), is_gpu(None)
    (True, False, False)

    Raises:
        WrongUse: it names nothing we know.
    """
    if device is not None and not re.fullmatch(r"cpu|cuda(:\d{1,3})?", device):
        raise WrongUse(f"--device: wanted cpu, cuda or cuda:N, got {device!r}.")
    return device is not None and device != "cpu"


def gpu_number(device: str) -> int:
    """Give the number in "cuda:N"; "cuda" is the first.

    >>> gpu_number("cuda:3"), gpu_number("cuda")
    (3, 0)
    """
    return int(device.partition(":")[2] or 0)


def torch_has_gpu() -> bool:
    """Tell whether torch is installed and has a GPU."""
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


def torch_device(torch: Any, device: str | None) -> str:
    """Give what torch shall compute on: what is asked for, or the first GPU where there is one, or the CPU.

    Raises:
        WrongUse: `device` names nothing we know.
        Failure: it names a GPU that is not there.
    """
    if not is_gpu(device):
        return device or ("cuda:0" if torch.cuda.is_available() else "cpu")
    asked = device or ""
    if not torch.cuda.is_available():
        built = torch.version.cuda is not None
        why = "there is none that its driver offers" if built else "the installed torch is built without CUDA"
        raise Failure(NO_GPU.format(device=asked, why=why))
    count = int(torch.cuda.device_count())
    if gpu_number(asked) >= count:
        raise Failure(
            NO_GPU.format(device=asked, why=f"this machine has {count} (cuda:0 to cuda:{count - 1})")
        )
    return f"cuda:{gpu_number(asked)}"
