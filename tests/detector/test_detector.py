from __future__ import annotations

import hashlib
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from detector.backends import KINDS, Options, open_backend
from detector.backends.openvino import OFTEN, SHAPES_MAX, OpenVinoBackend, import_openvino
from detector.backends.scripted import EVERY_OTHER, ScriptedBackend, scripted_spec
from detector.detector import Detector, open_detector
from detector.errors import Failure, WrongUse
from detector.registry import resolve

BGR = {"red": 2, "green": 1, "blue": 0}


def street(*blocks: tuple[str, int, int], width=320, height=192):
    """A black picture with cells of pure colour: (colour, column, row) of the 32 px grid."""
    image = np.zeros((height, width, 3), np.uint8)
    for colour, column, row in blocks:
        image[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32, BGR[colour]] = 255
    return image


def cells(found):
    return sorted(
        (found.names[label], *(xyxy[:2] / 32).tolist())
        for label, xyxy in zip(found.label, found.xyxy, strict=True)
    )


@pytest.fixture(scope="module")
def detector(colour_models):
    with Detector(resolve("colours@0", colour_models), threads=1) as opened:
        yield opened


def test_it_finds_what_is_there(detector):
    found = detector.detect(street(("red", 2, 1), ("blue", 9, 5)))
    assert found.names == ("red", "green", "blue") == detector.names
    assert cells(found) == [("blue", 9, 5), ("red", 2, 1)]
    np.testing.assert_allclose(found.score, 1, atol=1e-5)
    assert detector.model_ref == "colours@0"


def test_a_thing_may_come_as_every_class_where_that_is_asked_for(detector):
    image = street(("red", 2, 1), ("green", 9, 5))
    image[32:64, 64:96, BGR["blue"]] = 230  # the red one is bluish too
    assert cells(detector.detect(image)) == [("green", 9, 5), ("red", 2, 1)]
    every = detector.detect(image, every_class=True)
    assert cells(every) == [("blue", 2, 1), ("green", 9, 5), ("red", 2, 1)]
    assert detector.submit(image, every_class=True).result().score.tolist() == every.score.tolist()


def test_boxes_are_in_the_pixels_of_the_source(detector):
    large = np.repeat(np.repeat(street(("green", 3, 2)), 6, axis=0), 6, axis=1)
    np.testing.assert_allclose(detector.detect(large).xyxy, [[3 * 192, 2 * 192, 4 * 192, 3 * 192]], atol=0.01)


def test_a_canvas_gives_boxes_in_the_pixels_of_its_source(detector):
    lies = detector.lies(1920, 1080)
    assert lies.canvas_wh == (320, 192)
    canvas = street(("green", 3, 2))
    before = detector.batches
    found = detector.detect_canvas(canvas, lies)
    np.testing.assert_allclose(
        found.xyxy, lies.to_source(np.array([[96, 64, 128, 96]], np.float32)), atol=0.01
    )
    assert detector.submit_canvas(canvas, lies, 0.5).result(10).xyxy.tolist() == found.xyxy.tolist()
    assert detector.batches - before == {1: 2}
    assert detector.infer_s > 0


@pytest.mark.parametrize(
    "canvas", [np.zeros((192, 352, 3), np.uint8), np.zeros((192, 320, 3)), np.zeros((192, 320), np.uint8)]
)
def test_a_canvas_of_another_size_than_its_letterbox_says(canvas, detector):
    with pytest.raises(ValueError, match=r"canvas: wanted uint8 \(192, 320, 3\) BGR, got"):
        detector.submit_canvas(canvas, detector.lies(640, 360))


def test_boxes_that_lie_in_the_border_are_dropped(detector):
    # 320 x 20: the canvas has 12 grey rows; at a threshold below their grey nothing may come from them alone.
    found = detector.detect(np.zeros((20, 320, 3), np.uint8), score_min=0.001)
    assert (found.xyxy[:, 3] > found.xyxy[:, 1]).all()
    assert found.xyxy.max() <= 320
    assert found.xyxy[:, 3].max() <= 20


