"""A training that is killed by SIGKILL goes on after its last whole epoch. Skipped without the extra [train]."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from training.labels import load_taxonomy
from training.stages import finished_epochs

REPOSITORY = Path(__file__).resolve().parents[2]
PICTURES, EPOCHS = 12, 5
CONFIG = f"""
name = "short"
[data]
[[data.set]]
folder = "noise"
[[stage]]
name = "only"
epochs = {EPOCHS}
side_px = 64
freeze_layers = 3
lr = 1e-3
lr_end = 0.1
mosaic = 0.0
close_mosaic = 0
scale = 0.1
warmup_epochs = 0.1
[train]
batch = 4
seed = 0
threads = 1
cache = "ram"
hsv = [0.0, 0.0, 0.0]
translate = 0.0
fliplr = 0.5
"""


def a_set(folder: Path) -> None:
    random = np.random.default_rng(1)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for number in range(PICTURES + 2):
        cv2.imwrite(str(folder / f"images/{number}.jpg"), random.integers(0, 255, (64, 64, 3), np.uint8))
        (folder / f"labels/{number}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    names = [f"./images/{number}.jpg\n" for number in range(PICTURES + 2)]
    (folder / "train.txt").write_text("".join(names[:PICTURES]))
    (folder / "val.txt").write_text("".join(names[PICTURES:]))
    (folder / "data.yaml").write_text("path: .\ntrain: train.txt\nval: val.txt\nnames: [bin]\n")


def a_base(path: Path) -> None:
    import torch
    from ultralytics.nn.tasks import DetectionModel

    names = load_taxonomy().names
    model = DetectionModel("yolo11n.yaml", nc=len(names), verbose=False).eval()
    model.args, model.names = {"task": "detect"}, dict(enumerate(names))
    torch.save({"model": model, "train_args": {}}, path)


def start(folder: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kerbwatch", "train", str(folder / "config.toml")]
    command += ["--base", str(folder / "base.pt"), "--data", str(folder), *more]  # --work is ./runs
    quiet = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "YOLO_OFFLINE": "1",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_CONFIG_DIR": str(folder),
    }
    log = (folder / "log").open("ab")
    return subprocess.Popen(command, cwd=folder, env=quiet, stdout=log, stderr=log)


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("killed", ["between two epochs", "while last.pt was written"])
def test_a_killed_training_goes_on_after_its_last_whole_epoch(tmp_path: Path, killed: str) -> None:
    pytest.importorskip("torch", reason="needs pip install 'kerbwatch[train]'")
    pytest.importorskip("ultralytics", reason="needs pip install 'kerbwatch[train]'")
    from training.torchvision_shim import install

    install()
    a_set(tmp_path / "noise")
    a_base(tmp_path / "base.pt")
    (tmp_path / "config.toml").write_text(CONFIG)
    run = tmp_path / "runs/short"
    weights = run / "only/weights"

    training = start(tmp_path)
    deadline = time.monotonic() + 300
    while not (weights / "epoch1.pt").is_file():  # so that of epoch 0 all is written
        assert training.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.02)
    training.send_signal(signal.SIGKILL)
    training.wait(60)
    assert not (run / "history.json").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in weights.glob("epoch*.pt")}
    assert len(kept) < EPOCHS
    if killed == "while last.pt was written":
        data = (weights / "last.pt").read_bytes()
        (weights / "last.pt").write_bytes(data[: len(data) // 2])

    again = start(tmp_path, "--resume")
    assert again.wait(300) == 0, (tmp_path / "log").read_text()

    assert {path.name for path in weights.glob("epoch*.pt")} == {f"epoch{n}.pt" for n in range(EPOCHS)}
    assert (weights / "epoch0.pt").stat().st_mtime_ns == kept["epoch0.pt"]  # not trained a second time
    assert [int(row["epoch"]) for row in finished_epochs(run / "only")] == list(range(1, EPOCHS + 1))
    (stage,) = json.loads((run / "history.json").read_text())
    assert (stage["epochs"], stage["pictures"]) == (EPOCHS, PICTURES)
