"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "metrics",
        "yolo_data",
        *(
            f"evaluation.{name}"
            for name in ("events", "intervals", "lists", "report", "reproduce", "thresholds")
        ),
    ],
)
def test_examples(module):
    result = doctest.testmod(importlib.import_module(f"training.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
