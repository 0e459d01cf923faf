"""One network in torch with what it needs to itself: a stream and host memory on a GPU. Imports no torch."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from detector.backends.cuda_graphs import Replays
from detector.errors import Failure
from detector.types import FloatArray, Image


class TorchLane:
    """Computes batches, one after the other; several lanes side by side keep a GPU busy.

    On a GPU the canvases are gathered into page-locked memory, from where they are copied while another lane
    computes; colour order, scaling and the choice of the strongest places are done there too, so that little
    comes back.
    """

    def __init__(
        self,
        torch: Any,
        network: Any,
        device: str,
        dtype: Any,
        *,
        batch_max: int,
        keep: int | None,
        replay: bool = False,
    ) -> None:
        """Own `network`, which lies on `device` in `dtype` already.

        Args:
            torch: the module.
            network: called with (B, 3, h, w) RGB in [0, 1]; gives (B, 4 + classes, N), or a tuple of it.
            device: "cpu" or "cuda:N".
            dtype: torch's floating point type.
            batch_max: most pictures of one call.
            keep: how many places of a picture come back, those of the highest scores; None: all.
            replay: record the kernels and launch them as one; on a GPU only, and the network must never wait
                for it.
        """
        self._torch, self._network, self._device, self._dtype = torch, network, device, dtype
        self._batch_max, self._keep = batch_max, keep
        self._on_gpu = device != "cpu"
        self._stream: Any = torch.cuda.Stream(device) if self._on_gpu else None
        self._given: dict[tuple[int, ...], Any] = {}
        self._got: dict[tuple[int, ...], Any] = {}
        self._replays = Replays(torch, device, batch_max, lambda: anchors(network)) if replay else None

    def infer(self, canvases: Sequence[Image]) -> FloatArray:
        """Give the raw output, float32 (B, 4 + classes, N or keep), of canvases of one shape.

        Args:
            canvases: uint8 (h, w, 3) BGR, at most `batch_max`.

        Raises:
            Failure: the GPU's memory is full.
        """
        try:
            with self._torch.inference_mode(), self._streaming():
                return self._infer(canvases)
        except self._torch.OutOfMemoryError as error:
            self._torch.cuda.empty_cache()
            raise Failure(
                f"the memory of {self._device} is full with {len(canvases)} pictures at once; "
                "give it to fewer processes, or take a smaller model."
            ) from error

    def _infer(self, canvases: Sequence[Image]) -> FloatArray:
        given = self._gathered(canvases)
        if self._replays:
            return self._fetched(self._replays.run(given, self._steps))
        return self._fetched(self._steps(given.to(self._device, non_blocking=True)))

    def _steps(self, given: Any) -> Any:
        """Compute uint8 (B, h, w, 3) that lies on the device; float32 (B, 4 + classes, N or keep) there."""
        planes = given.permute(0, 3, 1, 2).flip(1).to(self._dtype).div_(255)
        raw = self._network(planes)
        raw = raw[0] if isinstance(raw, (tuple, list)) else raw
        if self._keep is not None:
            raw = strongest(raw, self._keep)
        return raw.float()

    def _gathered(self, canvases: Sequence[Image]) -> Any:
        """Give the canvases as one tensor (B, h, w, 3) of host memory, page-locked on a GPU."""
        if not self._on_gpu and len(canvases) == 1:
            return self._torch.from_numpy(np.require(canvases[0][None], requirements=("C", "W")))
        shape = canvases[0].shape
        if shape not in self._given:
            self._given[shape] = self._torch.empty(
                (self._batch_max, *shape), dtype=self._torch.uint8, pin_memory=self._on_gpu
            )
        buffer = self._given[shape][: len(canvases)]
        if all(canvas.flags.writeable and canvas.flags.c_contiguous for canvas in canvases):
            # One call, on several threads: one per picture would wait for the interpreter each time.
            self._torch.stack([self._torch.from_numpy(canvas) for canvas in canvases], out=buffer)
            return buffer
        for row, canvas in zip(buffer.numpy(), canvases, strict=True):
            np.copyto(row, canvas)
        return buffer

    def _fetched(self, raw: Any) -> FloatArray:
        """Copy an output to the host and wait for it; what is returned is the caller's own."""
        if not self._on_gpu:
            return np.asarray(raw.numpy(), dtype=np.float32)
        shape = tuple(raw.shape[1:])
        if shape not in self._got:
            self._got[shape] = self._torch.empty(
                (self._batch_max, *shape), dtype=self._torch.float32, pin_memory=True
            )
        buffer = self._got[shape][: len(raw)]
        buffer.copy_(raw, non_blocking=True)
        self._stream.synchronize()
        return np.array(buffer.numpy(), dtype=np.float32)

    def _streaming(self) -> AbstractContextManager[Any]:
        stream: AbstractContextManager[Any] = (
            self._torch.cuda.stream(self._stream) if self._on_gpu else nullcontext()
        )
        return stream


class Lanes:
    """Lanes that are lent to whoever computes; safe from many threads."""

    def __init__(self, lanes: Sequence[TorchLane]) -> None:
        """Lend `lanes`."""
        self._free: queue.SimpleQueue[TorchLane] = queue.SimpleQueue()
        for lane in lanes:
            self._free.put(lane)

    def infer(self, canvases: Sequence[Image], batch_max: int) -> FloatArray:
        """Compute on the next free lane, at most `batch_max` at once; see `TorchLane.infer`."""
        lane = self._free.get()
        try:
            parts = [
                lane.infer(canvases[first : first + batch_max])
                for first in range(0, len(canvases), batch_max)
            ]
        finally:
            self._free.put(lane)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def close(self) -> None:
        """Drop the lanes that are free; the others go when they are done."""
        self._free = queue.SimpleQueue()


def anchors(network: Any) -> tuple[Any, ...]:
    """Give the tensors that a head of ultralytics makes for one input size and drops at the next."""
    head = network.model[-1]
    return head.anchors, head.strides


def strongest(raw: Any, keep: int) -> Any:
    """Keep the `keep` places of each picture whose best class scores highest, in the network's order.

    Args:
        raw: tensor (B, 4 + classes, N).
        keep: how many; where there are fewer, all.
    """
    best = raw[:, 4:].amax(1)
    places = best.topk(min(keep, best.shape[1]), dim=1, sorted=False).indices.sort(dim=1).values
    return raw.gather(2, places[:, None].expand(-1, raw.shape[1], -1))
