"""Layout: how a value stands in the normalised graph, against how it stands in Keras.

    keras = physical.transpose(perm), then along each axis: keras[i] = physical[orders[axis][i]]

A feature map that is kept channel-first while Keras has it channel-last:

    >>> Layout((0, 2, 3, 1)).physical_shape((None, 8, 9, 3))
    (None, 3, 8, 9)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..plan import Move, Reorder, Transpose

FreeShape: TypeAlias = tuple[int | None, ...]
Order: TypeAlias = tuple[int, ...] | None

# Stands for the batch when element counts are compared: a prime that no dimension has as a factor.
_BATCH = 2_147_483_647


@dataclass(frozen=True)
class Layout:
    """Axis ``a`` in Keras is axis ``perm[a]`` of the physical value; ``orders`` is by Keras axis, None is in order."""

    perm: tuple[int, ...]
    orders: tuple[Order, ...] = ()

    def __post_init__(self) -> None:
        orders = self.orders or (None,) * len(self.perm)
        in_order = tuple(None if order == tuple(range(len(order or ()))) else order for order in orders)
        object.__setattr__(self, "orders", in_order)

    @classmethod
    def plain(cls, rank: int) -> Layout:
        """As in Keras."""
        return cls(tuple(range(rank)))

    @property
    def is_plain(self) -> bool:
        return self.perm == tuple(range(len(self.perm))) and not self.is_reordered

    @property
    def is_reordered(self) -> bool:
        return any(self.orders)

    def physical_axis(self, position: int) -> int:
        """The Keras axis that stands at physical ``position``."""
        return self.perm.index(position)

    def physical_shape(self, shape: FreeShape) -> FreeShape:
        """The physical shape of a value that has ``shape`` in Keras."""
        return self.arrange(shape)

    def arrange(self, per_axis: Sequence[int | None]) -> tuple[int | None, ...]:
        """Figures by Keras axis (a shape, pads, scales) in physical order."""
        return tuple(per_axis[self.physical_axis(position)] for position in range(len(self.perm)))

    def transposed(self, perm: Sequence[int]) -> Layout:
        """The layout of ``Transpose(perm)`` of the value, the physical value staying as it is."""
        return Layout(tuple(self.perm[axis] for axis in perm), tuple(self.orders[axis] for axis in perm))

    def without_orders(self) -> Layout:
        return Layout(self.perm)

    def with_order(self, axis: int, order: Order) -> Layout:
        return replace(self, orders=(*self.orders[:axis], order, *self.orders[axis + 1 :]))

    def without_axes(self, axes: Sequence[int]) -> Layout:
        """The layout after Keras ``axes`` are gone (a reduction, a Squeeze)."""
        kept = [axis for axis in range(len(self.perm)) if axis not in axes]
        ranks = sorted(self.perm[axis] for axis in kept)
        return Layout(tuple(ranks.index(self.perm[axis]) for axis in kept), tuple(self.orders[axis] for axis in kept))

    def fitted(self, shape: FreeShape) -> Layout:
        """What an operand of ``shape`` needs that is broadcast to it: an axis of length 1 has no order."""
        return replace(
            self, orders=tuple(None if dim == 1 else order for dim, order in zip(shape, self.orders, strict=True))
        )

    def to_keras(self) -> tuple[Move, ...]:
        """The moves from the physical value to the Keras array."""
        moves: list[Move] = [] if self.perm == tuple(range(len(self.perm))) else [Transpose(self.perm)]
        orders = ((axis, order) for axis, order in enumerate(self.orders) if order)
        return (*moves, *(Reorder.along(axis, np.asarray(order, dtype=np.int64)) for axis, order in orders))

    def from_keras(self) -> tuple[Move, ...]:
        """The moves from the Keras array to the physical value."""
        return tuple(move.inverse() for move in reversed(self.to_keras()))


def inverse_order(order: Order) -> Order:
    return None if order is None else tuple(np.argsort(np.asarray(order)).tolist())


def steps_between(have: Layout, want: Layout) -> tuple[tuple[tuple[int, tuple[int, ...]], ...], tuple[int, ...]]:
    """What leads from one physical value to another of the same Keras value: (gathers, perm).

    ``gathers`` are (physical axis, indices), to be done first; ``perm`` is then a Transpose.
    """
    gathers = []
    for axis, (source, target) in enumerate(zip(have.orders, want.orders, strict=True)):
        if source != target:
            length = len(source or target or ())
            source_index = np.arange(length) if source is None else np.asarray(source)
            back = np.arange(length) if target is None else np.argsort(np.asarray(target))
            gathers.append((have.perm[axis], tuple(source_index[back].tolist())))
    return tuple(gathers), tuple(have.perm[want.physical_axis(position)] for position in range(len(want.perm)))


def reshaped(source: FreeShape, target: FreeShape, layout: Layout) -> tuple[FreeShape, Layout] | str:
    """Reshape ``source`` to ``target`` without moving the physical elements: (physical target, its layout), or why not.

    The axes fall into groups that hold the same elements on both sides. In each group, by example of a value that
    is kept channel-first:

    1. one axis stays one axis: it keeps its order;
    2. axes are merged, (H, W, C) → H·W·C: the physical merge is C·H·W, the difference is an order;
    3. an axis is split, H·W·C → (H, W, C), whose order is that of a transposed block: physically it is split (C, H, W);
    4. axes of length 1 come and go freely.

    Not where a group is torn apart physically, where its order is not that of a block, or where it holds the batch
    together with an order.
    """
    if layout.is_plain:
        return target, Layout.plain(len(target))
    groups = _groups(source, target)
    if groups is None:
        return f"{source} and {target} do not fall into groups of axes"
    standing = sorted((axis for axis, dim in enumerate(source) if dim != 1), key=lambda axis: layout.perm[axis])
    placed: list[tuple[int, list[int]]] = []
    orders: list[Order] = [None] * len(target)
    ones = [axis for axis, dim in enumerate(target) if dim == 1]
    for from_axes, to_axes in groups:
        positions = [standing.index(axis) for axis in from_axes]
        if not positions:
            continue
        if max(positions) - min(positions) >= len(positions):
            return f"axes {from_axes} of {source} do not stand side by side in the normalised graph"
        inner = _inner_order(source, target, layout, from_axes, to_axes)
        if inner is None:
            return f"the order of axes {from_axes} of {source} is not that of a transposed block of {target}"
        physical, order = inner
        placed.append((min(positions), physical))
        if len(to_axes) == 1:
            orders[to_axes[0]] = order
    longer = [axis for _, axes in sorted(placed, key=lambda item: item[0]) for axis in axes]
    physical_axes = list(range(len(target))) if longer == sorted(longer) else longer + ones
    perm = tuple(physical_axes.index(axis) for axis in range(len(target)))
    return tuple(target[axis] for axis in physical_axes), Layout(perm, tuple(orders))


def _groups(source: FreeShape, target: FreeShape) -> list[tuple[list[int], list[int]]] | None:
    """Runs of axes, those of length 1 left out, that hold equally many elements on both sides."""
    if source.count(None) > 1 or target.count(None) != source.count(None):
        return None
    rest = math.prod(dim for dim in target if dim is not None)
    # Whatever the target takes out of the batch (time steps that were put into it) divides the stand-in.
    batch = _BATCH * rest
    total = math.prod(batch if dim is None else dim for dim in source)
    if rest == 0 or total % rest:
        return None
    ours = iter([(axis, batch if dim is None else dim) for axis, dim in enumerate(source) if dim != 1])
    theirs = iter([(axis, total // rest if dim is None else dim) for axis, dim in enumerate(target) if dim != 1])
    return list(_matched(ours, theirs))


def _matched(
    ours: Iterator[tuple[int, int]], theirs: Iterator[tuple[int, int]]
) -> Iterator[tuple[list[int], list[int]]]:
    for axis, dim in ours:
        from_axes, left, right = [axis], dim, 1
        to_axes: list[int] = []
        while left != right:
            side, axes = (ours, from_axes) if left < right else (theirs, to_axes)
            next_axis, next_dim = next(side)
            axes.append(next_axis)
            left, right = (left * next_dim, right) if left < right else (left, right * next_dim)
        yield from_axes, to_axes


def _inner_order(
    source: FreeShape, target: FreeShape, layout: Layout, from_axes: list[int], to_axes: list[int]
) -> tuple[list[int], Order] | None:
    """(``to_axes`` in physical order, order of a single one), or None where no such arrangement exists."""
    if all(layout.orders[axis] is None for axis in from_axes) and from_axes == sorted(
        from_axes, key=lambda axis: layout.perm[axis]
    ):
        return to_axes, None
    if len(from_axes) == 1 and len(to_axes) == 1:
        return to_axes, layout.orders[from_axes[0]]
    dims = [source[axis] for axis in from_axes]
    if None in dims:
        return None
    index = _flat_order([dim for dim in dims if dim is not None], layout, from_axes)
    if len(to_axes) == 1:
        return to_axes, tuple(index.tolist())
    for physical in itertools.permutations(range(len(to_axes))):
        block = np.arange(len(index)).reshape([target[to_axes[axis]] or 1 for axis in physical])
        if np.array_equal(block.transpose([physical.index(axis) for axis in range(len(physical))]).reshape(-1), index):
            return [to_axes[axis] for axis in physical], None
    return None


def _flat_order(dims: list[int], layout: Layout, axes: list[int]) -> npt.NDArray[np.int64]:
    """Position in Keras' row-major run over ``axes`` → position in the physical run over them."""
    physical = sorted(range(len(axes)), key=lambda place: layout.perm[axes[place]])
    block = np.arange(math.prod(dims)).reshape([dims[place] for place in physical])
    block = block.transpose([physical.index(place) for place in range(len(axes))])
    for place, axis in enumerate(axes):
        order = layout.orders[axis]
        if order:
            block = block.take(np.asarray(order), place)
    return block.reshape(-1)
