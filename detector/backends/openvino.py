"""OpenVINO on the CPU, the default: u8 canvas in, colour order and scaling done inside the compiled graph."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np

from detector.backends import Answer, Options, Running, check_rows, check_sizes
from detector.backends.requests import Requests, output, run
from detector.errors import Failure
from detector.registry import weights
from detector.spec import ModelSpec, Stored
from detector.types import FloatArray, Image

SHAPES_MAX = 4
"""Graphs kept that are compiled for one shape: some 60 MB each, a third of a second to compile."""
OFTEN = 16
"""A shape seen this often gets a graph of its own; the others share one of any shape, 5 % slower."""

_ANY_SHAPE = (-1, -1, -1, 3)
T = TypeVar("T")


def import_openvino() -> Any:
    """Import OpenVINO without its telemetry: importing it would otherwise report to Google Analytics.

    OpenVINO falls back to its own do-nothing stub when the telemetry package is absent, so it is made absent.
    """
    if "openvino" not in sys.modules and "openvino_telemetry" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # Python's way to say "not installed"
        try:
            import openvino
        finally:
            del sys.modules["openvino_telemetry"]
        return openvino
    import openvino

    return openvino


class OpenVinoBackend:
    """Compiled graphs, each with its infer requests.

    A call takes a free request or waits for one, so that any number of cameras may share the backend;
    OpenVINO releases the interpreter lock while it computes.
    """

    batch_max = 1  # on a CPU a batch of 4 gains at most 10 % over two streams (reference/PERFORMANCE.md)

    def __init__(self, spec: ModelSpec, options: Options) -> None:
        """Read the model.

        Raises:
            Failure: the file is missing, has another hash, or OpenVINO cannot read it.
        """
        self._ov = import_openvino()
        stored: Stored = "int8" if options.precision == "int8" else "f32"
        path = weights(spec, "openvino", "onnx", precision=stored)
        self._ref, self._stride_px = spec.ref, spec.stride_px
        self.in_flight, self._config = _plan(options)
        self._core = self._ov.Core()
        try:
            self._model = self._core.read_model(path)
        except RuntimeError as error:
            raise Failure(
                f"{path} of model {spec.ref} cannot be read by OpenVINO: {_cause(error)}"
            ) from error
        check_rows(spec, _rows(self._model))
        check_sizes(spec, _fixed_wh(self._model))
        self._lock = threading.Lock()
        self._graphs: OrderedDict[tuple[int, ...], Requests] = OrderedDict()
        self._seen: Counter[tuple[int, ...]] = Counter()

    def infer(self, canvases: Image) -> FloatArray:
        """Give the raw output (B, 4 + classes, N); see `Backend`."""
        graph = self._graph(canvases.shape)
        try:
            request = graph.take()
            try:
                run(request, canvases)
                # Copied, because the request's memory is overwritten by whoever takes it next.
                return np.array(output(request))
            finally:
                graph.give(request)
        except RuntimeError as error:
            raise self._failed(canvases.shape, error) from error

    def compute(self, canvas: Image, read: Callable[[FloatArray], T]) -> Answer[T]:
        """Compute one picture in the thread that calls; see `DirectBackend`."""
        shape = (1, *canvas.shape)
        return self._graph(shape).compute(canvas, read, partial(self._failed, shape))

    def begin(self, canvas: Image, read: Callable[[FloatArray], T]) -> Running[T]:
        """Start with one picture; see `DirectBackend`."""
        shape = (1, *canvas.shape)
        return self._graph(shape).begin(canvas, read, partial(self._failed, shape))

    def close(self) -> None:
        """Read what was begun and drop the graphs; requests still running keep theirs until they end."""
        with self._lock:
            graphs = list(self._graphs.values())
            self._graphs.clear()
        for graph in graphs:
            graph.settle()

    def _graph(self, shape: tuple[int, ...]) -> Requests:
        """Give the requests for a shape: its own graph for the first shape and for frequent ones.

        A camera has one shape for ever; a folder of pictures has dozens, each for a moment.
        """
        height, width = shape[1:3]
        if height % self._stride_px or width % self._stride_px:
            raise Failure(
                f"model {self._ref} does not take pictures of {width}x{height} pixels: "
                f"both sides must be multiples of {self._stride_px}."
            )
        with self._lock:
            self._seen[shape] += 1
            own = shape in self._graphs or not self._graphs or self._seen[shape] >= OFTEN
            key = shape if own else _ANY_SHAPE
            if key not in self._graphs:
                self._graphs[key] = Requests(partial(self._compile, key))
            self._graphs.move_to_end(key)
            if len(self._graphs) > SHAPES_MAX + 1:  # and the one of any shape
                oldest, _ = self._graphs.popitem(last=False)
                self._seen[oldest] = 0
            return self._graphs[key]

    def _compile(self, shape: tuple[int, ...]) -> list[Any]:
        batch, height, width, _ = shape
        model = self._model.clone()
        model.reshape([batch, 3, height, width])
        compiled = self._core.compile_model(self._with_input_of_bytes(model), "CPU", self._config)
        return [compiled.create_infer_request() for _ in range(self.in_flight)]

    def _failed(self, shape: tuple[int, ...], error: RuntimeError) -> Failure:
        """Give up a graph that has failed: the next picture in it would fail with it (2026.4)."""
        with self._lock:
            self._graphs.pop(shape if shape in self._graphs else _ANY_SHAPE, None)
        return self._refused(shape, error)

    def _refused(self, shape: tuple[int, ...], error: RuntimeError) -> Failure:
        what = "pictures of any size" if shape == _ANY_SHAPE else f"pictures of {shape[2]}x{shape[1]} pixels"
        return Failure(
            f"model {self._ref} does not take {what}; export it with dynamic sizes (`kerbwatch export` "
            f"does). OpenVINO says: {_cause(error)}"
        )

    def _with_input_of_bytes(self, model: Any) -> Any:
        ov = self._ov
        steps = ov.preprocess.PrePostProcessor(model)
        given = steps.input().tensor()
        given.set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
        given.set_color_format(ov.preprocess.ColorFormat.BGR)
        steps.input().model().set_layout(ov.Layout("NCHW"))
        wanted = steps.input().preprocess().convert_element_type(ov.Type.f32)
        wanted.convert_color(ov.preprocess.ColorFormat.RGB).scale(255.0)
        return steps.build()


def _plan(options: Options) -> tuple[int, dict[str, str | int | bool]]:
    """Give how many requests run side by side, and OpenVINO's configuration."""
    cores = _cores()
    threads = min(options.threads or cores, cores)
    config: dict[str, str | int | bool] = {
        # What a quantised network leaves in floating point is computed as f32: the same boxes on every run.
        "INFERENCE_PRECISION_HINT": "f32" if options.precision == "int8" else options.precision,
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": options.hint.upper(),
        # Several processes that share a machine would pin to the same cores; the affinity of the process
        # keeps them apart, and OpenVINO's threads inherit it.
        "ENABLE_CPU_PINNING": threads == os.cpu_count(),
    }
    if options.hint == "throughput":
        config["NUM_STREAMS"] = threads
        return threads, config
    return 2, config  # the second request keeps the device busy while the first one's boxes are read


def _cores() -> int:
    """Give the cores this process may use; where the system does not tell (macOS), all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _rows(model: Any) -> int | None:
    """Give how many values the network has per box; None where its output is of no fixed shape."""
    shape = model.outputs[0].partial_shape
    if len(model.inputs) != 1 or shape.rank.is_dynamic or len(shape) != 3:
        return 0
    return int(shape[1].get_length()) if shape[1].is_static else None


def _fixed_wh(model: Any) -> tuple[int, int] | None:
    """Give the only size the network takes; None where it takes any."""
    shape = model.inputs[0].partial_shape
    if len(shape) != 4 or shape[2].is_dynamic or shape[3].is_dynamic:
        return None
    return int(shape[3].get_length()), int(shape[2].get_length())


def _cause(error: RuntimeError) -> str:
    """Give the line of OpenVINO's message that says what is wrong; the others name its source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (telling or lines or ["no reason given"])[-1].rstrip(".") + "."
