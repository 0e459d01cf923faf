"""What a room pulls in when it is imported: import-linter does not see third parties and `__init__` files."""

from __future__ import annotations

import subprocess
import sys

import pytest


def loaded_by(module: str) -> set[str]:
    """Top-level names in sys.modules after importing one module in a fresh interpreter."""
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240
    )
    return set(done.stdout.split())


FORBIDDEN = [
    (
        "detector.detector",
        {"torch", "torchvision", "ultralytics", "onnxruntime", "openvino", "api", "ingest", "training"},
    ),
    ("detector.cli", {"torch", "ultralytics", "onnxruntime", "openvino", "api", "ingest", "training"}),
    ("detector.types", {"cv2", "pydantic", "openvino", "torch"}),
    ("kerbwatch", {"detector", "ingest", "api", "training", "numpy"}),
]


@pytest.mark.parametrize(("module", "forbidden"), FORBIDDEN, ids=[module for module, _ in FORBIDDEN])
def test_a_room_loads_only_what_it_needs(module, forbidden):
    assert loaded_by(module) & forbidden == set()


def test_opening_the_openvino_backend_leaves_its_telemetry_out():
    code = (
        "import sys; from detector.backends.openvino import import_openvino; import_openvino();"
        "print(*[name for name in sys.modules if name.startswith('openvino_telemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240
    )
    assert done.stdout.split() == []
