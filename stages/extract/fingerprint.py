"""Fingerprints: four numbers that two values share whenever they hold the same elements in any order."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

Mark: TypeAlias = npt.NDArray[np.float64]
Marks: TypeAlias = Mapping[str, Mark]
NO_MARK: Mark = np.empty(0)

#: Relative; far above the rounding of float32 sums in another order, far below what other values would give.
SAME = 1e-5
#: Elements that are looked at at once: what is made of them stays in the processor's cache.
BLOCK = 1 << 16


def fingerprint(value: torch.Tensor) -> npt.NDArray[np.float64]:
    """(count, sum, sum of squares, sum of cubes); NaN read as 0, infinity as 3: padding with it is none with zeros."""
    value = torch.view_as_real(value) if value.is_complex() else value
    flat = value.detach().reshape(-1)
    sums = _sums(flat if flat.is_floating_point() else flat.float())
    if not np.isfinite(sums).all():
        sums = _sums(flat.nan_to_num(0.0, 3.0, -3.0))
    return np.array([flat.numel(), *sums])


def _sums(flat: torch.Tensor) -> npt.NDArray[np.float64]:
    """By pairs within a block: exact enough in float32."""
    sums = np.zeros(3)
    for block in torch.split(flat, BLOCK):
        square = block * block
        sums += [float(each) for each in (block.sum(), square.sum(), square.mul_(block).abs_().sum())]
    return sums


def matching(
    wanted: npt.NDArray[np.float64], among: Sequence[npt.NDArray[np.float64]], *, counted: bool = True
) -> list[int]:
    """Positions in ``among`` of the fingerprints that are ``wanted``'s, up to rounding.

    Not ``counted``: whatever the number of elements. More zeros add nothing to the sums.
    """
    if not among:
        return []
    count, _, squares, cubes = wanted
    scale = np.sqrt(np.abs(count * squares)) + 1e-12  # no sum of so many elements exceeds it
    limits = np.array([0.0 if counted else np.inf, SAME * scale, SAME * (squares + 1e-12), SAME * (cubes + 1e-12)])
    return [int(i) for i in np.flatnonzero((np.abs(np.stack(among) - wanted) <= limits).all(axis=1))]


class MarkIndex:
    """Many fingerprints, among which those that match another are found in logarithmic time."""

    def __init__(self, marks: Sequence[npt.NDArray[np.float64]]) -> None:
        self._order = sorted(range(len(marks)), key=lambda position: marks[position][2])
        self._marks = [marks[position] for position in self._order]
        self._squares = [mark[2] for mark in self._marks]

    def matching(self, wanted: npt.NDArray[np.float64], *, counted: bool = True) -> list[int]:
        """What ``matching`` gives."""
        slack = 2 * SAME * (wanted[2] + 1e-12)
        low = bisect.bisect_left(self._squares, wanted[2] - slack)
        high = bisect.bisect_right(self._squares, wanted[2] + slack)
        return sorted(self._order[low + i] for i in matching(wanted, self._marks[low:high], counted=counted))
