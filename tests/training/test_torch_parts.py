"""What needs torch: the operators' stand-in, the bf16 network, the export. Skipped without the extra [train]."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs pip install 'kerbwatch[train]'")
pytest.importorskip("ultralytics", reason="needs pip install 'kerbwatch[train]'")
pytest.importorskip("onnx", reason="needs pip install 'kerbwatch[train]'")

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True, scope="module")
def prepared() -> None:
    from training.torchvision_shim import install

    install()


def a_model(classes: int = 3):
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    model = DetectionModel("yolo11n.yaml", nc=classes, verbose=False)
    model.args = {"task": "detect"}
    for module in model.modules():  # statistics as after training, so that fusing has something to do
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2.0)
            module.weight.data.uniform_(0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_greedy_nms_equals_the_plain_algorithm(count: int) -> None:
    from detector.nms import nms
    from training.torchvision_shim import greedy_nms

    random = np.random.default_rng(count)
    low = random.uniform(0, 100, (count, 2))
    boxes = np.concatenate([low, low + random.uniform(5, 60, (count, 2))], axis=1).astype(np.float32)
    scores = random.permutation(count).astype(np.float32) / max(count, 1)
    ours = greedy_nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.5).tolist()
    assert ours == nms(boxes, scores, np.zeros(count, np.int64), 0.5).tolist()


def test_export_computes_what_the_slim_checkpoint_computes(tmp_path: Path) -> None:
    import cv2

    from training.export import export_onnx, load_checkpoint, measure_parity, save_slim

    model = a_model()
    model.names = dict(enumerate(("person", "bin", "stall")))
    raw = tmp_path / "raw.pt"
    torch.save({"model": model, "train_args": {}}, raw)
    slim, onnx_path = tmp_path / "street.pt", tmp_path / "street.onnx"
    save_slim(load_checkpoint(raw).model, slim, 64)
    export_onnx(slim, onnx_path, 64)
    random = np.random.default_rng(0)
    pictures = []
    for index in range(3):
        pictures.append(tmp_path / f"{index}.png")
        cv2.imwrite(str(pictures[-1]), random.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    parity = measure_parity(slim, onnx_path, pictures, 64, score_min=0.0)
    assert parity.pictures == 3
    assert parity.box_px_max < 0.01
    assert parity.score_max < 1e-4
    assert onnx_path.stat().st_size < 0.55 * 4 * sum(p.numel() for p in model.parameters()) + 300_000


def test_slim_checkpoint_keeps_no_paths_of_the_machine(tmp_path: Path) -> None:
    from training.export import save_slim

    model = a_model()
    model.args = {"data": "/secret/place/data.yaml", "task": "detect"}
    model.pt_path = "/secret/place/last.pt"
    save_slim(model, tmp_path / "street.pt", 64)
    assert b"/secret/place" not in (tmp_path / "street.pt").read_bytes()


def test_no_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    from detector.errors import Failure
    from training.export import load_checkpoint

    with pytest.raises(Failure, match="there are no weights"):
        load_checkpoint(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(Failure, match="no checkpoint that can be loaded"):
        load_checkpoint(tmp_path / "text.pt")


def test_bf16_network_trains_in_fp32_and_turns_plain_again() -> None:
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel

    from training.network import Bf16Model, as_plain

    model = a_model().train()
    model.args = get_cfg()
    model.__class__ = Bf16Model
    batch = {
        "img": torch.rand(2, 3, 64, 64),
        "cls": torch.zeros(2, 1),
        "bboxes": torch.full((2, 4), 0.5),
        "batch_idx": torch.arange(2.0),
    }
    loss, _ = model(batch)
    assert loss.dtype == torch.float32
    loss.sum().backward()
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in model.parameters())
    assert type(as_plain(model)) is DetectionModel


def test_blend_moves_common_classes_only() -> None:
    from training.blend import blended_state

    tuned = {"w": torch.zeros(4), "head": torch.zeros(2, 3), "steps": torch.tensor(7)}
    base = {"w": torch.ones(4), "head": torch.ones(5, 3), "steps": torch.tensor(9)}
    names = dict(enumerate(("stall", "car")))
    state = blended_state(tuned, base, names, dict(enumerate(("person", "bus", "car", "dog", "cat"))), 0.25)
    assert state["w"].tolist() == [0.25] * 4
    assert state["head"].tolist() == [[0, 0, 0], [0.25, 0.25, 0.25]]
    assert state["steps"].item() == 7


def test_a_weighted_average_has_the_shares_it_was_given(tmp_path: Path) -> None:
    from training.export import load_checkpoint
    from training.train import _blended_with

    def stored(path: Path, fill: float) -> Path:
        model = a_model(classes=2)
        model.names = {0: "person", 1: "bin"}
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.fill_(fill)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"model": model, "train_args": {}}, path)
        return path

    tuned = stored(tmp_path / "c" / "weights" / "last.pt", 1.0)
    stored(tmp_path / "a" / "weights" / "last.pt", 2.0)
    stored(tmp_path / "b" / "weights" / "last.pt", 4.0)
    made = load_checkpoint(_blended_with(tuned, {"a": 0.5, "b": 0.25}, tmp_path)).model
    for value in made.state_dict().values():
        if value.is_floating_point():
            assert torch.allclose(value.float(), torch.tensor(2.25), atol=0.01)


@pytest.mark.parametrize(
    ("wanted", "there", "device"),
    [
        ("auto", 0, "cpu"),
        ("cpu", 2, "cpu"),
        ("auto", 2, "cuda:0"),
        ("cuda", 1, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
    ],
)
def test_training_takes_the_gpu_that_is_there(
    wanted: str, there: int, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.network import device_of

    monkeypatch.setattr(torch.cuda, "is_available", lambda: there > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    assert device_of(wanted) == device


@pytest.mark.parametrize(("wanted", "there"), [("cuda", 0), ("cuda:0", 0), ("cuda:2", 2)])
def test_a_gpu_that_is_asked_for_and_missing_ends_training(
    wanted: str, there: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detector.errors import Failure
    from training.network import device_of

    monkeypatch.setattr(torch.cuda, "is_available", lambda: there > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    with pytest.raises(Failure, match=f"device {wanted}: torch .* sees {there} NVIDIA GPUs here; take cpu"):
        device_of(wanted)


@pytest.mark.parametrize("wanted", ["", "gpu", "cuda:", "cuda:-1", "0", "cuda:0,1"])
def test_a_device_that_is_none(wanted: str) -> None:
    from detector.errors import WrongUse
    from training.network import device_of

    with pytest.raises(WrongUse, match="wanted auto, cpu, cuda or cuda:N"):
        device_of(wanted)


def test_the_command_line_goes_before_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training import train

    asked = []
    monkeypatch.setattr(
        train, "run_stages", lambda config, *_, **__: asked.append(config["train"].get("device"))
    )
    (tmp_path / "c.toml").write_text('name = "x"\n[data]\n[[stage]]\n[train]\ndevice = "cuda:1"\n')
    for device in (None, "cpu"):
        train.train(tmp_path / "c.toml", tmp_path / "b.pt", None, tmp_path / "work", device=device)
    assert asked == ["cuda:1", "cpu"]
