"""What judges time and place holds no pixels, files, clocks or dice, and its examples are true."""

from __future__ import annotations

import ast
import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import ingest

ROOT = Path(ingest.__file__).parent
MODULES = [
    *("boxes", "cutting", "geotag", "ground", "mp4", "schedule", "site", "tracker", "types", "zones"),
    *(f"rules.{path.stem}" for path in sorted((ROOT / "rules").glob("[!_]*.py"))),
]
IMPURE = {
    "cv2",
    "av",
    "os",
    "io",
    "time",
    "random",
    "pathlib",
    "socket",
    "subprocess",
    "httpx2",
    "openvino",
    "torch",
}


@pytest.mark.parametrize("name", MODULES)
def test_a_pure_module_imports_nothing_impure_and_asks_no_clock(name):
    tree = ast.parse((ROOT / (name.replace(".", "/") + ".py")).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {module.split(".")[0] for module in imported} & IMPURE
    called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not called & {"now", "utcnow", "today"}


def test_the_rules_load_neither_pictures_nor_models():
    names = ", ".join(f"ingest.{name}" for name in MODULES)
    code = f"import sys, {names}; print(sorted({{'cv2', 'av', 'openvino', 'torch'}} & set(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT.parent, capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("name", [*MODULES, "config", "classes"])
def test_examples_in_docstrings(name):
    assert doctest.testmod(importlib.import_module(f"ingest.{name}")).failed == 0