def test_thresholds(detector):
    image = (street(("red", 1, 1), ("blue", 2, 2)) * 0.7).astype(np.uint8)  # scores of 0.7
    assert cells(detector.detect(image)) == [("red", 1, 1)]  # blue wants 0.8
    assert len(detector.detect(image, score_min=0.5)) == 2
    assert cells(detector.detect(image, score_min={"blue": 0.1, "red": 0.9})) == [("blue", 2, 2)]
    assert cells(detector.detect(image, score_min={"blue": 0.1})) == [("blue", 2, 2), ("red", 1, 1)]


@pytest.mark.parametrize(
    ("score_min", "says"),
    [
        (1.5, "from 0 to 1"),
        (-0.1, "from 0 to 1"),
        (float("nan"), "from 0 to 1"),
        ({"pink": 0.5}, "no class 'pink'"),
    ],
)
def test_thresholds_that_make_no_sense(score_min, says, detector):
    with pytest.raises(WrongUse, match=says):
        detector.detect(street(), score_min)


def test_many_pictures_of_many_sizes_keep_their_order(detector):
    pictures = [street(("red", k % 6, k % 4), width=192 + 32 * (k % 3)) for k in range(40)]
    singles = [detector.detect(picture) for picture in pictures]
    for one, many in zip(singles, detector.detect_many(pictures), strict=True):
        assert one.xyxy.tolist() == many.xyxy.tolist()
    assert detector.detect_many([]) == []


def test_a_stream_is_lazy(detector):
    taken = []

    def camera():
        for k in range(1000):
            taken.append(k)
            yield street(("green", k % 10, 0))

    stream = detector.stream(camera())
    assert [cells(next(stream)) for _ in range(3)] == [[("green", k, 0)] for k in range(3)]
    assert len(taken) < 20


def test_many_cameras_share_one_detector(detector):
    def camera(number: int):
        wanted = [("red", number % 10, number % 6)]
        return all(cells(detector.detect(street(*wanted))) == wanted for _ in range(15))

    with ThreadPoolExecutor(8) as cameras:
        assert all(cameras.map(camera, range(8)))


def test_a_submitted_picture_may_be_overwritten(detector):
    image = street(("red", 0, 0))
    pending = detector.submit(image)
    image[:] = 0
    assert cells(pending.result(timeout=10)) == [("red", 0, 0)]
    assert pending.done()


def test_more_sizes_than_are_kept(colour_models):
    with Detector(resolve("colours@0", colour_models), threads=1) as detector:
        for _ in range(2):
            for rows in range(1, SHAPES_MAX + 3):
                picture = street(("red", rows % 10, rows - 1), height=32 * rows)
                for _ in range(OFTEN + 1):
                    assert cells(detector.detect(picture)) == [("red", rows % 10, rows - 1)]
        assert len(detector._backend._graphs) == SHAPES_MAX + 1


def test_a_folder_of_all_sizes_does_not_compile_for_each(colour_models):
    with Detector(resolve("colours@0", colour_models), threads=1) as detector:
        for rows in range(1, 11):
            assert cells(detector.detect(street(("red", 0, 0), height=32 * rows))) == [("red", 0, 0)]
        assert len(detector._backend._graphs) == 2


def test_one_pixel_and_a_line(detector):
    detector.detect(np.full((1, 1, 3), 255, np.uint8))
    detector.detect(np.full((1, 9000, 3), 255, np.uint8))


@pytest.mark.parametrize("hint", ["latency", "throughput"])
@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_hints_and_precisions(hint, precision, colour_models):
    with Detector(resolve("colours@0", colour_models), threads=2, precision=precision, hint=hint) as detector:
        assert cells(detector.detect(street(("green", 4, 4)))) == [("green", 4, 4)]


def test_a_model_is_opened_by_name(colour_models, monkeypatch):
    monkeypatch.setenv("KERBWATCH_MODELS", str(colour_models))
    with open_detector() as detector:
        assert detector.model_ref == "colours@0"


