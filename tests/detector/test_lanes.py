"""One suite for both ways of a canvas through a backend: one by one without a thread, and in batches."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from detector.backends import Answer, DirectBackend
from detector.backends.requests import Requests
from detector.backends.scripted import scripted_spec
from detector.detector import Detector
from detector.direct import Direct
from detector.errors import Failure
from detector.registry import resolve

POISON, BURNING = 13, 14


def raw_of(canvas):
    """One box, as wide as the canvas's first pixel says; a device that meets POISON fails."""
    if canvas[0, 0, 0] == POISON:
        raise Failure("the device choked on one picture.")
    if canvas[0, 0, 0] == BURNING:
        raise RuntimeError("the device burns")
    return np.array([[160], [48], [float(canvas[0, 0, 0])], [10], [0.9]], np.float32)


class Device:
    """Computes while `go` is set; knows how many calls were inside at once."""

    batch_max = 4
    in_flight = 2

    def __init__(self):
        self.go = threading.Event()
        self.go.set()
        self.inside, self.most_inside, self.begun = 0, 0, 0
        self.sizes: list[int] = []
        self.lock = threading.Lock()

    def infer(self, canvases):
        with self.lock:
            self.begun += 1
            self.inside += 1
            self.most_inside = max(self.inside, self.most_inside)
        try:
            assert self.go.wait(20)
            time.sleep(0.001)
            raws = np.stack([raw_of(canvas) for canvas in canvases])
            with self.lock:
                self.sizes.append(len(canvases))
            return raws
        finally:
            with self.lock:
                self.inside -= 1

    def close(self):
        pass


class GatheringDevice(Device):
    """Stacks the pictures of a batch itself."""

    def gather(self, canvases):
        assert isinstance(canvases, list)
        return self.infer(np.stack(canvases))


class Begun:
    def __init__(self, future):
        self.future = future

    def answer(self, timeout=None):
        return self.future.result(timeout)

    def done(self):
        return self.future.done()


class DirectDevice(Device):
    """The same as a backend of single pictures; its places are bounded like a pool of requests."""

    def __init__(self):
        super().__init__()
        self.places = threading.BoundedSemaphore(self.in_flight)
        self.threads = ThreadPoolExecutor(self.in_flight)

    def compute(self, canvas, read):
        with self.places:
            return Answer(read(self.infer(canvas[None])[0]), 0.0, 0.001)

    def begin(self, canvas, read):
        self.places.acquire()

        def work():
            try:
                return Answer(read(self.infer(canvas[None])[0]), 0.0, 0.001)
            finally:
                self.places.release()

        future: Future = self.threads.submit(work)
        return Begun(future)

    def close(self):
        self.threads.shutdown(wait=True)


@pytest.fixture(params=[Device, GatheringDevice, DirectDevice])
def device(request):
    return request.param()


@pytest.fixture
def detector(device):
    with Detector(scripted_spec(["thing"], side_px=320), device) as opened:
        assert isinstance(opened._lane, Direct) == isinstance(device, DirectBackend)
        yield opened
        device.go.set()


def picture(width):
    return np.full((96, 320, 3), width, np.uint8)


def width_of(found):
    return float(found.xyxy[0, 2] - found.xyxy[0, 0])


def eventually(true, within_s=20.0):
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def test_many_cameras_get_their_own_boxes_in_their_own_order(detector, device):
    def camera(number):
        pending, seen = [], []
        for k in range(25):
            if k % 3:
                pending.append(detector.submit(picture(20 + (number + k) % 80)))
            else:
                seen += [width_of(each.result(20)) for each in pending]
                pending = []
                seen.append(width_of(detector.detect(picture(20 + (number + k) % 80))))
        return seen + [width_of(each.result(20)) for each in pending]

    with ThreadPoolExecutor(12) as cameras:
        for number, seen in enumerate(cameras.map(camera, range(12))):
            assert seen == [20 + (number + k) % 80 for k in range(25)]
    assert sum(size * times for size, times in detector.batches.items()) == 12 * 25
    assert Counter(device.sizes) == detector.batches
    assert device.most_inside <= device.in_flight


