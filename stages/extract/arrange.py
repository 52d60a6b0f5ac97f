"""Arrangement: the order in which one value holds what another holds.

Two modules that compute the same thing differ in layout: NCHW against NHWC, (N, T, F) against (N·T, F), a feature map
flattened channel-first or channel-last. The order is found by looking at the values, and it is exactly the
permutation that the weight reading the value needs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..plan import Move, Reorder, Reshape, Transpose
from ..torch_graph import CONVOLUTIONS, Op
from .fingerprint import BLOCK

Index = npt.NDArray[np.int64]
#: Relative to the largest value: both sides run the same glue on the same numbers, in another order of float32 sums.
CLOSE = 1e-5


@dataclass(frozen=True)
class Arrangement:
    """How the target's input is made from the reference's.

    Attributes:
        axes: order of the axes, for ops without a feature axis; None where it is the same.
        rows: order of the rows (all positions but the feature axis), None where it is the same.
        features: order along the feature axis, None where it is the same.
        surplus: whether the target reads more padding behind than the reference (a causal convolution that pads both
            ends and cuts its output): its output then starts with the reference's.
        held: of a table with more rows than the reference's: from which to which it holds these.
    """

    axes: tuple[int, ...] | None = None
    rows: Index | None = None
    features: Index | None = None
    surplus: bool = False
    held: tuple[int, int] | None = None

    @property
    def is_identity(self) -> bool:
        return self.axes is None and self.rows is None and self.features is None


def close(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Equal up to ``CLOSE``; NaN equals NaN here (a probe may leave the domain of a logarithm on both sides)."""
    if ours.shape != theirs.shape or ours.is_floating_point() != theirs.is_floating_point():
        return False
    if not ours.is_floating_point():
        return bool(torch.equal(ours.to(theirs.dtype), theirs))
    if not theirs.numel() or _is_one(ours, theirs):
        return True
    ours, theirs = _in_memory_order(ours, theirs)
    lowest, highest = torch.aminmax(theirs)
    scale = max(-float(lowest), float(highest))
    if math.isfinite(scale):  # NaN is neither
        limit = CLOSE * scale + 1e-30
        return all(float((one - other).abs_().max()) <= limit for one, other in _blocks(ours, theirs))
    scale = float(theirs.nan_to_num(0.0, 0.0, 0.0).abs().max())
    return bool(torch.allclose(ours, theirs, rtol=0, atol=CLOSE * scale + 1e-30, equal_nan=True))