def test_after_close_it_takes_no_more(colour_models):
    detector = Detector(resolve("colours@0", colour_models), threads=1)
    detector.close()
    detector.close()
    with pytest.raises(RuntimeError, match="shutdown"):
        detector.detect(street())


def test_wrong_use(colour_models):
    spec = resolve("colours@0", colour_models)
    with pytest.raises(WrongUse, match="there is no backend 'tpu'; choose one of openvino"):
        Detector(spec, "tpu")
    with pytest.raises(WrongUse, match="threads: wanted at least 1, got 0"):
        Detector(spec, threads=0)


def test_a_file_that_openvino_cannot_read(colour_models, tmp_path):
    spec = damaged(colour_models, tmp_path, b"<net>nothing</net>")
    with pytest.raises(
        Failure, match=r"colours\.xml of model colours@0 cannot be read by OpenVINO: .+"
    ) as caught:
        OpenVinoBackend(spec, Options())
    assert "\n" not in str(caught.value)


def damaged(colour_models: Path, tmp_path: Path, content: bytes):
    """A model whose file is not a network, published with its right hash."""
    folder = Path(shutil.copytree(colour_models / "colours" / "0", tmp_path / "bad"))
    old = hashlib.sha256((folder / "colours.xml").read_bytes()).hexdigest()
    (folder / "colours.xml").write_bytes(content)
    toml = (folder / "model.toml").read_text().replace(old, hashlib.sha256(content).hexdigest())
    (folder / "model.toml").write_text(toml)
    return resolve(str(folder))


def test_labels_that_do_not_fit_the_network(colour_models, tmp_path):
    folder = Path(shutil.copytree(colour_models / "colours" / "0", tmp_path / "bad"))
    toml = (
        (folder / "model.toml")
        .read_text()
        .replace('["red", "green", "blue"]', '["red", "green", "blue", "x"]')
    )
    (folder / "model.toml").write_text(toml)
    with (
        pytest.raises(Failure, match="gives 7 values per box, its 4 labels want 8"),
    ):
        Detector(resolve(str(folder)), threads=1)


def test_a_network_of_one_fixed_size_says_how_to_get_another(colour_models, tmp_path):
    ov = import_openvino()
    from openvino import opset13 as ops

    images = ops.parameter([1, 3, 192, 320], np.float32)
    cells_of = ops.avg_pool(images, [32, 32], [0, 0], [0, 0], [32, 32], exclude_pad=True)
    scores = ops.reshape(cells_of, [1, 3, 60], special_zero=False)
    boxes = np.full((1, 4, 60), 32, np.float32)
    network = ov.Model([ops.concat([boxes, scores], axis=1)], [images], "fixed")
    folder = Path(shutil.copytree(colour_models / "colours" / "0", tmp_path / "fixed"))
    toml = (folder / "model.toml").read_text()
    before = {name: digest(folder / name) for name in ("colours.xml", "colours.bin")}
    ov.save_model(network, folder / "colours.xml", compress_to_fp16=False)
    for name, old in before.items():
        toml = toml.replace(old, digest(folder / name))
    (folder / "model.toml").write_text(toml)
    with pytest.raises(
        Failure, match="colours@0 takes pictures of 320x192 only; export it with dynamic sizes"
    ):
        Detector(resolve(str(folder)), threads=1)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_script_answers_in_order():
    spec = scripted_spec(["car", "bin"])
    script = {0: [("car", 0.9, (10, 20, 110, 80))], 2: [("bin", 0.5, (0, 0, 5, 5))], EVERY_OTHER: []}
    backend = ScriptedBackend(spec, script=script, source_wh=(1920, 1080))
    with Detector(spec, backend) as detector:
        found = detector.detect_many([np.zeros((1080, 1920, 3), np.uint8)] * 4)
    assert [len(each) for each in found] == [1, 0, 1, 0]
    np.testing.assert_allclose(found[0].xyxy, [[10, 20, 110, 80]], atol=1e-3)
    assert found[2].names[found[2].label[0]] == "bin"


