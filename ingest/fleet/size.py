"""How many workers a machine gets, and how full they may be. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

from detector.errors import WrongUse

GPU_SHARE = 0.25
"""Of a GPU, for each worker, where nothing else is asked for: one worker reaches half of what the network
alone does there, four reach nearly all of it (`benchmarks/gpu.py --processes`)."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many workers, and how full they may be.

    A worker on a GPU puts pictures of its cameras into batches; one alone is busy with Python before the GPU
    is with them, so several share it: see `GPU_SHARE`. Nothing keeps a worker to its share: like Ray's, it is
    what is planned.

    Args:
        workers: processes; None: one per usable core, but not more than there are cameras; on a GPU, not more
            than have their share of it.
        max_load: share of its cores that the cameras of a worker may take, (0, 1].
        gpu_share: of the GPU, that each worker takes, (0, 1]; None: they compute on the CPU.

    Raises:
        WrongUse: more shares are asked for than a GPU has.
    """

    workers: int | None = None
    max_load: float = 0.85
    gpu_share: float | None = None

    def __post_init__(self) -> None:
        """See that the workers fit the GPU."""
        if self.gpu_share is not None and (self.workers or 1) * self.gpu_share > 1 + 1e-9:
            fitting = floor(1000 / (self.workers or 1)) / 1000
            raise WrongUse(
                f"--workers {self.workers}: with {self.gpu_share:g} of a GPU each they do not fit; leave "
                f"--workers out, or give each less with --gpu-fraction {fitting:g}."
            )

    def count(self, cores: int, cameras: int) -> int:
        """Give the number of workers.

        >>> Size().count(8, 3), Size(gpu_share=1.0).count(8, 200), Size(gpu_share=0.25).count(8, 200)
        (3, 1, 4)
        >>> Size(gpu_share=0.25).count(2, 200)
        2
        """
        if self.workers is not None:
            return self.workers
        most = cores if self.gpu_share is None else min(cores, int(1 / self.gpu_share + 1e-9))
        return min(most, cameras)
