from __future__ import annotations

import shutil
from pathlib import Path

import pytest

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
