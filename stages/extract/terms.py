"""One layer over joined inputs that a module holds as several, whose outputs it adds.

    dense([x, h])   is   wx(x) + wh(h)   with kernel rows 0:X for wx and X:X+H for wh

Which of the features that the layer reads a term reads is found by looking at the values: a number for each feature, of
all its positions, is compared first.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch

from ..torch_graph import Op, Reading, chain
from .arrange import CLOSE, Index, as_rows, close, feature_order
from .probe import ProbedOp

#: Glue that joins what it is given.
_JOINS = ("cat", "stack")


def reads_joined(op: Op, reading: Reading) -> bool:
    """Whether glue alone lies between ``op`` and values that are joined."""
    return any(reading.glue[name].operator in _JOINS for name in chain(reading, op.reads))


class JoinedRead:
    """What an op of the reference reads, in which sections are looked for."""

    def __init__(self, probed: ProbedOp) -> None:
        self.op, self._read = probed.op, probed.read

    @cached_property
    def _rows(self) -> torch.Tensor:
        return as_rows(self.op, self._read)

    @cached_property
    def _keys(self) -> torch.Tensor:
        return _keys(self._rows)

    def sections(self, ours: torch.Tensor) -> Iterator[tuple[tuple[int, int], Index | None]]:
        """((start, stop), order) of each section that ``ours`` (rows, features) is, its features in that order.

        None is the same order. Example: ours holds columns 5, 4, 6 of theirs → ((4, 7), [1, 0, 2]).
        """
        width, (count, whole) = ours.shape[1], self._rows.shape
        if count != ours.shape[0] or width >= whole:
            return
        keys = _keys(ours)
        limit = CLOSE * float(self._keys.abs().max())
        places = [torch.nonzero((self._keys - key).abs() <= limit).flatten() for key in keys[[0, -1]]]
        starts = sorted(set(places[0].tolist()) & {last - width + 1 for last in places[1].tolist()})
        exact = [start for start in starts if start >= 0 and self._is_at(start, keys, ours, limit)]
        yield from (((start, start + width), None) for start in exact)
        if not exact and width > 2:
            yield from self._in_another_order(keys, ours, limit)

    def _is_at(self, start: int, keys: torch.Tensor, ours: torch.Tensor, limit: float) -> bool:
        near = bool(((self._keys[start : start + len(keys)] - keys).abs() <= limit).all())
        return near and close(ours, self._rows[:, start : start + len(keys)])

    def _in_another_order(
        self, keys: torch.Tensor, ours: torch.Tensor, limit: float
    ) -> Iterator[tuple[tuple[int, int], Index | None]]:
        sums = self._keys.unfold(0, len(keys), 1).sum(1)
        for start in torch.nonzero((sums - keys.sum()).abs() <= len(keys) * limit).flatten().tolist():
            features = feature_order(ours, self._rows[:, start : start + len(keys)])
            if features is not None:
                yield (start, start + len(keys)), features


def _keys(rows: torch.Tensor) -> torch.Tensor:
    """One number for each feature: of all its rows, each with a weight of its own."""
    weights = torch.rand(rows.shape[0], dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5
    keys: torch.Tensor = weights @ rows.double().nan_to_num(0.0, 3.0, -3.0)
    return keys
