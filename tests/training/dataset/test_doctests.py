"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import training.dataset

MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(training.dataset.__path__, "training.dataset.")
    if not found.ispkg and not found.name.endswith((".cli", ".verdicts"))
)


@pytest.mark.parametrize("module", MODULES)
def test_examples(module):
    assert doctest.testmod(importlib.import_module(module)).failed == 0