def test_a_script_of_a_class_that_is_not_there():
    with pytest.raises(WrongUse, match="names the class 'van'"):
        ScriptedBackend(scripted_spec(["car"]), script={0: [("van", 0.5, (0, 0, 1, 1))]})


@pytest.mark.parametrize("content", ["[]", "{", '{"width": 1, "height": 1, "pictures": {"x": []}}'])
def test_a_script_file_that_is_none(content, tmp_path):
    with pytest.raises(WrongUse, match="is not a script of boxes"):
        open_backend("scripted", script_spec(content, tmp_path), Options())


def test_a_script_file(tmp_path):
    text = '{"width": 640, "height": 360, "pictures": {"*": [{"label": "car", "score": 0.5, "xyxy": [1, 2, 3, 4]}]}}'
    with Detector(script_spec(text, tmp_path), "scripted") as detector:
        assert detector.detect(np.zeros((360, 640, 3), np.uint8)).xyxy.tolist() == [[1, 2, 3, 4]]


def script_spec(content: str, tmp_path: Path):
    (tmp_path / "script.json").write_text(content)
    spec = scripted_spec(["car"])
    file = spec.files[0].model_copy(update={"sha256": hashlib.sha256(content.encode()).hexdigest()})
    return spec.model_copy(update={"folder": tmp_path, "files": (file,)})


class Recorder:
    """A device that likes batches, and says which it was given."""

    batch_max = 4
    in_flight = 1

    def __init__(self):
        self.batches: list[int] = []
        self.go = threading.Event()

    def infer(self, canvases):
        self.go.wait(10)
        time.sleep(0.001)
        self.batches.append(len(canvases))
        if (canvases == 13).all():
            raise Failure("the device caught fire.")
        # One box per picture, as wide as its first pixel says.
        raw = np.zeros((len(canvases), 5, 1), np.float32)
        raw[:, :, 0] = [[160, 48, float(canvas[0, 0, 0]), 10, 0.9] for canvas in canvases]
        return raw

    def close(self):
        pass


def test_what_waits_for_a_busy_device_gathers_into_batches_of_one_shape():
    device = Recorder()
    spec = scripted_spec(["thing"], side_px=320)
    with Detector(spec, device) as detector:
        pictures = [np.full((96, 320, 3), 20 + k, np.uint8) for k in range(6)]
        pending = [detector.submit(picture) for picture in pictures]
        other = detector.submit(np.full((64, 320, 3), 50, np.uint8))
        assert not pending[0].done()
        device.go.set()
        widths = [p.result(10).xyxy[0, 2] - p.result(10).xyxy[0, 0] for p in pending]
        assert len(other.result(10)) == 1
    assert widths == [20, 21, 22, 23, 24, 25]
    assert sum(device.batches) == 7
    assert max(device.batches) in {3, 4}  # 3 and 3 when the worker comes late
    assert len(device.batches) in {3, 4}


def test_one_camera_per_thread_gets_its_own_boxes_from_shared_batches():
    device = Recorder()
    device.go.set()
    with (
        Detector(scripted_spec(["thing"], side_px=320), device) as detector,
        ThreadPoolExecutor(16) as cameras,
    ):

        def camera(width):
            found = [detector.detect(np.full((96, 320, 3), width, np.uint8)) for _ in range(20)]
            return all(each.xyxy[0, 2] - each.xyxy[0, 0] == width for each in found)

        assert all(cameras.map(camera, range(20, 60)))
    assert max(device.batches) > 1


def test_when_a_device_fails_only_its_batch_does():
    device = Recorder()
    device.go.set()
    with Detector(scripted_spec(["thing"], side_px=320), device) as detector:
        for _ in range(3 * detector._lane.room):  # a place that is not given back would block for ever
            with pytest.raises(Failure, match="caught fire"):
                detector.detect(np.full((96, 320, 3), 13, np.uint8))
        assert len(detector.detect(np.full((96, 320, 3), 30, np.uint8))) == 1


def test_every_kind_of_backend_can_be_named():
    assert set(KINDS) == {"openvino", "onnx", "ultralytics", "tensorrt", "scripted"}
