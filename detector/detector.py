"""Detector: letterbox -> backend -> decode -> nms. Stateless between pictures; many cameras may share one."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np

from detector.backends import Backend, DirectBackend, Hint, Options, open_backend
from detector.batching import Batcher
from detector.decode import CANDIDATES_MAX, CANDIDATES_MAX_EVERY_CLASS, decode
from detector.direct import Direct
from detector.errors import WrongUse
from detector.lane import Finish, Lane, Pending
from detector.letterbox import Letterbox, letterbox, plan
from detector.nms import suppress
from detector.precision import Asked, choose
from detector.preflight import check_words
from detector.registry import resolve
from detector.spec import ModelSpec
from detector.types import Detections, FloatArray, Image

BOXES_MAX = 300
"""Most boxes of one picture, as in COCO's evaluation of ultralytics models."""

Clock: TypeAlias = Callable[[str, float], None]
"""Is told a stage and its seconds, such as `ingest.stages.StageClock.add`."""

ScoreMin = float | Mapping[str, float] | None
"""One threshold for all classes, some classes' own (the others keep the model's), or the model's."""


class Detector:
    """One loaded model. Use it as a context manager or call `close`.

    >>> from detector.backends.scripted import ScriptedBackend, scripted_spec
    >>> spec = scripted_spec(["car"])
    >>> backend = ScriptedBackend(spec, script={0: [("car", 0.9, (10, 20, 110, 80))]})
    >>> with Detector(spec, backend) as detector:
    ...     detector.detect(np.zeros((360, 640, 3), np.uint8)).xyxy.tolist()
    [[10.0, 20.0, 110.0, 80.0]]
    """

    def __init__(
        self,
        spec: ModelSpec,
        backend: str | Backend = "openvino",
        threads: int | None = None,
        precision: Asked | None = None,
        hint: Hint = "latency",
        device: str | None = None,
    ) -> None:
        """Load the model.

        Args:
            spec: which one; see `detector.registry.resolve`.
            backend: kind (openvino, onnx, ultralytics, tensorrt, scripted), or one that is open already.
            threads: CPU threads; None: all that this process may use.
            precision: "f32" and "int8" give the same boxes every time; "int8" takes half the time of "f32",
                "bf16" 0.6 of it if the chip has it; "auto": the fastest here (`detector.precision`). None:
                what model.toml says, for openvino on a chip that computes INT8 exactly; else "f32".
            hint: "latency" for one source, "throughput" for many that share this detector.
            device: "cpu", "cuda" or "cuda:N"; None: the CPU, but for ultralytics the first GPU where there is
                one, and for tensorrt the first GPU.

        Raises:
            WrongUse: there is no such backend, or it cannot do what is asked.
            Failure: a package is not installed, or the model's file is missing, damaged or unfit.
        """
        if threads is not None and threads < 1:
            raise WrongUse(f"threads: wanted at least 1, got {threads}.")
        self.spec = spec
        self._precision = ""
        self._known_limits: dict[float | None, FloatArray] = {}
        if isinstance(backend, str):
            check_words(backend, device)
            chosen = choose(precision, spec, backend, device=device)
            options = Options(threads, chosen, hint, device)
            self._backend, self._precision = open_backend(backend, spec, options), chosen
        else:
            self._backend = backend
        opened = self._backend
        self._lane: Lane = Direct(opened) if isinstance(opened, DirectBackend) else Batcher(opened)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, index to name."""
        return self.spec.labels

    @property
    def model_ref(self) -> str:
        """Name and version that go into reports: "street@1"."""
        return self.spec.ref

    @property
    def precision(self) -> str:
        """Arithmetic in use: "f32", "bf16", "f16" or "int8"; "" for a backend that was opened elsewhere."""
        return self._precision

    @property
    def batches(self) -> Counter[int]:
        """How many pictures were computed at once: size to times, a copy."""
        return self._lane.tally.batches

    @property
    def infer_s(self) -> float:
        """Seconds that the backend computed so far, summed over requests side by side."""
        return self._lane.tally.infer_s

    @property
    def waited_s(self) -> float:
        """Seconds that pictures have waited for the backend so far, summed over pictures."""
        return self._lane.tally.waited_s

    def detect(self, image: Image, score_min: ScoreMin = None, *, every_class: bool = False) -> Detections:
        """Find things in one picture.

        Args:
            image: uint8 (H, W, 3) BGR.
            score_min: thresholds; None takes the model's own, 0.001 is what evaluation wants.
            every_class: one thing may come as several classes; what average precision is measured on.

        Raises:
            ValueError: `image` is of another type or shape.
            WrongUse: a threshold outside [0, 1] or of an unknown class.
            Failure: the backend could not do it.
        """
        canvas, lies = letterbox(image, self.spec.side_px, self.spec.stride_px)
        return self.detect_canvas(canvas, lies, score_min, every_class=every_class)

    def submit(self, image: Image, score_min: ScoreMin = None, *, every_class: bool = False) -> Pending:
        """Begin to look at one picture; return at once, or when there is room in the queue.

        Safe to call from many threads. `image` is not used any more when this returns.
        Args and Raises as `detect`.
        """
        canvas, lies = letterbox(image, self.spec.side_px, self.spec.stride_px)
        if np.may_share_memory(canvas, image):
            canvas = canvas.copy()
        return self.submit_canvas(canvas, lies, score_min, every_class=every_class)

    def detect_canvas(
        self,
        canvas: Image,
        lies: Letterbox,
        score_min: ScoreMin = None,
        *,
        every_class: bool = False,
        clock: Clock | None = None,
    ) -> Detections:
        """Find things in a picture that already lies on a canvas; the boxes are in pixels of its source.

        Args:
            canvas: as `submit_canvas`.
            lies: as `submit_canvas`.
            score_min: as `detect`.
            every_class: as `detect`.
            clock: is told the seconds of "infer_wait" (until the backend had a place) and of "infer".

        Raises as `submit_canvas` and `detect`.
        """
        answer = self._lane.run(canvas, self._reader(canvas, lies, score_min, every_class=every_class))
        if clock:
            clock("infer_wait", answer.waited_s)
            clock("infer", answer.took_s)
        return answer.value

    def submit_canvas(
        self, canvas: Image, lies: Letterbox, score_min: ScoreMin = None, *, every_class: bool = False
    ) -> Pending:
        """Begin to look at a picture that already lies on a canvas, such as a decoder or resizer wrote it.

        The canvas is not copied: leave it alone until the boxes are there.

        Args:
            canvas: uint8 (h, w, 3) BGR, the border filled with `letterbox.PAD_VALUE`.
            lies: where the picture lies on it, as `Detector.lies` or `letterbox.plan` give it.
            score_min: as `detect`.
            every_class: as `detect`.

        Raises:
            ValueError: `canvas` is of another type, or not of the size that `lies` says.
        """
        return self._lane.submit(canvas, self._reader(canvas, lies, score_min, every_class=every_class))

    def lies(self, width: int, height: int) -> Letterbox:
        """Say how a picture of `width` x `height` pixels lies on this model's canvas."""
        return plan(width, height, self.spec.side_px, self.spec.stride_px)

    def stream(self, images: Iterable[Image], score_min: ScoreMin = None) -> Iterator[Detections]:
        """Give the boxes of each picture in order, while the next ones are on their way.

        Args and Raises as `detect`.
        """
        pending: deque[Pending] = deque()
        for image in images:
            pending.append(self.submit(image, score_min))
            if len(pending) >= self._lane.room:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def detect_many(self, images: Sequence[Image], score_min: ScoreMin = None) -> list[Detections]:
        """Find things in several pictures of any sizes; same order. Args and Raises as `detect`."""
        return list(self.stream(images, score_min))

    def close(self) -> None:
        """Finish what is on its way and give the model's memory back."""
        self._lane.close()
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _reader(self, canvas: Image, lies: Letterbox, score_min: ScoreMin, *, every_class: bool) -> Finish:
        width, height = lies.canvas_wh
        if canvas.dtype != np.uint8 or canvas.shape != (height, width, 3):
            raise ValueError(
                f"canvas: wanted uint8 ({height}, {width}, 3) BGR, got {canvas.dtype} {canvas.shape}"
            )
        return partial(self._finish, lies, self._limits(score_min), every_class=every_class)

    def _finish(
        self, lies: Letterbox, limits: FloatArray, raw: FloatArray, *, every_class: bool
    ) -> Detections:
        most = CANDIDATES_MAX_EVERY_CLASS if every_class else CANDIDATES_MAX
        found = decode(raw, limits, most, every_class=every_class)
        kept = suppress(found.xyxy, found.label, self.spec.iou_max, BOXES_MAX)
        xyxy = lies.to_source(found.xyxy[kept])
        boxes = Detections(xyxy, found.score[kept], found.label[kept], self.names)
        inside = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
        return boxes if inside.all() else boxes.where(inside)

    def _limits(self, score_min: ScoreMin) -> FloatArray:
        if score_min is not None and not isinstance(score_min, int | float):
            return self._limits_of(score_min)
        if score_min not in self._known_limits:  # a camera asks for the same with each picture
            self._known_limits[score_min] = self._limits_of(score_min)
        return self._known_limits[score_min]

    def _limits_of(self, score_min: ScoreMin) -> FloatArray:
        if isinstance(score_min, int | float):
            table: Mapping[str, float] = dict.fromkeys(self.names, float(score_min))
        else:
            table = {**self.spec.score_min, **(score_min or {})}
        for name, limit in table.items():
            if name not in self.spec.score_min:
                raise WrongUse(
                    f"model {self.model_ref} has no class {name!r}; it has {', '.join(self.names)}."
                )
            if not 0 <= limit <= 1:
                raise WrongUse(f"score threshold of {name}: wanted a number from 0 to 1, got {limit}.")
        return np.array([table[name] for name in self.names], dtype=np.float32)


def open_detector(
    model: str | Path = "street@production",
    backend: str = "openvino",
    threads: int | None = None,
    precision: Asked | None = None,
    hint: Hint = "latency",
    device: str | None = None,
) -> Detector:
    """Find a model by name, version or folder and load it.

    Args and Raises as `Detector` and `registry.resolve`.
    """
    return Detector(resolve(str(model)), backend, threads, precision, hint, device)
