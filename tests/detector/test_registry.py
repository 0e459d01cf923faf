from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from detector.backends.chip import adds_int8_exactly
from detector.detector import Detector
from detector.errors import Failure, WrongUse
from detector.registry import MODELS_ENV, aliases, models_root, resolve, weights


@pytest.fixture
def root(colour_models: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(colour_models, tmp_path / "models"))


def test_by_version_alias_and_folder(root):
    assert resolve("colours@0", root).ref == "colours@0"
    assert resolve("street@production", root).ref == "colours@0"
    assert resolve(str(root / "colours" / "0")).ref == "colours@0"
    assert resolve(str(root / "colours" / "0" / "model.toml")).ref == "colours@0"


def test_the_models_folder_is_named_by_the_environment_or_the_checkouts_own(monkeypatch, tmp_path):
    monkeypatch.setenv(MODELS_ENV, str(tmp_path))
    assert models_root() == tmp_path
    monkeypatch.delenv(MODELS_ENV)
    assert models_root() == Path(__file__).parents[2] / "models"


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ("colours@7", "there is no model colours@7 in .* \\(it has colours@0\\)"),
        ("street@staging", "there is no model alias street@staging .* \\(it has street@production\\)"),
        ("nowhere/at/all", "nowhere/at/all/model.toml does not exist"),
    ],
)
def test_what_is_not_there(ref, says, root):
    with pytest.raises(Failure, match=says) as caught:
        resolve(ref, root)
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("ref", ["street@", "@1", "a b@1"])
def test_what_is_no_reference(ref, root):
    with pytest.raises(WrongUse, match="is no model: write name@version"):
        resolve(ref, root)


def test_no_models_folder_at_all(tmp_path):
    with pytest.raises(Failure, match=f"the folder .* does not exist: set {MODELS_ENV}"):
        resolve("street@1", tmp_path / "models")


def test_a_folder_that_holds_another_model(root):
    shutil.copytree(root / "colours" / "0", root / "street" / "3")
    with pytest.raises(WrongUse, match="calls itself colours@0, its folder says street@3"):
        resolve("street@3", root)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[alias]\n"street@production" = 1', "must point at a version such as 'street@1', not at 1"),
        ('[alias]\n"street@production" = "street"', "must point at a version"),
        ('[aliases]\n"street@production" = "street@1"', "wanted one table"),
        ("alias = 3", "wanted one table"),
        ("[alias", "not valid TOML"),
    ],
)
def test_a_bad_alias_table(text, says, root):
    (root / "registry.toml").write_text(text, encoding="utf-8")
    with pytest.raises(WrongUse, match=says):
        aliases(root)


def test_an_alias_of_a_model_that_is_gone(root):
    shutil.rmtree(root / "colours")
    with pytest.raises(Failure, match="there is no model colours@0"):
        resolve("street@production", root)


def test_weights_with_the_right_hash(root):
    spec = resolve("colours@0", root)
    assert weights(spec, "openvino", "onnx") == root / "colours" / "0" / "colours.xml"


@pytest.mark.parametrize("name", ["colours.xml", "colours.bin"])
def test_weights_with_another_hash(name, root):
    with (root / "colours" / "0" / name).open("ab") as stream:
        stream.write(b" ")
    with pytest.raises(
        Failure, match=rf"{name} .* wanted sha256 [0-9a-f]{{64}}, got [0-9a-f]{{64}}; check out"
    ):
        weights(resolve("colours@0", root), "openvino")


def test_missing_weights(root):
    (root / "colours" / "0" / "colours.bin").unlink()
    with pytest.raises(Failure, match=r"colours\.bin of model colours@0 is missing"):
        weights(resolve("colours@0", root), "openvino")


def test_a_backend_without_weights(root):
    with pytest.raises(Failure, match="has no file for the backend onnx; it has openvino"):
        weights(resolve("colours@0", root), "onnx")


@pytest.fixture
def quantised(root: Path) -> Path:
    """The models folder, where colours@0 has one more pair of files, said to be INT8 and preferred."""
    folder = root / "colours" / "0"
    text = (folder / "model.toml").read_text(encoding="utf-8")
    more = text[text.index("[[file]]") :].replace("colours.", "colours-int8.")
    more = more.replace("[[file]]", '[[file]]\nprecision = "int8"')
    for suffix in ("xml", "bin"):
        shutil.copyfile(folder / f"colours.{suffix}", folder / f"colours-int8.{suffix}")
    text = text.replace('licence = "none"', 'licence = "none"\nprecision = "int8"')
    (folder / "model.toml").write_text(f"{text}\n{more}", encoding="utf-8")
    return root


def test_each_precision_has_its_own_files(quantised):
    spec = resolve("colours@0", quantised)
    assert weights(spec, "openvino").name == "colours.xml"
    assert weights(spec, "openvino", precision="int8").name == "colours-int8.xml"
    (spec.folder / "colours.bin").write_bytes(b"")
    assert (
        weights(spec, "openvino", precision="int8").name == "colours-int8.xml"
    )  # the other's hash is not its own
    (spec.folder / "colours-int8.bin").write_bytes(b"")
    with pytest.raises(Failure, match=r"colours-int8\.bin of model colours@0 is not the published file"):
        weights(spec, "openvino", precision="int8")


def test_the_models_own_precision_is_taken_where_nobody_asks(quantised, monkeypatch):
    spec = resolve("colours@0", quantised)
    picture = np.zeros((96, 320, 3), np.uint8)
    (spec.folder / "colours.bin").unlink()
    monkeypatch.setattr("detector.precision.adds_int8_exactly", lambda: True)
    with Detector(spec, threads=1) as detector:
        detector.detect(picture)
    monkeypatch.setattr("detector.precision.adds_int8_exactly", lambda: False)  # it would saturate: f32
    with pytest.raises(Failure, match=r"colours\.bin of model colours@0 is missing"):
        Detector(spec, threads=1)
    with Detector(spec, threads=1, precision="int8") as detector:  # asked for all the same
        detector.detect(picture)
    with pytest.raises(Failure, match=r"colours\.bin of model colours@0 is missing"):
        Detector(spec, threads=1, precision="f32")


def test_int8_of_a_model_that_has_none(root):
    with pytest.raises(Failure, match="no file for the backend openvino in int8; it has openvino: choose"):
        Detector(resolve("colours@0", root), precision="int8")


@pytest.mark.parametrize("backend", ["onnx", "ultralytics"])
def test_int8_is_openvinos_alone(backend, quantised):
    with pytest.raises(WrongUse, match="use openvino for that"):
        Detector(resolve("colours@0", quantised), backend, precision="int8")


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 avx512f avx512_vnni\n", True),
        ("flags : fpu avx2\nflags : avx_vnni\n", False),  # all cores or none: the first one speaks
        ("Features\t: fp asimd asimddp\n", True),
        ("model name : avx_vnni\n", False),
        ("", False),
    ],
)
def test_which_chips_compute_int8_exactly(text, exact, tmp_path):
    (tmp_path / "cpuinfo").write_text(text)
    assert adds_int8_exactly(tmp_path / "cpuinfo") is exact
    assert not adds_int8_exactly(tmp_path / "nowhere")
