"""Moves: exact, invertible steps on an array.

A move only ever changes *where* an element stands, never its value, so every move is bit-exact for every
dtype (NaN payloads included) and ``move.inverse().apply(move.apply(a))`` is ``a``. What a move does is fully
told by applying it to ``arange``: that is its index map.

    >>> Transpose((1, 0)).apply(np.arange(6).reshape(2, 3)).shape
    (3, 2)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]


@runtime_checkable
class Move(Protocol):
    """One exact step: array in, array out, the same elements in other places."""

    kind: ClassVar[str]

    def apply(self, array: Array) -> Array:
        """The moved array (a view where numpy can give one)."""

    def shape(self, source: Shape) -> Shape:
        """The shape that ``apply`` gives for an array of shape ``source``; ValueError where it cannot."""

    def inverse(self) -> Move:
        """The move that puts every element back."""

    def to_json(self) -> dict[str, Any]:
        """The move as plain JSON values, ``{"move": kind, …}``."""


@dataclass(frozen=True)
class Transpose:
    """Reorder the axes: axis ``i`` of the result is axis ``perm[i]`` of the source (numpy, ONNX and torch agree)."""

    kind: ClassVar[str] = "transpose"
    perm: tuple[int, ...]

    def __post_init__(self) -> None:
        if sorted(self.perm) != list(range(len(self.perm))):
            raise ValueError(f"Transpose: perm {self.perm} is no permutation of 0..{len(self.perm) - 1}")

    def apply(self, array: Array) -> Array:
        self.shape(array.shape)
        return array.transpose(self.perm)

    def shape(self, source: Shape) -> Shape:
        if len(source) != len(self.perm):
            raise ValueError(f"Transpose: perm {self.perm} does not fit an array of shape {source}")
        return tuple(source[axis] for axis in self.perm)

    def inverse(self) -> Transpose:
        return Transpose(tuple(self.perm.index(axis) for axis in range(len(self.perm))))

    def to_json(self) -> dict[str, Any]:
        return {"move": self.kind, "perm": list(self.perm)}


@dataclass(frozen=True)
class Reshape:
    """Read the elements, in row-major order, into another shape."""

    kind: ClassVar[str] = "reshape"
    source: Shape
    target: Shape

    def __post_init__(self) -> None:
        if math.prod(self.source) != math.prod(self.target):
            raise ValueError(f"Reshape: {self.source} and {self.target} do not hold equally many elements")

    def apply(self, array: Array) -> Array:
        return array.reshape(self.shape(array.shape))

    def shape(self, source: Shape) -> Shape:
        if source != self.source:
            raise ValueError(f"Reshape: made for shape {self.source}, received {source}")
        return self.target

    def inverse(self) -> Reshape:
        return Reshape(self.target, self.source)

    def to_json(self) -> dict[str, Any]:
        return {"move": self.kind, "source": list(self.source), "target": list(self.target)}


@dataclass(frozen=True)
class Flip:
    """Reverse one axis."""

    kind: ClassVar[str] = "flip"
    axis: int

    def apply(self, array: Array) -> Array:
        self.shape(array.shape)
        return np.flip(array, self.axis)

    def shape(self, source: Shape) -> Shape:
        if not 0 <= self.axis < len(source):
            raise ValueError(f"Flip: axis {self.axis} does not fit an array of shape {source}")
        return source

    def inverse(self) -> Flip:
        return self

    def to_json(self) -> dict[str, Any]:
        return {"move": self.kind, "axis": self.axis}


@dataclass(frozen=True)
class Reorder:
    """Permute the elements along one axis: position ``i`` of the result is position ``index[i]`` of the source.

    The order is kept in the compact form (shape, perm): the axis is read as a block of ``shape`` whose axes
    are then transposed by ``perm``. A Flatten of an (H, W, C) feature map becomes channel-first by
    ``Reorder(axis, (H, W, C), (2, 0, 1))``. An order without such a structure is kept as ``order``.

        >>> Reorder(0, (2, 3), (1, 0)).apply(np.arange(6)).tolist()
        [0, 3, 1, 4, 2, 5]
    """

    kind: ClassVar[str] = "reorder"
    axis: int
    block: Shape = ()
    perm: tuple[int, ...] = ()
    order: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.order) == bool(self.block):
            raise ValueError("Reorder: give either block and perm, or order")
        if self.block and sorted(self.perm) != list(range(len(self.block))):
            raise ValueError(f"Reorder: perm {self.perm} is no permutation of the axes of {self.block}")
        if self.order and sorted(self.order) != list(range(len(self.order))):
            raise ValueError(f"Reorder: order of length {len(self.order)} is no permutation")

    @cached_property
    def index(self) -> npt.NDArray[np.int64]:
        """The order as an index array: ``result = source.take(index, axis)``."""
        if self.order:
            return np.asarray(self.order, dtype=np.int64)
        return np.arange(math.prod(self.block), dtype=np.int64).reshape(self.block).transpose(self.perm).reshape(-1)

    @classmethod
    def along(cls, axis: int, index: npt.NDArray[np.int64]) -> Reorder:
        """The Reorder of an index array, in compact form where its structure is a transposed block of 2 or 3 axes."""
        return cls(axis, *_as_block(index)) if _as_block(index) else cls(axis, order=tuple(index.tolist()))

    @property
    def is_identity(self) -> bool:
        return bool(np.array_equal(self.index, np.arange(len(self.index))))

    def apply(self, array: Array) -> Array:
        self.shape(array.shape)
        return array.take(self.index, self.axis)

    def shape(self, source: Shape) -> Shape:
        length = len(self.order) or math.prod(self.block)
        if not 0 <= self.axis < len(source) or source[self.axis] != length:
            raise ValueError(f"Reorder: {length} positions on axis {self.axis} do not fit an array of shape {source}")
        return source

    def inverse(self) -> Reorder:
        if self.order:
            return Reorder(self.axis, order=tuple(np.argsort(self.index).tolist()))
        back = tuple(self.perm.index(axis) for axis in range(len(self.perm)))
        return Reorder(self.axis, tuple(self.block[axis] for axis in self.perm), back)

    def to_json(self) -> dict[str, Any]:
        if self.order:
            return {"move": self.kind, "axis": self.axis, "order": list(self.order)}
        return {"move": self.kind, "axis": self.axis, "block": list(self.block), "perm": list(self.perm)}


def _as_block(index: npt.NDArray[np.int64]) -> tuple[Shape, tuple[int, ...]] | None:
    """(block, perm) of an order that transposes a block of two axes: ``[0, 3, 1, 4, 2, 5]`` is ((2, 3), (1, 0)).

    Three-axis moves that a feature map needs, (H, W, C) ↔ (C, H, W), are two-axis moves of (H·W, C).
    """
    length = len(index)
    if length < 4 or index[0] != 0:
        return None
    step = int(index[1])
    if step <= 1 or length % step:
        return None
    block = (length // step, step)
    made = np.arange(length).reshape(block).T.reshape(-1)
    return (block, (1, 0)) if np.array_equal(made, index) else None


def move_from_json(data: dict[str, Any]) -> Move:
    """The inverse of ``Move.to_json``; ValueError for an unknown kind."""
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    kind = fields.pop("move", None)
    for move in MOVES:
        if move.kind == kind:
            return move(**fields)
    raise ValueError(f"unknown move {kind!r}; known are {', '.join(move.kind for move in MOVES)}")


def apply_moves(moves: tuple[Move, ...], array: Array) -> Array:
    """The moves one after the other."""
    for move in moves:
        array = move.apply(array)
    return array


def inverse_moves(moves: tuple[Move, ...]) -> tuple[Move, ...]:
    """The way back."""
    return tuple(move.inverse() for move in reversed(moves))


MOVES: tuple[type[Transpose] | type[Reshape] | type[Flip] | type[Reorder], ...] = (Transpose, Reshape, Flip, Reorder)
