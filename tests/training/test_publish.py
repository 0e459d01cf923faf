"""A version is published whole or not at all. Skipped without the extra [train]."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs pip install 'kerbwatch[train]'")
pytest.importorskip("ultralytics", reason="needs pip install 'kerbwatch[train]'")
pytest.importorskip("onnx", reason="needs pip install 'kerbwatch[train]'")

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True, scope="module")
def prepared() -> None:
    from training.torchvision_shim import install

    install()


def a_request(tmp_path: Path, **changes):
    from training.publish import Request

    plain = {"weights": tmp_path, "run": tmp_path, "base": tmp_path, "data_root": tmp_path}
    return Request(**{**plain, **changes})


def test_versions_count_up(tmp_path: Path) -> None:
    from training.publish import next_version

    assert next_version(tmp_path / "street") == 1
    for name in ("1", "3", ".publishing-x"):
        (tmp_path / "street" / name).mkdir(parents=True)
    assert next_version(tmp_path / "street") == 4


def test_a_version_is_not_written_over_by_accident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.errors import WrongUse
    from training import publish

    monkeypatch.setattr(publish, "_fill", lambda folder, *_: (folder / "card.md").write_text("new"))
    (tmp_path / "street/1").mkdir(parents=True)
    (tmp_path / "street/1/card.md").write_text("old")
    with pytest.raises(WrongUse, match="street@1 is published already"):
        publish.publish(a_request(tmp_path, version=1), tmp_path)
    assert (tmp_path / "street/1/card.md").read_text() == "old"
    assert publish.publish(a_request(tmp_path, version=1, replace=True), tmp_path) == tmp_path / "street/1"
    assert (tmp_path / "street/1/card.md").read_text() == "new"
    assert publish.publish(a_request(tmp_path), tmp_path).name == "2"


@pytest.mark.parametrize("why", ["broken", "large"])
def test_what_goes_wrong_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    from detector.errors import Failure
    from training import publish

    def fill(folder: Path, *_: object) -> None:
        (folder / "street.onnx").write_bytes(b"0" * 17_000_000)
        if why == "broken":
            raise Failure("no pictures")

    monkeypatch.setattr(publish, "_fill", fill)
    with pytest.raises(Failure, match=r"no pictures|at most 16000000"):
        publish.publish(a_request(tmp_path), tmp_path)
    assert list((tmp_path / "street").iterdir()) == []