def _in_memory_order(ours: torch.Tensor, theirs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both with the axes as they lie in ``theirs``' memory: torch is slow in any other order."""
    order = sorted(range(theirs.dim()), key=theirs.stride().__getitem__, reverse=True)
    return ours.permute(order), theirs.permute(order)


def _blocks(ours: torch.Tensor, theirs: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Both piece by piece, where memory allows: what does not agree is seen at once, what is computed is small."""
    if ours.is_contiguous() and theirs.is_contiguous():
        yield from zip(torch.split(ours.view(-1), BLOCK), torch.split(theirs.view(-1), BLOCK), strict=True)
    else:
        yield ours, theirs


def _is_one(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Whether two tensors of one shape are the same memory: numbers that stand for what an op gives, on both sides."""
    return (ours.data_ptr(), ours.stride(), ours.dtype) == (theirs.data_ptr(), theirs.stride(), theirs.dtype)


def arrangement(target: Op, ours: torch.Tensor, reference: Op, theirs: torch.Tensor) -> Arrangement | None:
    """The Arrangement that makes ``ours`` (what the target op reads) from ``theirs``; None where there is none."""
    if ours.numel() != theirs.numel() and target.kind not in CONVOLUTIONS:
        return None
    if target.feature_axis is None or reference.feature_axis is None:
        return Arrangement() if close(ours, theirs) else _by_axes(target, ours, theirs)
    if _axis(target, ours) == _axis(reference, theirs) and close(ours, theirs):
        return Arrangement()
    if target.kind in CONVOLUTIONS and close(_start(ours, theirs), theirs):
        return Arrangement(surplus=True)
    return _by_rows(target, ours, reference, theirs)


def _start(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """As much of ``ours`` as ``theirs`` is long, axis by axis."""
    return ours[tuple(slice(0, size) for size in theirs.shape)] if ours.dim() == theirs.dim() else ours


def follows(found: Arrangement, target: Op, ours: torch.Tensor, reference: Op, theirs: torch.Tensor) -> bool:
    """Whether ``ours`` is made from ``theirs`` by an Arrangement that was found on other values."""
    if found.axes is not None:
        return close(ours, theirs.permute(found.axes))
    if found.surplus:
        return close(_start(ours, theirs), theirs)
    if target.feature_axis is None or reference.feature_axis is None:
        return close(ours, theirs)
    if found.is_identity and ours.shape == theirs.shape and _axis(target, ours) == _axis(reference, theirs):
        return close(ours, theirs)
    rows = as_rows(reference, theirs)
    rows = rows if found.rows is None else rows[torch.from_numpy(found.rows)]
    rows = rows if found.features is None else rows[:, torch.from_numpy(found.features)]
    return close(as_rows(target, ours), rows)


def _by_rows(target: Op, ours: torch.Tensor, reference: Op, theirs: torch.Tensor) -> Arrangement | None:
    """The same rows of features, the rows or the features in another order."""
    rows_ours, rows_theirs = as_rows(target, ours), as_rows(reference, theirs)
    if rows_ours.shape != rows_theirs.shape:
        return None
    lead = theirs.movedim(_axis(reference, theirs), -1).shape[:-1]
    for rows in _row_orders(lead, may_move=target.kind not in _SPATIAL):
        laid = rows_theirs if rows is None else rows_theirs[torch.from_numpy(rows)]
        if not close(rows_ours.double().sum(1), laid.double().sum(1)):
            continue
        if close(rows_ours, laid):
            return Arrangement(rows=rows)
        features = feature_order(rows_ours, laid)
        if features is not None and _takes_features(target):
            return Arrangement(rows=rows, features=features)
    return None


#: Kinds that look at neighbours: the order of their positions cannot differ.
_SPATIAL = ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")


def _takes_features(op: Op) -> bool:
    """Whether an order of the input's features can be taken into the weights."""
    return op.keeps_channels or (op.hyper.get("groups", 1) == 1 and op.kind in (*_SPATIAL, "linear", "layer_norm"))


def _axis(op: Op, value: torch.Tensor) -> int:
    assert op.feature_axis is not None
    return op.feature_axis % value.dim()


def as_rows(op: Op, value: torch.Tensor) -> torch.Tensor:
    """(rows, features): the feature axis last, every other position a row. (N, C, H, W) → (N·H·W, C)."""
    value = value.movedim(_axis(op, value), -1)
    return value.reshape(-1, value.shape[-1])


def _row_orders(lead: torch.Size, may_move: bool) -> Iterator[Index | None]:
    yield None
    if not may_move or len(lead) < 2 or len(lead) > 5:
        return
    positions = np.arange(math.prod(lead), dtype=np.int64).reshape(lead)
    for perm in itertools.permutations(range(len(lead))):
        if perm != tuple(range(len(lead))):
            yield np.ascontiguousarray(positions.transpose(perm)).reshape(-1)


def feature_order(ours: torch.Tensor, theirs: torch.Tensor) -> Index | None:
    """``index`` with ``ours[:, i] == theirs[:, index[i]]``, both (rows, features); None where there is none.

    1. Transposed blocks (a flatten of (C, H·W) against (H·W, C)) are tried first: cheap, and never ambiguous.
    2. Any other order is found by sorting the columns; where two columns are equal it would be a guess: None.
    """
    for index in block_orders(ours.shape[1]):
        order = torch.from_numpy(index)
        if close(ours[:1], theirs[:1, order]) and close(ours, theirs[:, order]):
            return index
    return _sorted_order(ours, theirs)


def block_orders(length: int) -> Iterator[Index]:
    """Every order that reads ``length`` positions as a matrix and transposes it."""
    positions = np.arange(length, dtype=np.int64)
    for divisor in range(2, length // 2 + 1):
        if length % divisor == 0:
            yield np.ascontiguousarray(positions.reshape(divisor, -1).T).reshape(-1)


def _sorted_order(ours: torch.Tensor, theirs: torch.Tensor) -> Index | None:
    mix = torch.rand(ours.shape[0], dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5
    keys_ours = mix @ ours.double().nan_to_num()
    keys_theirs = mix @ theirs.double().nan_to_num()
    order_ours, order_theirs = keys_ours.argsort(), keys_theirs.argsort()
    step = keys_theirs[order_theirs].diff()
    if bool((step <= 4 * CLOSE * CLOSE * keys_theirs.abs().max()).any()):
        return None
    index = torch.empty_like(order_ours)
    index[order_ours] = order_theirs
    return index.numpy() if close(ours, theirs[:, index]) else None


def likeliest_features(ours: torch.Tensor, theirs: torch.Tensor) -> Index | None:
    """The feature order under which two (rows, features) matrices that are *not* equal correlate best.

    For a module that departs from Keras before this op (ReLU for tanh, say): activations are monotone, so the right
    order still correlates and a wrong one does not. None is the same order.
    """

    def correlation(order: Index | None) -> float:
        laid = theirs if order is None else theirs[:, torch.from_numpy(order)]
        pair = torch.stack([ours.double().reshape(-1), laid.double().reshape(-1)])
        return float(torch.corrcoef(pair)[0, 1].nan_to_num())

    best, score = None, correlation(None)
    for index in block_orders(ours.shape[1]):
        if (found := correlation(index)) > score + 0.05:
            best, score = index, found
    return best


def _by_axes(target: Op, ours: torch.Tensor, theirs: torch.Tensor) -> Arrangement | None:
    """The same values under another order of axes, where the op reads every position alike."""
    if target.kind in ("group_norm", "layer_norm") or ours.dim() != theirs.dim() or ours.dim() > 5:
        return None
    for perm in itertools.permutations(range(theirs.dim())):
        if tuple(theirs.shape[axis] for axis in perm) == tuple(ours.shape) and close(ours, theirs.permute(perm)):
            return Arrangement(axes=perm)
    return None


def moves_between(source: torch.Tensor, wanted: torch.Tensor) -> tuple[Move, ...] | None:
    """Moves that make ``wanted`` from ``source``: an order of axes, a reshape, a flatten's order; None where none does.

    Example: source (N, C, H, W), wanted (N, H·W·C) → Transpose((0, 2, 3, 1)), Reshape(…). A batch that does not stand
    first in ``source``, (T, N, F), may only be turned.
    """
    if source.numel() != wanted.numel() or not 0 < source.dim() <= 6:
        return None
    shape = tuple(wanted.shape)
    perms = itertools.permutations(range(source.dim()))
    for perm in sorted(perms, key=lambda each: tuple(source.shape[axis] for axis in each) != shape):  # likeliest first
        turned = source.permute(perm)
        if turned.shape[0] != shape[0] or (perm[0] != 0 and tuple(turned.shape) != shape):
            continue
        if tuple(turned.shape) != shape and not close(turned[:1].reshape(1, *shape[1:]), wanted[:1]):
            continue  # before all of it is copied
        if not close(turned.reshape(shape), wanted):
            continue
        moves: list[Move] = [] if perm == tuple(range(source.dim())) else [Transpose(perm)]
        return (*moves, *([] if tuple(turned.shape) == shape else [Reshape(tuple(turned.shape), shape)]))
    if source.shape == wanted.shape and source.dim() > 1:
        order = feature_order(wanted.flatten(0, -2), source.flatten(0, -2))
        return None if order is None else (Reorder.along(source.dim() - 1, order),)
    return None
