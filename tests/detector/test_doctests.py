"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module",
    ["backends.engines", "backends.onnx_checkpoint", "detector", "device", "draw", "letterbox", "nms"],
)
def test_examples(module):
    result = doctest.testmod(importlib.import_module(f"detector.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
