"""One suite for every Backend: the same boxes from all of them, on real frames and on made ones."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from detector.backends import KINDS, Backend, DirectBackend, Options, open_backend
from detector.backends.chip import adds_int8_exactly, multiplies_bf16
from detector.backends.scripted import EVERY_OTHER, ScriptedBackend, scripted_spec
from detector.detector import Detector
from detector.errors import Failure
from detector.letterbox import letterbox
from detector.registry import resolve, weights
from detector.spec import ModelSpec
from detector.types import Detections

CLIPS = Path(__file__).parents[3] / "shared" / "clips"
NEEDS = {
    "openvino": "openvino",
    "onnx": "onnxruntime",
    "ultralytics": "torch",
    "tensorrt": "tensorrt",
    "scripted": "detector",
}
FILES = {
    "openvino": ("openvino", "onnx"),
    "onnx": ("onnx",),
    "ultralytics": ("ultralytics",),
    "tensorrt": ("onnx",),
}
REAL = ("openvino", "onnx", "ultralytics", "tensorrt")


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    for ref in ("street@production", "base@0"):
        try:
            return resolve(ref)
        except Failure as failure:
            reason = str(failure)
    pytest.skip(f"no model to compare backends with: {reason}")


def opened(kind: str, spec: ModelSpec) -> Backend:
    if importlib.util.find_spec(NEEDS[kind]) is None:
        pytest.skip(f"the backend {kind} needs {NEEDS[kind]}, which is not installed")
    if kind == "scripted":
        return ScriptedBackend(
            scripted_spec(spec.labels), script={EVERY_OTHER: [(spec.labels[0], 0.5, (1, 2, 30, 40))]}
        )
    try:
        weights(spec, *FILES[kind])
    except Failure as failure:
        pytest.skip(str(failure))
    return open_backend(kind, spec, Options(threads=2))


@pytest.fixture(scope="module", params=list(KINDS))
def backend(request, spec) -> Iterator[Backend]:
    made = opened(request.param, spec)
    yield made
    made.close()
    made.close()


def canvases(count: int, height: int, width: int, seed: int = 0):
    """Pictures with structure: blurred noise, so that scores are not all zero."""
    noise = np.random.default_rng(seed).integers(0, 255, (count, height // 8, width // 8, 3), np.uint8)
    return np.stack([cv2.resize(each, (width, height), interpolation=cv2.INTER_CUBIC) for each in noise])


@pytest.mark.parametrize(("height", "width"), [(384, 640), (640, 384), (640, 640), (32, 640)])
def test_the_output_has_the_shape_of_the_protocol(height, width, backend, spec):
    raw = backend.infer(canvases(1, height, width))
    assert raw.dtype == np.float32
    assert raw.shape[:2] == (1, 4 + len(spec.labels))
    assert np.isfinite(raw).all()
    assert raw[:, 4:].min() >= 0
    assert raw[:, 4:].max() <= 1


def test_the_same_picture_gives_the_same_output_again(backend):
    given = canvases(1, 384, 640)
    first = backend.infer(given).copy()
    backend.infer(canvases(1, 384, 640, seed=1))
    np.testing.assert_array_equal(backend.infer(given), first)


def test_an_output_stays_what_it_was(backend):
    first = backend.infer(canvases(1, 384, 640))
    kept = first.copy()
    backend.infer(canvases(1, 384, 640, seed=2))
    np.testing.assert_array_equal(first, kept)


def test_the_input_is_left_alone(backend):
    given = canvases(1, 384, 640)
    before = given.copy()
    given.setflags(write=False)
    backend.infer(given)
    np.testing.assert_array_equal(given, before)


def test_a_batch_gives_what_its_pictures_give_alone(backend):
    given = canvases(3, 192, 320)
    together = backend.infer(given)
    for picture, raw in zip(given, together, strict=True):
        np.testing.assert_allclose(backend.infer(picture[None])[0], raw, atol=0.05)


def test_many_threads_get_their_own_answers(backend):
    given = [canvases(1, 192, 320, seed) for seed in range(6)] + [canvases(1, 320, 192, 9)]
    wanted = [backend.infer(each) for each in given]
    with ThreadPoolExecutor(6) as threads:
        for _ in range(3):
            for got, alone in zip(threads.map(backend.infer, given), wanted, strict=True):
                np.testing.assert_allclose(got, alone, atol=0.05)


def test_it_says_how_it_wants_to_be_fed(backend):
    assert backend.batch_max >= 1
    assert backend.in_flight >= 1


def direct(backend: Backend) -> DirectBackend:
    if not isinstance(backend, DirectBackend):
        pytest.skip("it has no way for single pictures")
    return backend


def test_single_pictures_are_read_where_they_lie(backend):
    device, given = direct(backend), canvases(4, 192, 320)
    for picture in given:
        answer = device.compute(picture, np.array)
        np.testing.assert_array_equal(answer.value, backend.infer(picture[None])[0])
        assert answer.took_s > 0
        assert answer.waited_s >= 0
    runs = [device.begin(picture, np.array) for picture in given]  # more than it has places
    for picture, run in reversed(list(zip(given, runs, strict=True))):
        np.testing.assert_array_equal(run.answer(60).value, backend.infer(picture[None])[0])
        assert run.done()
        np.testing.assert_array_equal(run.answer().value, backend.infer(picture[None])[0])


def test_many_threads_with_single_pictures(backend):
    device, given = direct(backend), canvases(5, 192, 320)
    wanted = [backend.infer(picture[None])[0] for picture in given]

    def camera(number):
        for k in range(6):
            place = (number + k) % len(given)
            run = device.begin(given[place], np.array) if k % 2 else None
            computed = device.compute(given[place], np.array).value
            np.testing.assert_array_equal(computed, wanted[place])
            if run is not None:
                np.testing.assert_array_equal(run.answer(60).value, wanted[place])
        return True

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(camera, range(6)))


def test_a_picture_that_fails_leaves_the_others_alone(backend):
    device, good = direct(backend), canvases(1, 192, 320)[0]
    wanted = device.compute(good, np.array).value
    for _ in range(2 * backend.in_flight + 1):  # a place that is not given back would block for ever
        bad = np.zeros((100, 70, 3), np.uint8)  # no multiple of the stride
        with pytest.raises(Failure, match="does not take pictures of 70x100 pixels"):
            device.compute(bad, np.array)
        run = device.begin(good, np.array)
        with pytest.raises(Failure, match="does not take pictures of 70x100 pixels"):
            device.begin(bad, np.array).answer(60)
        with pytest.raises(ZeroDivisionError):
            device.begin(good, lambda _: 1 / 0).answer(60)
        np.testing.assert_array_equal(run.answer(60).value, wanted)


def frames() -> list[tuple[str, np.ndarray]]:
    found = []
    for clip in sorted(CLIPS.glob("*.mp4")):
        capture = cv2.VideoCapture(str(clip))
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        for index in (0, count // 2, max(0, count - 3)):
            capture.set(cv2.CAP_PROP_POS_FRAMES, index)
            ok, frame = capture.read()
            if ok:
                found.append((f"{clip.stem}[{index}]", frame))
        capture.release()
    return found


def partner(box, score, label, others: Detections) -> bool:
    near = (np.abs(others.xyxy - box).max(axis=1) <= 1) & (np.abs(others.score - score) <= 0.02)
    return bool((near & (others.label == label)).any())


def strangers(one: Detections, other: Detections, score_min: float) -> list[str]:
    """Boxes of `one` that `other` lacks, but for those so near the threshold that 0.02 may hide them."""
    return [
        f"{one.names[label]} {score:.3f} {box.round(1).tolist()}"
        for box, score, label in zip(one.xyxy, one.score, one.label, strict=True)
        if score >= score_min + 0.02 and not partner(box, score, label, other)
    ]


@pytest.mark.shared
@pytest.mark.parametrize("kind", REAL[1:])
def test_real_frames_give_the_same_boxes_as_openvino(kind, spec):
    if not CLIPS.is_dir():
        pytest.skip(f"no clips in {CLIPS}")
    compared = 0
    with Detector(spec, opened(kind, spec)) as detector, Detector(spec, opened("openvino", spec)) as standard:
        for name, picture in frames():
            mine, wanted = detector.detect(picture, 0.25), standard.detect(picture, 0.25)
            assert strangers(mine, wanted, 0.25) == [], name
            assert strangers(wanted, mine, 0.25) == [], name
            compared += len(wanted)
    assert compared > 20


ROUNDED = {"bf16": (0.06, 2.0), "int8": (0.20, 6.0)}
"""By how much scores, and sides in px beside 3 % of the box, may differ from f32."""


@pytest.mark.shared
@pytest.mark.parametrize("precision", list(ROUNDED))
def test_real_frames_give_nearly_the_same_boxes_in_fewer_bits(precision, spec):
    if not CLIPS.is_dir():
        pytest.skip(f"no clips in {CLIPS}")
    if precision == "bf16" and not multiplies_bf16():
        pytest.skip("this processor does not multiply bfloat16")
    if precision == "int8" and not (spec.files_of("openvino", "int8") and adds_int8_exactly()):
        pytest.skip(f"{spec.ref} has no INT8 file, or this processor does not add INT8 exactly")
    by_score, by_px = ROUNDED[precision]
    wanted = alone = 0
    with (
        Detector(spec, precision=precision, threads=2) as detector,
        Detector(spec, precision="f32", threads=2) as standard,
    ):
        assert (detector.precision, standard.precision) == (precision, "f32")
        for _, picture in frames():
            rounded, exact = detector.detect(picture, 0.25), standard.detect(picture, 0.25)
            for one, other in ((rounded, exact), (exact, rounded)):
                for box, score, label in zip(one.xyxy, one.score, one.label, strict=True):
                    sure = score >= 0.25 + by_score  # nearer to the threshold, the other may lie below it
                    wanted += sure
                    alone += sure and not counterpart(box, score, label, other, by_score, by_px)
    assert wanted > 40
    assert alone <= 0.02 * wanted, f"{alone} of {wanted} boxes have no counterpart"


def counterpart(box, score, label, others, by_score, by_px) -> bool:
    reach = by_px + 0.03 * float((box[2:] - box[:2]).max())
    near = (np.abs(others.xyxy - box).max(axis=1) <= reach) & (np.abs(others.score - score) <= by_score)
    return bool((near & (others.label == label)).any())


def made_street() -> np.ndarray:
    """Grey road, sky, boxes on wheels: enough for a network to have opinions about."""
    picture = np.full((360, 640, 3), 110, np.uint8)
    picture[:140] = (230, 190, 150)
    for left, colour in ((60, (40, 40, 200)), (260, (200, 200, 200)), (460, (150, 60, 20))):
        cv2.rectangle(picture, (left, 180), (left + 130, 250), colour, cv2.FILLED)
        cv2.rectangle(picture, (left + 25, 150), (left + 105, 185), colour, cv2.FILLED)
        cv2.rectangle(picture, (left + 35, 155), (left + 95, 180), (60, 50, 40), cv2.FILLED)
        for wheel in (left + 28, left + 102):
            cv2.circle(picture, (wheel, 250), 17, (20, 20, 20), cv2.FILLED)
    return cv2.GaussianBlur(picture, (5, 5), 1)


@pytest.mark.parametrize("kind", REAL[1:])
def test_a_made_picture_gives_the_same_output_as_openvino(kind, spec):
    mine, wanted = opened(kind, spec), opened("openvino", spec)
    for picture in (made_street(), made_street()[:, 100:300], np.full((50, 50, 3), 255, np.uint8)):
        canvas, _ = letterbox(picture, spec.side_px, spec.stride_px)
        got, standard = mine.infer(canvas[None])[0], wanted.infer(canvas[None])[0]
        np.testing.assert_allclose(got[4:], standard[4:], atol=0.02)
        sure = standard[4:].max(axis=0) > 0.05
        np.testing.assert_allclose(got[:4, sure], standard[:4, sure], atol=1)
    mine.close()
    wanted.close()
