"""INT8: which pictures, which parts stay, and what the files are. The last part needs nncf (extra [train])."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.errors import Failure, WrongUse
from detector.registry import resolve
from training import quantise as module
from training.quantise import SCOPES, draw_calibration, names_of, quantise, quantise_within

ROOT = Path(__file__).resolve().parents[2]
ONNX = ROOT / "models/street/1/street.onnx"

needs_nncf = pytest.mark.skipif(
    importlib.util.find_spec("nncf") is None or importlib.util.find_spec("onnx") is None,
    reason="needs pip install 'kerbwatch[train]'",
)


def a_set(root: Path, name: str, count: int) -> None:
    for number in range(count):
        file = root / name / "images" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), np.random.default_rng(number).integers(0, 255, (48, 64, 3), np.uint8))
    (root / name / "data.yaml").write_text("path: .\ntrain: images\nnames: [bin]\n")


def test_pictures_are_drawn_evenly_and_the_same_every_time(tmp_path: Path) -> None:
    for name, count in (("large", 40), ("small", 3), ("middle", 20)):
        a_set(tmp_path, name, count)
    drawn = draw_calibration(tmp_path, ["large", "small", "middle"], 21)
    assert drawn.sets == {"large": 9, "middle": 9, "small": 3}  # what the small one lacks the others give
    assert len(set(drawn.files)) == 21
    assert draw_calibration(tmp_path, ["small", "middle", "large"], 21) == drawn
    assert draw_calibration(tmp_path, ["large", "small", "middle"], 21, seed=1).files != drawn.files
    report = drawn.as_json()
    assert (report["pictures"], report["seed"], len(report["sha256"])) == (21, 0, 64)
    assert str(tmp_path) not in str(report)


def test_without_sets_there_is_nothing_to_draw_from(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no train picture to calibrate on"):
        draw_calibration(tmp_path, [])


NETWORK = [
    "/model.0/conv/Conv/WithoutBiases",
    "/model.10/m/m.0/attn/qkv/conv/Conv",
    "/model.23/cv2.1/cv2.1.0/conv/Conv",
    "/model.23/cv2.1/cv2.1.2/Conv",
    "/model.23/cv3.1/cv3.1.2/Conv",
    "/model.23/one2one_cv3.1/one2one_cv3.1.2/Conv",
    "/model.23/dfl/conv/Conv",
    "/model.23/Concat_7",
]


@pytest.mark.parametrize(
    ("kept", "places"),
    [
        (["decoding"], [6, 7]),
        (["last convolutions"], [3, 4, 5]),
        (["attention"], [1]),
        (["head"], [2, 3, 4, 5, 6, 7]),
    ],
)
def test_parts_of_a_network(kept: list[str], places: list[int]) -> None:
    assert names_of(NETWORK, kept) == [NETWORK[place] for place in places]


def test_a_network_without_names_of_modules() -> None:
    with pytest.raises(Failure, match="export it with `kerbwatch export`"):
        names_of(["Conv_1"], ["decoding"])


def fake_quantise(onnx_path: Path, target: Path, calibration, kept=(), side_px: int = 640) -> None:
    target.parent.mkdir(parents=True)
    target.write_text(" ".join(kept))
    target.with_suffix(".bin").write_bytes(b"weights")


@pytest.mark.parametrize(
    ("drops", "tries", "kept"),
    [
        ([0.002], 1, "decoding"),
        ([0.03, 0.0101, 0.01], 3, "decoding last convolutions attention"),
        ([0.03, 0.03, 0.03, 0.03], 4, None),
    ],
)
def test_parts_stay_in_floating_point_until_the_loss_is_small_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drops: list[float], tries: int, kept: str | None
) -> None:
    monkeypatch.setattr(module, "quantise", fake_quantise)
    left = iter(drops)
    target = tmp_path / "street-int8.xml"
    tried = quantise_within(
        tmp_path / "street.onnx", target, [], lambda xml: next(left) if xml.is_file() else 1.0
    )
    assert [one.drop_map50 for one in tried] == drops
    assert len(tried) == tries
    assert tried[-1].kept == tuple(name for name, _ in SCOPES[:tries])
    left_over = [target, target.with_suffix(".bin")] if kept else []
    assert sorted(tmp_path.iterdir()) == sorted(left_over)
    assert not kept or target.read_text() == kept


def test_without_nncf_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(
        Failure, match=r"nncf.*is not installed; INT8 needs: pip install 'kerbwatch\[train\]'"
    ):
        quantise(ONNX, tmp_path / "a.xml", [])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("pictures")
    a_set(root, "some", 2)
    return sorted((root / "some/images").glob("*.png"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, pictures: list[Path]) -> Path:
    target = tmp_path_factory.mktemp("int8") / "street-int8.xml"
    quantise(ONNX, target, pictures, side_px=64)
    return target


@needs_nncf
@pytest.mark.train
@pytest.mark.filterwarnings("ignore")
def test_int8_is_a_quarter_and_holds_nothing_of_the_machine(made: Path) -> None:
    parameters = 2_600_000
    assert made.with_suffix(".bin").stat().st_size < 1.1 * parameters
    text = made.read_text()
    assert 'element_type="i8"' in text or 'element_type="u8"' in text
    for stranger in (str(made.parent), "nncf", "</info>", "OpenVINO Runtime"):
        assert stranger not in text, stranger
    assert not re.search(r"20[23]\d-[01]\d-[0-3]\d", text)


@needs_nncf
@pytest.mark.train
@pytest.mark.filterwarnings("ignore")
def test_int8_is_close_to_the_float_network(made: Path, pictures: list[Path]) -> None:
    from training.parity import compare_outputs, openvino_infer

    parity = compare_outputs(openvino_infer(ONNX), openvino_infer(made), pictures, 64, score_min=0.0)
    assert 0 < parity.score_max < 0.3
    assert 0 < parity.box_px_mean < 3


@needs_nncf
@pytest.mark.train
@pytest.mark.filterwarnings("ignore")
def test_made_again_it_is_the_same_to_the_byte(made: Path, pictures: list[Path], tmp_path: Path) -> None:
    quantise(ONNX, tmp_path / "street-int8.xml", pictures, side_px=64)
    for suffix in (".xml", ".bin"):
        again = (tmp_path / "street-int8.xml").with_suffix(suffix)
        assert again.read_bytes() == made.with_suffix(suffix).read_bytes(), suffix


@needs_nncf
def test_a_part_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="'tail' is no part of a network; choose decoding"):
        quantise(ONNX, tmp_path / "a.xml", [], kept=["tail"])


@pytest.mark.skipif(
    not any(file.precision == "int8" for file in resolve("street@production", ROOT / "models").files),
    reason="the version in production has no INT8 file",
)
def test_the_shipped_int8_repeats_exactly() -> None:
    from detector.detector import Detector

    spec = resolve("street@production", ROOT / "models")
    picture = np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)
    answers = []
    for _ in range(2):
        with Detector(spec, precision="int8", threads=2) as detector:
            answers += [detector.detect(picture, 0.01) for _ in range(2)]
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer.xyxy, answers[0].xyxy)
        np.testing.assert_array_equal(answer.score, answers[0].score)
