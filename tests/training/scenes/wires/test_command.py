"""The command line: refusals in one sentence, nothing half-written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from training.scenes.wires import pictures, scene

ROOT = Path(__file__).resolve().parents[4]


def called(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    monkeypatch.setattr(sys, "argv", ["pictures", *args])
    with pytest.raises(SystemExit) as stop:
        pictures.run(scene.make, "wire", "doc")
    return int(stop.value.code)


def test_an_existing_folder_is_not_overwritten(tmp_path, monkeypatch, capsys) -> None:
    assert called(monkeypatch, "--out", str(tmp_path), "--data", "nowhere") == 2
    assert "exists; name a new folder" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [("--n", "0"), ("--workers", "0")])
def test_nothing_to_do_is_refused(tmp_path, monkeypatch, capsys, wrong) -> None:
    assert called(monkeypatch, "--out", str(tmp_path / "new"), *wrong) == 2
    assert "at least 1" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("module", ["training.scenes.wires.pictures", "training.scenes.cutouts.pictures"])
def test_missing_data_is_one_sentence_and_leaves_nothing(tmp_path, module) -> None:
    command = [sys.executable, "-m", module, "--out", str(tmp_path / "new"), "--data", str(tmp_path / "none")]
    done = subprocess.run(
        [*command, "--n", "1", "--workers", "1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "train.txt: cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
