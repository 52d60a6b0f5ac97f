"""Moves: exact, invertible steps on an array.

A move only ever changes *where* an element stands, never its value, so every move is bit-exact for every
dtype (NaN payloads included) and ``move.inverse().apply(move.apply(a))`` is ``a``. What a move does is fully
told by applying it to ``arange``: that is its index map.

    >>> Transpose((1, 0)).apply(np.arange(6).reshape(2, 3)).tolist()
    [[0, 3], [1, 4], [2, 5]]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from operator import index as whole
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from . import parse
from .blocks import as_block, block_index

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
        """The move as plain JSON values, ``{"move": kind, …}``; ``move_from_json`` reads it."""


def _keep_as_integers(move: Move, *names: str) -> None:
    """Fields that came as lists or numpy integers become tuples of int: hashable, and writable as JSON."""
    for name in names:
        object.__setattr__(move, name, tuple(whole(value) for value in getattr(move, name)))


@dataclass(frozen=True)
class Transpose:
    """Reorder the axes: axis ``i`` of the result is axis ``perm[i]`` of the source (numpy, ONNX and torch agree).

    A Conv2D kernel (height, width, in, out) becomes torch's (out, in, height, width):

        >>> Transpose((3, 2, 0, 1)).shape((3, 4, 1, 2))
        (2, 1, 3, 4)
    """

    kind: ClassVar[str] = "transpose"
    perm: tuple[int, ...]

    def __post_init__(self) -> None:
        _keep_as_integers(self, "perm")
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
        return Transpose(_inverse_perm(self.perm))

    def to_json(self) -> dict[str, Any]:
        return {"move": self.kind, "perm": list(self.perm)}


@dataclass(frozen=True)
class Reshape:
    """Read the elements, in row-major order, into another shape.

    A DepthwiseConv2D kernel, its last two axes transposed to (…, multiplier, channels), loses one of them:

        >>> Reshape((3, 3, 1, 8), (3, 3, 8)).inverse().shape((3, 3, 8))
        (3, 3, 1, 8)
    """

    kind: ClassVar[str] = "reshape"
    source: Shape
    target: Shape

    def __post_init__(self) -> None:
        _keep_as_integers(self, "source", "target")
        if min((*self.source, *self.target), default=0) < 0:
            raise ValueError(f"Reshape: {self.source} → {self.target} has a negative length")
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
    """Reverse one axis, counted from the front.

    >>> Flip(0).apply(np.arange(3)).tolist()
    [2, 1, 0]
    """

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
        return {"move": self.kind, "axis": whole(self.axis)}


@dataclass(frozen=True)
class Reorder:
    """Permute the elements along one axis: position ``i`` of the result is position ``index[i]`` of the source.

    The order is kept in the compact form (block, perm): the axis is read as a block of that shape, whose axes
    are then transposed by ``perm``. A Flatten of an (H, W, C) feature map becomes channel-first by
    ``Reorder(axis, (H, W, C), (2, 0, 1))``. An order without such a structure is kept as ``order``.

        >>> Reorder(0, (2, 3), (1, 0)).apply(np.arange(6)).tolist()
        [0, 3, 1, 4, 2, 5]
        >>> Reorder(0, order=(2, 0, 1)).apply(np.arange(6).reshape(3, 2)).tolist()
        [[4, 5], [0, 1], [2, 3]]
    """

    kind: ClassVar[str] = "reorder"
    axis: int
    block: Shape = ()
    perm: tuple[int, ...] = ()
    order: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _keep_as_integers(self, "block", "perm", "order")
        if bool(self.order) == bool(self.block):
            raise ValueError("Reorder: give either block and perm, or order")
        if sorted(self.perm) != list(range(len(self.block))):
            raise ValueError(f"Reorder: perm {self.perm} is no permutation of the axes of {self.block}")
        if min(self.block, default=0) < 0:
            raise ValueError(f"Reorder: block {self.block} has a negative length")
        if sorted(self.order) != list(range(len(self.order))):
            raise ValueError(f"Reorder: order of length {len(self.order)} is no permutation")

    @cached_property
    def index(self) -> npt.NDArray[np.int64]:
        """The order as an index array: ``result = source.take(index, axis)``."""
        if self.order:
            return np.asarray(self.order, dtype=np.int64)
        return block_index(self.block, self.perm)

    @classmethod
    def along(cls, axis: int, index: npt.NDArray[np.int64]) -> Reorder:
        """The Reorder of an index array, in compact form where its structure is a transposed block.

        The form is the shortest: axes that stay side by side count as one.

            >>> channel_first = np.arange(2 * 2 * 3).reshape(2, 2, 3).transpose(2, 0, 1).reshape(-1)
            >>> Reorder.along(1, channel_first)
            Reorder(axis=1, block=(4, 3), perm=(1, 0), order=())
        """
        compact = as_block(index)
        return cls(axis, *compact) if compact else cls(axis, order=tuple(index.tolist()))

    @property
    def is_identity(self) -> bool:
        """Whether every element stays where it is."""
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
        return Reorder(self.axis, tuple(self.block[axis] for axis in self.perm), _inverse_perm(self.perm))

    def to_json(self) -> dict[str, Any]:
        if self.order:
            return {"move": self.kind, "axis": whole(self.axis), "order": list(self.order)}
        return {"move": self.kind, "axis": whole(self.axis), "block": list(self.block), "perm": list(self.perm)}


def _inverse_perm(perm: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(perm.index(axis) for axis in range(len(perm)))


def apply_moves(moves: Sequence[Move], array: Array) -> Array:
    """The moves one after the other.

    >>> apply_moves((Transpose((1, 0)), Flip(0)), np.zeros((2, 3))).shape
    (3, 2)
    """
    for move in moves:
        array = move.apply(array)
    return array


def inverse_moves(moves: Sequence[Move]) -> tuple[Move, ...]:
    """The way back: ``apply_moves(inverse_moves(moves), apply_moves(moves, a))`` is ``a``."""
    return tuple(move.inverse() for move in reversed(moves))


MOVES: tuple[type[Transpose | Reshape | Flip | Reorder], ...] = (Transpose, Reshape, Flip, Reorder)


def move_from_json(data: Mapping[str, Any]) -> Move:
    """The inverse of ``Move.to_json``.

        >>> move_from_json({"move": "transpose", "perm": [1, 0]})
        Transpose(perm=(1, 0))

    Raises:
        ValueError: an unknown kind, a missing or unknown field, a value of the wrong type, or one that makes no move.
    """
    kind = data.get("move")
    for move in MOVES:
        if move.kind == kind:
            required = {field.name for field in fields(move) if field.default is MISSING}
            given = data.keys() - {"move"}
            if not required <= given <= {field.name for field in fields(move)}:
                raise ValueError(f"{kind} needs the fields {', '.join(sorted(required))}, received {', '.join(given)}")
            values: dict[str, Any] = {
                name: (parse.integer if name == "axis" else parse.integers)(data[name], f"{kind} {name}")
                for name in given
            }
            return move(**values)
    raise ValueError(f"unknown move {kind!r}; known are {', '.join(move.kind for move in MOVES)}")
