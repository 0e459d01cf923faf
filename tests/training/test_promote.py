"""Promotion is one line, and only for a version that is whole."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

import kerbwatch
from detector.errors import Failure, WrongUse
from detector.registry import resolve
from training.promote import promote
from training.release import model_toml

REGISTRY = '# who serves what\n[alias]\n"street@production" = "street@1"\n"street@trial" = "street@1"\n'


def a_version(root: Path, version: int, card: str = "# street\n\nLicence: AGPL-3.0-or-later\n") -> Path:
    folder = root / "street" / str(version)
    folder.mkdir(parents=True)
    (folder / "street.onnx").write_bytes(b"onnx")
    (folder / "street.pt").write_bytes(b"pt")
    text = model_toml(folder, "street", version, ["person", "bin"], {"person": 0.3, "bin": 0.4}, "street-1")
    (folder / "model.toml").write_text(text)
    (folder / "card.md").write_text(card)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "registry.toml").write_text(REGISTRY)
    a_version(tmp_path, 1)
    a_version(tmp_path, 2)
    return tmp_path


def test_promotion_changes_one_line(root: Path) -> None:
    assert promote("street@2", root=root) == "street@production"
    after = (root / "registry.toml").read_text()
    changed = [line for line in difflib.ndiff(REGISTRY.splitlines(), after.splitlines()) if line[0] in "+-"]
    assert changed == ['- "street@production" = "street@1"', '+ "street@production" = "street@2"']
    assert resolve("street@production", root).version == 2


def test_a_new_alias_adds_one_line(root: Path) -> None:
    promote("street@2", "canary", root=root)
    assert resolve("street@canary", root).version == 2
    assert len((root / "registry.toml").read_text().splitlines()) == len(REGISTRY.splitlines()) + 1


def test_without_a_registry_file_one_is_made(root: Path) -> None:
    (root / "registry.toml").unlink()
    promote("street@2", root=root)
    assert resolve("street@production", root).version == 2


@pytest.mark.parametrize(
    ("ref", "alias"),
    [("street", "production"), ("street@x", "production"), ("street@1", "2"), ("street@1", "a b")],
)
def test_what_is_no_version_or_alias(root: Path, ref: str, alias: str) -> None:
    with pytest.raises(WrongUse):
        promote(ref, alias, root=root)
    assert (root / "registry.toml").read_text() == REGISTRY


def test_a_version_that_does_not_exist(root: Path) -> None:
    with pytest.raises(Failure, match="no model street@9"):
        promote("street@9", root=root)


@pytest.mark.parametrize("file", ["street.onnx", "street.pt"])
def test_a_changed_file_is_refused(root: Path, file: str) -> None:
    (root / "street/2" / file).write_bytes(b"other")
    with pytest.raises(Failure, match="not the published file"):
        promote("street@2", root=root)
    assert (root / "registry.toml").read_text() == REGISTRY


@pytest.mark.parametrize("card", [None, "# street\n", "# street\nLicence:\n"])
def test_a_card_without_a_licence_is_refused(root: Path, card: str | None) -> None:
    path = root / "street/2/card.md"
    path.unlink()
    if card is not None:
        path.write_text(card)
    with pytest.raises(Failure, match=r"card\.md"):
        promote("street@2", root=root)


def test_command_line(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERBWATCH_MODELS", str(root))
    assert kerbwatch.main(["promote", "street@2"]) == 0
    assert capsys.readouterr().out == "street@production = street@2\n"
    assert kerbwatch.main(["promote", "street@7"]) == 1
    assert kerbwatch.main(["promote", "street"]) == 2