@pytest.mark.parametrize(("bad", "error"), [(POISON, Failure), (BURNING, RuntimeError)])
def test_one_bad_picture_does_not_poison_the_others(bad, error, detector, device):
    def camera(number):
        for _ in range(20):
            if number == 0:
                with pytest.raises(error):
                    detector.detect(picture(bad))
            else:
                assert width_of(detector.detect(picture(20 + number))) == 20 + number
        return True

    with ThreadPoolExecutor(6) as cameras:
        assert all(cameras.map(camera, range(6)))
    assert width_of(detector.detect(picture(50))) == 50  # no place got lost


def test_boxes_that_cannot_be_read_are_the_error_of_one_picture(detector, device, monkeypatch):
    device.go.clear()
    good = [detector.submit(picture(30))]
    finish = detector._finish
    with monkeypatch.context() as patch:
        patch.setattr(detector, "_finish", lambda *_, **__: 1 / 0)
        bad = detector.submit(picture(31))
    assert detector._finish == finish
    device.go.set()
    with pytest.raises(ZeroDivisionError):
        bad.result(20)
    assert width_of(good[0].result(20)) == 30
    assert width_of(detector.detect(picture(32))) == 32


def test_whoever_is_too_fast_waits(detector, device):
    device.go.clear()
    handed_in = []

    def flood():
        handed_in.extend(detector.submit(picture(40)) for _ in range(detector._lane.room + 5))

    camera = threading.Thread(target=flood)
    camera.start()
    eventually(lambda: len(handed_in) >= detector._lane.room)
    camera.join(0.3)
    assert camera.is_alive()
    assert len(handed_in) <= detector._lane.room
    device.go.set()
    camera.join(20)
    assert len(handed_in) == detector._lane.room + 5
    assert {width_of(each.result(20)) for each in handed_in} == {40.0}


def test_a_result_that_is_not_there_in_time(detector, device):
    device.go.clear()
    pending = detector.submit(picture(40))
    with pytest.raises(TimeoutError):
        pending.result(0.05)
    assert not pending.done()
    device.go.set()
    assert width_of(pending.result(20)) == 40
    assert pending.done()
    assert width_of(pending.result(0)) == 40  # again and again


def test_closing_finishes_what_is_on_its_way_and_takes_no_more(device):
    detector = Detector(scripted_spec(["thing"], side_px=320), device)
    device.go.clear()
    begun = detector.submit(picture(41))
    answers = []
    other = np.full((64, 320, 3), 42, np.uint8)  # of another shape: never in one batch with the first
    waiting = threading.Thread(target=lambda: answers.append(detector.detect(other)))
    waiting.start()
    eventually(lambda: device.begun == 2)
    closing = threading.Thread(target=detector.close)
    closing.start()
    time.sleep(0.05)
    assert closing.is_alive()
    device.go.set()
    for thread in (closing, waiting):
        thread.join(20)
        assert not thread.is_alive()
    assert width_of(begun.result(20)) == 41
    assert width_of(answers[0]) == 42
    with pytest.raises(RuntimeError, match="closed"):
        detector.submit(picture(43))
    detector.close()


def test_waiting_and_computing_are_told_apart(detector, device):
    told = Counter()
    canvas, lies = picture(44), detector.lies(320, 96)
    found = detector.detect_canvas(canvas, lies, clock=lambda stage, seconds: told.update({stage: seconds}))
    assert width_of(found) == 44
    assert set(told) == {"infer_wait", "infer"}
    assert told["infer"] > 0
    assert detector.infer_s > 0
    assert detector.waited_s >= 0


# The real one.


@pytest.fixture(scope="module")
def colours(colour_models):
    with Detector(resolve("colours@0", colour_models), threads=1, hint="throughput") as opened:
        assert isinstance(opened._lane, Direct)
        yield opened


def red(column):
    image = np.zeros((192, 320, 3), np.uint8)
    image[:32, column * 32 : column * 32 + 32, 2] = 255
    return image


