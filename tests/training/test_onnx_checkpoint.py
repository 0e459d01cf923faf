"""The torch network inside an ONNX file of ours. Skipped without the extra [train]."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from detector.errors import Failure, WrongUse

torch = pytest.importorskip("torch", reason="needs pip install 'kerbwatch[train]'")
pytest.importorskip("ultralytics", reason="needs pip install 'kerbwatch[train]'")
onnx = pytest.importorskip("onnx", reason="needs pip install 'kerbwatch[train]'")

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore")]

NAMES = ("person", "bin", "stall")
SIDE_PX = 64


@pytest.fixture(autouse=True, scope="module")
def prepared() -> None:
    from training.torchvision_shim import install

    install()


def a_network(config: str, made_for: int):
    """A network whose head was made for some classes and has learnt ours, with statistics as after training."""
    from ultralytics.nn.tasks import DetectionModel

    torch.manual_seed(0)
    model = DetectionModel(config, nc=len(NAMES), verbose=False)
    model.names = dict(enumerate(NAMES))
    model.load(DetectionModel(config, nc=made_for, verbose=False), verbose=False)
    model.args = {"task": "detect"}
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2.0)
            module.running_mean.normal_(0, 0.1)
            module.num_batches_tracked += 7
            module.weight.data.uniform_(0.5, 1.5)
    return model.eval()


def written(folder: Path, config: str = "yolo11n.yaml", made_for: int = 80) -> tuple[Path, Path]:
    """Write a slim checkpoint and the ONNX file made from it; give both."""
    from training.export import export_onnx, save_slim

    slim, onnx_path = folder / "slim.pt", folder / "street.onnx"
    save_slim(a_network(config, made_for), slim, SIDE_PX)
    export_onnx(slim, onnx_path, SIDE_PX)
    return slim, onnx_path


@pytest.fixture(scope="module")
def pair(prepared: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return written(tmp_path_factory.mktemp("pair"))


def assert_same_network(ours, theirs) -> None:
    one, other = ours.state_dict(), theirs.state_dict()
    assert list(one) == list(other)
    for key, value in one.items():
        assert value.dtype == other[key].dtype
        assert value.numpy().tobytes() == other[key].numpy().tobytes(), key
    assert ours.names == theirs.names
    assert str(ours) == str(theirs)
    picture = torch.rand(1, 3, 32, SIDE_PX)
    with torch.no_grad():
        assert torch.equal(ours(picture)[0], theirs(picture)[0])


def test_the_network_comes_back_bit_for_bit(pair: tuple[Path, Path]) -> None:
    from training.export import load_checkpoint

    slim, onnx_path = pair
    assert_same_network(load_checkpoint(onnx_path).model, load_checkpoint(slim).model)
    assert onnx_path.stat().st_size < 1.06 * slim.stat().st_size


@pytest.mark.parametrize(
    ("config", "made_for"), [("yolo11n.yaml", 3), ("yolov8n.yaml", 80), ("yolo26n.yaml", 80)]
)
def test_other_networks_come_back_too(tmp_path: Path, config: str, made_for: int) -> None:
    from training.export import load_checkpoint

    slim, onnx_path = written(tmp_path, config, made_for)
    assert_same_network(load_checkpoint(onnx_path).model, load_checkpoint(slim).model)


def test_the_checkpoint_written_from_it_holds_the_same(pair: tuple[Path, Path], tmp_path: Path) -> None:
    from training.export import as_checkpoint, load_checkpoint

    slim, onnx_path = pair
    assert as_checkpoint(slim, tmp_path / "never.pt") == slim
    again = as_checkpoint(onnx_path, tmp_path / "again.pt")
    assert_same_network(load_checkpoint(again).model, load_checkpoint(slim).model)
    raw = torch.load(again, weights_only=False)
    assert raw["train_args"] == {"task": "detect", "imgsz": SIDE_PX}
    assert raw["model"].yaml["nc"] == raw["model"].nc == len(NAMES)


def test_exported_once_more_it_is_the_same_file(pair: tuple[Path, Path], tmp_path: Path) -> None:
    from training.export import export_onnx

    export_onnx(pair[1], tmp_path / "again.onnx", SIDE_PX)
    assert (tmp_path / "again.onnx").read_bytes() == pair[1].read_bytes()


def test_the_backend_gives_what_the_checkpoint_gives(pair: tuple[Path, Path], tmp_path: Path) -> None:
    import hashlib
    import tomllib

    from detector.backends import Options, open_backend
    from detector.spec import spec_of
    from training.release import model_toml

    for path in pair:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    text = model_toml(tmp_path, "street", 1, NAMES, dict.fromkeys(NAMES, 0.3), "street-1")
    slim = {
        "backend": "ultralytics",
        "path": "slim.pt",
        "sha256": hashlib.sha256(pair[0].read_bytes()).hexdigest(),
    }
    table = tomllib.loads(text)
    canvas = np.random.default_rng(0).integers(0, 255, (2, 32, SIDE_PX, 3), np.uint8)
    given = []
    for files in (table["file"], [slim]):
        backend = open_backend("ultralytics", spec_of({**table, "file": files}, tmp_path), Options())
        given.append(backend.infer(canvas))
        backend.close()
    np.testing.assert_array_equal(given[0], given[1])
    assert given[0].shape[:2] == (2, 4 + len(NAMES))


def changed(path: Path, target: Path, **metadata: str) -> Path:
    """Copy an ONNX file with other metadata; an empty text takes a key out."""
    model = onnx.load(str(path))
    said = {entry.key: entry.value for entry in model.metadata_props} | metadata
    del model.metadata_props[:]
    for key, value in said.items():
        if value:
            model.metadata_props.add(key=key, value=value)
    onnx.save(model, str(target))
    return target


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({"architecture": "", "unfused": ""}, r"holds a graph only.*architecture, unfused.*kerbwatch export"),
        ({"architecture": "{"}, "do not fit together"),
        ({"architecture": "{}"}, "do not fit together"),
        ({"unfused": base64.b64encode(b"no graph").decode()}, "do not fit together"),
        ({"unfused": "===="}, "do not fit together"),
        ({"names": "person"}, "do not fit together"),
        ({"imgsz": "large"}, "do not fit together"),
    ],
)
def test_what_is_not_ours_is_one_sentence(
    pair: tuple[Path, Path], tmp_path: Path, metadata: dict[str, str], sentence: str
) -> None:
    from training.export import load_checkpoint

    path = changed(pair[1], tmp_path / "foreign.onnx", **metadata)
    with pytest.raises(Failure, match=sentence) as failure:
        load_checkpoint(path)
    assert "\n" not in str(failure.value)


def test_no_onnx_file_is_one_sentence(tmp_path: Path) -> None:
    from training.export import as_checkpoint, load_checkpoint

    with pytest.raises(Failure, match="there are no weights"):
        as_checkpoint(tmp_path / "none.onnx", tmp_path / "x.pt")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(Failure, match="cannot be read as ONNX"):
        load_checkpoint(tmp_path / "text.onnx")


def test_export_does_not_write_over_what_it_reads(tmp_path: Path) -> None:
    from training import cli

    with pytest.raises(WrongUse, match="--output"):
        cli.export([str(tmp_path / "street.onnx")])
