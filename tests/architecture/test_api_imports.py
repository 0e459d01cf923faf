from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("cv2", "av", "openvino", "torch", "ultralytics", "nicegui", "numpy", "minio")


@pytest.mark.parametrize("module", ["api.app", "api.server", "api.cli"])
def test_the_api_loads_nothing_that_knows_pixels(module):
    program = f"import sys, {module}; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert loaded.stdout.split() == []


def test_routes_do_not_load_the_database():
    program = (
        "import sys, api.app; print(*(name for name in ('sqlalchemy', 'alembic') if name in sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert loaded.stdout.split() == []
