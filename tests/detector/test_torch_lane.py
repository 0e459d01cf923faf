"""The way over a GPU, walked on the CPU: torch's own device "cpu:0" stands for it, page-locking and streams are noted."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from detector.backends import GatheringBackend
from detector.backends.cuda_graphs import Replays
from detector.backends.scripted import scripted_spec
from detector.backends.torch_lane import Lanes, TorchLane, strongest
from detector.detector import Detector
from detector.errors import Failure
from detector.spec import ModelFile

torch = pytest.importorskip("torch", reason="needs torch, which is not installed")
GPU = "cpu:0"


class Cuda:
    """Torch with a GPU made of notes."""

    def __init__(self):
        self.pinned, self.streams, self.inside = [], [], threading.local()
        self.emptied = 0
        outer = self

        class Stream:
            def __init__(self, device):
                assert device == GPU
                self.waits = 0
                outer.streams.append(self)

            def synchronize(self):
                self.waits += 1

        @contextmanager
        def stream(one):
            self.inside.stream = one
            yield
            self.inside.stream = None

        def empty_cache():
            self.emptied += 1

        self.cuda = SimpleNamespace(
            Stream=Stream,
            stream=stream,
            empty_cache=empty_cache,
            current_stream=lambda: self.inside.stream,
            get_device_name=lambda device: "NVIDIA of Notes",
        )

    def empty(self, shape, dtype, pin_memory):
        assert pin_memory
        self.pinned.append((tuple(shape), dtype))
        return torch.empty(shape, dtype=dtype)

    def __getattr__(self, name):
        return getattr(torch, name)


class Network:
    """One box per picture whose width is the red of its first pixel, among places of lower scores."""

    def __init__(self, dtype, places=50):
        self.dtype, self.places, self.sizes = dtype, places, []

    def __call__(self, planes):
        assert planes.dtype == self.dtype
        assert planes.shape[1] == 3
        assert planes.max() <= 1
        self.sizes.append(len(planes))
        raw = torch.zeros(len(planes), 5, self.places, dtype=self.dtype)
        raw[:, :, 7] = torch.tensor([160, 48, 0, 10, 0.9], dtype=self.dtype)
        raw[:, 2, 7] = planes[:, 0, 0, 0] * 255
        raw[:, 4, 9] = 0.05
        return raw, "features"


def picture(red):
    canvas = np.zeros((96, 320, 3), np.uint8)
    canvas[..., 2] = red
    return canvas


@pytest.fixture
def cuda():
    return Cuda()


def lane(cuda, *, dtype=torch.float16, keep=None, device=GPU):
    return TorchLane(cuda, Network(dtype), device, dtype, batch_max=4, keep=keep)


def test_a_batch_goes_through_page_locked_memory_in_half_precision(cuda):
    one = lane(cuda, keep=8)
    for _ in range(2):  # the second time nothing is allocated
        got = one.infer([picture(red) for red in (30, 60, 90)])
        assert got.dtype == np.float32
        assert got.shape == (3, 5, 8)
        np.testing.assert_allclose(np.sort(got[:, 2])[:, -1], [30, 60, 90], atol=0.1)
    assert cuda.pinned == [((4, 96, 320, 3), torch.uint8), ((4, 5, 8), torch.float32)]
    assert cuda.streams[0].waits == 2


def test_what_came_back_is_not_overwritten_by_the_next_batch(cuda):
    one = lane(cuda)
    first = one.infer([picture(30)])
    kept = first.copy()
    one.infer([picture(200)])
    np.testing.assert_array_equal(first, kept)


def test_canvases_that_may_not_be_written_are_gathered_as_well(cuda):
    given = [picture(red) for red in (30, 60)]
    given[1].setflags(write=False)
    got = lane(cuda, keep=8).infer(given)
    np.testing.assert_allclose(np.sort(got[:, 2])[:, -1], [30, 60], atol=0.1)
    turned = [np.ascontiguousarray(picture(red)[:, :, ::-1])[:, :, ::-1] for red in (30, 60)]
    got = lane(cuda, keep=8).infer(turned)
    np.testing.assert_allclose(np.sort(got[:, 2])[:, -1], [30, 60], atol=0.1)


def test_a_lane_that_is_dropped_gives_its_network_back(cuda):
    network = Network(torch.float16)
    network.model = [SimpleNamespace(anchors=None, strides=None)]
    one = TorchLane(cuda, network, GPU, torch.float16, batch_max=4, keep=None, replay=True)
    alive = weakref.ref(network)
    gc.disable()  # the memory of a GPU must not wait for the next collection
    try:
        del network, one
        assert alive() is None
    finally:
        gc.enable()


def test_on_the_cpu_nothing_is_page_locked_and_one_canvas_is_read_where_it_lies(cuda):
    one = TorchLane(torch, Network(torch.float32), "cpu", torch.float32, batch_max=1, keep=None)
    canvas = picture(77)
    canvas.setflags(write=False)
    assert one.infer([canvas])[0, 2].max() == pytest.approx(77, abs=1e-3)


def test_the_strongest_places_in_the_networks_order():
    raw = torch.zeros(2, 6, 10)
    raw[0, 4, 8], raw[0, 5, 2], raw[0, 4, 5] = 0.9, 0.8, 0.7
    raw[1, 5, 0], raw[1, 5, 9] = 0.6, 0.5
    raw[:, 0] = torch.arange(10)
    kept = strongest(raw, 3)
    assert kept.shape == (2, 6, 3)
    assert kept[0, 0].tolist() == [2, 5, 8]
    assert set(kept[1, 0].tolist()) >= {0, 9}
    assert strongest(raw, 99).shape == (2, 6, 10)


def test_memory_that_is_full_is_said_and_given_back(cuda):
    def full(planes):
        raise torch.OutOfMemoryError("CUDA out of memory")

    one = TorchLane(cuda, full, GPU, torch.float16, batch_max=4, keep=None)
    with pytest.raises(Failure, match="the memory of cpu:0 is full with 2 pictures at once"):
        one.infer([picture(1), picture(2)])
    assert cuda.emptied == 1


class Recording:
    """What torch offers for recordings, with the last call of `steps` played again in place of kernels."""

    def __init__(self, cuda):
        self.cuda, self.made = cuda, []
        outer = self

        class CUDAGraph:
            def pool(self):
                return "pool"

            def replay(self):
                self.answer.copy_(outer.compute(self.source))

        @contextmanager
        def graph(one, pool, stream, capture_error_mode):
            outer.made.append((pool, stream, capture_error_mode))
            outer.now = one
            yield
            outer.now = None

        self.now = None
        cuda.cuda.CUDAGraph, cuda.cuda.graph = CUDAGraph, graph
        cuda.cuda.current_stream = lambda device=None: cuda.inside.stream
        cuda.zeros = lambda shape, dtype, device: torch.zeros(shape, dtype=dtype)

    def compute(self, source):
        return source[:, 0, 0, 2].float()[:, None, None]

    def steps(self, source):
        answer = self.compute(source).clone()
        if self.now is not None:
            self.now.source, self.now.answer = source, answer
        return answer


def test_kernels_are_recorded_once_per_shape_and_size_and_a_batch_is_filled_up(cuda):
    recording = Recording(cuda)
    cuda.inside.stream = cuda.cuda.Stream(GPU)
    replays = Replays(cuda, GPU, 16)
    for reds in ((10,), (20, 30), (40, 50, 60), (7,), range(1, 15)):
        given = torch.from_numpy(np.stack([picture(red) for red in reds]))
        assert replays.run(given, recording.steps)[:, 0, 0].tolist() == list(reds)
    wide = torch.from_numpy(np.full((2, 32, 64, 3), 9, np.uint8))
    assert replays.run(wide, recording.steps)[:, 0, 0].tolist() == [9, 9]
    # 1 and 2 pictures share a recording, 3 have one of 8, 14 one of 16, another shape its own.
    assert recording.made == [
        (pool, cuda.inside.stream, "thread_local") for pool in (None, "pool", "pool", "pool")
    ]


class Gpu:
    """A backend as UltralyticsBackend builds it."""

    batch_max, in_flight = 4, 2

    def __init__(self, cuda):
        self.networks = [Network(torch.float16) for _ in range(2)]
        lanes = [TorchLane(cuda, n, GPU, torch.float16, batch_max=4, keep=16) for n in self.networks]
        self.lanes = Lanes(lanes)

    def gather(self, canvases):
        return self.lanes.infer(canvases, self.batch_max)

    def infer(self, canvases):
        return self.gather(list(canvases))

    def close(self):
        self.lanes.close()


def test_batches_form_across_cameras_and_everybody_gets_his_own_boxes(cuda):
    gpu = Gpu(cuda)
    assert isinstance(gpu, GatheringBackend)
    with (
        Detector(scripted_spec(["thing"], side_px=320), gpu) as detector,
        ThreadPoolExecutor(24) as cameras,
    ):

        def camera(red):
            widths = []
            for _ in range(10):
                found = detector.detect(picture(red), 0.3)
                widths.append(float(found.xyxy[0, 2] - found.xyxy[0, 0]))
            return np.allclose(widths, red, atol=0.3)

        assert all(cameras.map(camera, range(20, 140, 5)))
        assert sum(size * times for size, times in detector.batches.items()) == 240
        assert max(detector.batches) > 1
    assert sum(map(sum, (network.sizes for network in gpu.networks))) == 240


def test_more_pictures_than_one_call_takes_are_done_in_parts(cuda):
    got = Gpu(cuda).infer(np.stack([picture(20 + k) for k in range(10)]))
    np.testing.assert_allclose(got[:, 2].max(axis=1), np.arange(20, 30), atol=0.1)


@pytest.fixture
def tensorrt(cuda, monkeypatch):
    """TensorRT as ultralytics offers it: what was built, and engines that are a `Network`."""
    built: list[dict] = []

    def onnx2engine(onnx, engine, **how):
        built.append(how)
        Path(engine).write_bytes(b"engine")

    class Runtime:
        def __init__(self, path, device, fp16):
            assert Path(path).read_bytes() == b"engine"
            self.fp16 = built[-1]["quantize"] == 16
            self.network = Network(torch.float16 if self.fp16 else torch.float32)
            self.output_names, self.bindings = ["output0"], {"output0": SimpleNamespace(shape=(32, 5, 50))}

        def forward(self, planes):
            assert cuda.streams[-1].waits or cuda.streams[0].waits  # what feeds it is there
            return list(self.network(planes))

    monkeypatch.setattr("detector.backends.tensorrt.import_torch", lambda: cuda)
    monkeypatch.setattr("detector.backends.tensorrt.torch_device", lambda torch, device: GPU)
    monkeypatch.setattr("detector.backends.tensorrt.weights", lambda spec, kind: spec.folder / "m.onnx")
    for name, content in (
        ("tensorrt", {"__version__": "10.13"}),
        ("ultralytics", {}),
        ("ultralytics.nn", {}),
        ("ultralytics.nn.backends", {}),
        ("ultralytics.nn.backends.tensorrt", {"TensorRTBackend": Runtime}),
        ("ultralytics.utils", {}),
        ("ultralytics.utils.export", {}),
        ("ultralytics.utils.export.engine", {"onnx2engine": onnx2engine}),
    ):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**content))
    return built


def spec_in(folder):
    spec = scripted_spec(["thing"], side_px=320)
    return spec.model_copy(
        update={"folder": folder, "files": (ModelFile(backend="onnx", path="m.onnx", sha256="0" * 64),)}
    )


@pytest.mark.parametrize(("precision", "quantize"), [("f16", 16), ("f32", None)])
def test_tensorrt_builds_one_engine_for_both_lanes_and_finds_it_again(
    precision, quantize, tensorrt, tmp_path
):
    for _ in range(2):
        with Detector(spec_in(tmp_path), "tensorrt", precision=precision) as detector:
            found = detector.detect(picture(40), 0.3)
            assert float(found.xyxy[0, 2] - found.xyxy[0, 0]) == pytest.approx(40, abs=0.3)
            assert detector.precision == precision
    assert tensorrt == [{"quantize": quantize, "dynamic": True, "shape": (32, 3, 320, 320)}]


def test_an_engine_of_other_labels_is_refused(tensorrt, tmp_path):
    spec = spec_in(tmp_path).model_copy(update={"labels": ("a", "b")})
    with pytest.raises(Failure, match="gives 5 values per box, its 2 labels want 6"):
        Detector(spec, "tensorrt", precision="f16")


def test_a_model_that_tensorrt_does_not_take(tensorrt, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("failed to load ONNX file: m.onnx\nand more")

    monkeypatch.setattr(sys.modules["ultralytics.utils.export.engine"], "onnx2engine", fails)
    with pytest.raises(
        Failure, match=r"TensorRT 10\.13 cannot build an engine of .*m\.onnx: failed to load"
    ) as caught:
        Detector(spec_in(tmp_path), "tensorrt", precision="f16")
    assert "\n" not in str(caught.value)