def column_of(found):
    return float(found.xyxy[0, 0]) / 32


def test_openvino_serves_many_cameras_that_begin_and_collect_later(colours):
    def camera(number):
        pending = [colours.submit(red((number + k) % 10)) for k in range(20)]
        return [column_of(each.result(60)) for each in pending] == [(number + k) % 10 for k in range(20)]

    before = sum(colours.batches.values())
    with ThreadPoolExecutor(8) as cameras:
        assert all(cameras.map(camera, range(8)))
    assert sum(colours.batches.values()) - before == 160


def test_openvino_does_not_wait_for_answers_nobody_comes_for(colours):
    for k in range(10):
        colours.submit(red(k))  # a camera that was taken away
    assert column_of(colours.detect(red(3))) == 3


def test_openvino_reads_canvases_where_they_lie(colours):
    lies, canvas = colours.lies(320, 192), red(4)
    canvas.setflags(write=False)
    assert column_of(colours.detect_canvas(canvas, lies)) == 4
    assert column_of(colours.detect_canvas(np.repeat(red(4), 2, axis=0)[::2], lies)) == 4
    assert column_of(colours.submit_canvas(red(7), lies).result(20)) == 7  # nobody else holds that canvas


def test_closing_openvino_keeps_what_was_begun(colour_models):
    detector = Detector(resolve("colours@0", colour_models), threads=1)
    pending = [detector.submit(red(k)) for k in range(2)]
    detector.close()
    assert [column_of(each.result(20)) for each in pending] == [0, 1]
    with pytest.raises(RuntimeError, match="closed"):
        detector.detect(red(1))


class Request:
    """What OpenVINO gives, failing where it is told to."""

    latency = 1.0

    def __init__(self, fails):
        self.fails = fails

    def set_input_tensor(self, index, tensor):
        self.tensor = tensor

    def start_async(self):
        if self.fails == "start":
            raise RuntimeError("it does not start")

    def wait(self):
        if self.fails == "wait":
            raise RuntimeError("it broke")

    def wait_for(self, milliseconds):
        self.wait()
        return True

    def get_output_tensor(self):
        return SimpleNamespace(data=np.ones((1, 5, 2), np.float32))


@pytest.mark.parametrize("fails", ["start", "wait"])
def test_a_request_that_fails_is_given_back_with_the_error(fails):
    request = Request(fails)
    requests, canvas = Requests(lambda: [request]), np.zeros((32, 32, 3), np.uint8)
    for _ in range(3):
        with pytest.raises(Failure, match="it"):
            requests.compute(canvas, np.array, lambda error: Failure(str(error)))
        with pytest.raises(Failure, match="it"):
            requests.begin(canvas, np.array, lambda error: Failure(str(error))).answer(5)
    request.fails = ""
    assert requests.compute(canvas, np.array, Failure).value.shape == (5, 2)
    assert not requests._begun


def test_a_graph_that_failed_is_compiled_anew(colour_models, monkeypatch):
    with Detector(resolve("colours@0", colour_models), threads=1) as detector:
        backend = detector._backend
        assert column_of(detector.detect(red(1))) == 1
        with monkeypatch.context() as patch:
            patch.setattr(backend, "_compile", lambda shape: [Request("wait")])
            backend._graphs.clear()
            with pytest.raises(Failure, match="OpenVINO says: it broke"):
                detector.detect(red(2))
        assert column_of(detector.detect(red(3))) == 3


def test_a_graph_that_cannot_be_compiled_says_so_each_time(colour_models, monkeypatch):
    with Detector(resolve("colours@0", colour_models), threads=1) as detector:
        monkeypatch.setattr(detector._backend, "_compile", broken)
        for _ in range(2):
            with pytest.raises(Failure, match="OpenVINO says: no memory"):
                detector.detect(red(2))
            with pytest.raises(Failure, match="OpenVINO says: no memory"):
                detector.submit(red(2))


def broken(shape):
    raise RuntimeError("no memory")
