"""Orders that transpose a block, such as Flatten's of a feature map: kept by shape and perm, not by every position."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def block_index(block: tuple[int, ...], perm: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """The order that a block of this shape gives, read in row-major order after its axes were transposed by ``perm``.

    >>> block_index((2, 3), (1, 0)).tolist()
    [0, 3, 1, 4, 2, 5]
    """
    return np.arange(math.prod(block), dtype=np.int64).reshape(block).transpose(perm).reshape(-1)


def as_block(index: npt.NDArray[np.int64]) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The shortest (block, perm) whose ``block_index`` is ``index``; None where it transposes no block.

        >>> as_block(np.array([0, 3, 1, 4, 2, 5]))
        ((2, 3), (1, 0))

    Read from the result's last axis to its first: an axis lasts as long as the order climbs by its step. The steps
    are the strides of the block, so sorting the axes by them gives the block as it was.
    """
    if len(index) < 2:
        return (len(index),), (0,)
    steps_and_lengths: list[tuple[int, int]] = []
    span = 1
    while span < len(index):
        starts = index[::span]
        climbs = starts == starts[1] * np.arange(len(starts))
        length = len(starts) if climbs.all() else int(np.argmin(climbs))
        if length < 2:
            return None
        steps_and_lengths.append((int(starts[1]), length))
        span *= length
    result_axes = steps_and_lengths[::-1]
    source_axes = sorted(result_axes, reverse=True)
    block, perm = tuple(length for _, length in source_axes), tuple(source_axes.index(axis) for axis in result_axes)
    if len(set(perm)) < len(perm) or not np.array_equal(block_index(block, perm), index):
        return None
    return block, perm
