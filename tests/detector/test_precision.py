from __future__ import annotations

import logging

import pytest

from detector import precision
from detector.backends.chip import multiplies_bf16
from detector.backends.scripted import scripted_spec
from detector.precision import choose
from detector.spec import ModelFile


@pytest.fixture
def chip(monkeypatch):
    def has(*, int8: bool, bf16: bool) -> None:
        monkeypatch.setattr(precision, "adds_int8_exactly", lambda: int8)
        monkeypatch.setattr(precision, "multiplies_bf16", lambda: bf16)

    return has


def spec_with(*, int8_file: bool, prefers: str):
    file = ModelFile(backend="openvino", path="m.xml", sha256="0" * 64, precision="int8")
    spec = scripted_spec(["car"])
    return spec.model_copy(
        update={"precision": prefers, "files": (*spec.files, file) if int8_file else spec.files}
    )


PLAIN = spec_with(int8_file=False, prefers="f32")
BESIDE = spec_with(int8_file=True, prefers="f32")
PREFERS = spec_with(int8_file=True, prefers="int8")


@pytest.mark.parametrize(
    ("spec", "int8", "bf16", "quiet", "auto", "why"),
    [
        (PLAIN, True, True, "f32", "bf16", "multiplies bfloat16"),
        (PLAIN, True, False, "f32", "f32", "no faster floating point"),
        (BESIDE, True, True, "f32", "bf16", "for --precision int8 only: model.toml does not prefer it"),
        (PREFERS, True, True, "int8", "int8", "adds INT8 exactly and model.toml prefers it"),
        (PREFERS, False, True, "f32", "bf16", "multiplies bfloat16"),
        (PREFERS, False, False, "f32", "f32", "no faster floating point"),
    ],
)
def test_openvino(spec, int8, bf16, quiet, auto, why, chip, caplog):
    chip(int8=int8, bf16=bf16)
    with caplog.at_level(logging.INFO):
        assert choose(None, spec, "openvino") == quiet  # what repeats stays the default of run and demo
        assert not caplog.messages
        assert choose("auto", spec, "openvino") == auto
    (said,) = caplog.messages
    assert said.startswith(f"scripted@0 is computed in {auto}: ")
    assert why in said


def test_what_is_asked_for_is_done(chip):
    chip(int8=False, bf16=False)
    assert [choose(asked, PLAIN, "openvino") for asked in ("f32", "bf16", "int8")] == ["f32", "bf16", "int8"]


def test_other_backends(chip, monkeypatch):
    chip(int8=True, bf16=True)
    assert choose("auto", PREFERS, "ultralytics", device="cuda:0") == "f16"
    assert choose("auto", PREFERS, "ultralytics", device="cpu") == "f32"
    assert choose("auto", PREFERS, "tensorrt") == "f16"
    for there, auto in ((True, "f16"), (False, "f32")):
        monkeypatch.setattr(precision, "torch_has_gpu", lambda there=there: there)
        assert choose("auto", PREFERS, "ultralytics") == auto
    assert choose("auto", PREFERS, "onnx") == "f32"
    assert choose(None, PREFERS, "ultralytics", device="cuda") == "f32"


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("flags : fpu avx512_bf16\n", True),
        ("flags : amx_bf16 amx_tile\n", True),
        ("flags : avx512f avx512_vnni\n", False),
        ("model name : avx512_bf16\n", False),
        ("", False),
    ],
)
def test_which_chips_multiply_bf16(text, has, tmp_path):
    (tmp_path / "cpuinfo").write_text(text)
    assert multiplies_bf16(tmp_path / "cpuinfo") is has
    assert not multiplies_bf16(tmp_path / "nowhere")
