"""How many samples go through at once, and how many are compared layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..base import Graph, Job
from ..errors import UsageError
from ..plan import Array

# Of all layers of the compared samples, for one runtime. ResNet50 has 150 MB a sample.
LAYER_BYTES = 192 * 2**20
# Of a batch; four values of the largest layer's size live at once at the worst.
BATCH_BYTES = 192 * 2**20
LARGEST_BATCH = 64


@dataclass(frozen=True)
class Batch:
    """Some samples: their inputs, their place among all, and whether their layers are compared."""

    inputs: Mapping[str, Array]
    place: slice
    probed: bool


@dataclass(frozen=True)
class Samples:
    """The inputs cut into batches.

    Attributes:
        inputs: input name → array, all samples, as the graph takes their dtype.
        batch: samples in a batch.
        probed: how many of the first samples are compared layer by layer.
        probe_batch: samples in a batch of those.
    """

    inputs: Mapping[str, Array]
    batch: int
    probed: int
    probe_batch: int

    @property
    def count(self) -> int:
        return len(next(iter(self.inputs.values())))

    @property
    def probes(self) -> Samples:
        """The probed samples alone."""
        inputs = {name: array[: self.probed] for name, array in self.inputs.items()}
        return replace(self, inputs=inputs)

    def batches(self) -> Iterator[Batch]:
        """All samples, first the probed ones."""
        for first, end, size in ((0, self.probed, self.probe_batch), (self.probed, self.count, self.batch)):
            for start in range(first, end, size):
                place = slice(start, min(start + size, end))
                inputs = {name: array[place] for name, array in self.inputs.items()}
                yield Batch(inputs, place, probed=first == 0)


class Collected:
    """Arrays of ``count`` samples, put together from batches as they come; a single batch is kept as it is."""

    def __init__(self, count: int) -> None:
        self.arrays: dict[str, Array] = {}
        self._count = count

    def add(self, place: slice, values: dict[str, Array]) -> None:
        """Take the values of one batch out of ``values``."""
        for name in list(values):
            value = values.pop(name)
            if place == slice(0, self._count):
                self.arrays[name] = value
                continue
            if name not in self.arrays:
                self.arrays[name] = np.empty((self._count, *value.shape[1:]), value.dtype)
            self.arrays[name][place] = value


def samples_of(job: Job, graph: Graph) -> Samples:
    """Cut ``job.inputs`` so that memory stays bounded, whatever the model's size.

    ``probed`` is ``job.probe_samples`` at most: fewer where all layers of that many samples would take more than
    ``LAYER_BYTES``, but always one.
    """
    inputs = {port.name: np.ascontiguousarray(job.inputs[port.name], dtype=port.dtype) for port in graph.inputs}
    count = len(next(iter(inputs.values())))
    if graph.batch is not None:
        if count % graph.batch:
            raise UsageError(
                f"{count} samples do not fill batches of {graph.batch}, which is what the model takes",
                where="inputs",
                fix=f"give a multiple of {graph.batch} samples",
            )
        return Samples(inputs, graph.batch, graph.batch, graph.batch)
    sizes = [_bytes(boundary.shape, boundary.dtype) for boundary in graph.boundaries] or [1]
    probed = max(1, min(job.probe_samples, count, LAYER_BYTES // max(sum(sizes), 1)))
    batch = max(1, min(LARGEST_BATCH, BATCH_BYTES // (4 * max(*sizes, 1))))
    return Samples(inputs, batch, probed, min(probed, max(1, BATCH_BYTES // max(sum(sizes), 1))))


def _bytes(shape: tuple[int | None, ...], dtype: str) -> int:
    """Bytes of one sample of a layer; a free size beyond the batch counts as one."""
    return math.prod(size or 1 for size in shape[1:]) * np.dtype(dtype).itemsize
