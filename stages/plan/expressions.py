"""Expressions: moves over Keras variables and stated constants, immutable, read from and written to JSON.

Every expression has

- ``shape`` and ``dtype``: of the tensor that it makes; ValueError where its parts do not fit together;
- ``apply(variables)``: that tensor, from path → array;
- ``restore(array, write)``: the way back; it calls ``write(variable, array)`` for each variable that it takes;
- ``to_json()``: plain JSON values; ``expression_from_json`` reads them.

    >>> from torchgraft.stages.plan import Moved, Part, Transpose, Variable
    >>> kernel = Variable("dense/kernel", (2, 3))
    >>> Moved(Transpose((1, 0)), Part(1, 0, 2, kernel)).apply({"dense/kernel": np.arange(6).reshape(2, 3)}).tolist()
    [[0, 3], [1, 4]]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from . import parse
from .arithmetic import Computed, computed_from_json
from .moves import Array, Move, Shape, move_from_json

Write: TypeAlias = Callable[["Variable", Array], None]


@dataclass(frozen=True)
class Variable:
    """A Keras variable, by its path in the model (``conv2d_1/kernel``); dtype is numpy's name of it."""

    path: str
    shape: Shape
    dtype: str = "float32"

    def apply(self, variables: Mapping[str, Array]) -> Array:
        array = variables[self.path]
        if array.shape != self.shape:
            raise ValueError(f"variable {self.path}: the recipe was made for {self.shape}, received {array.shape}")
        return array

    def restore(self, array: Array, write: Write) -> None:
        write(self, array)

    def to_json(self) -> dict[str, Any]:
        return {"variable": self.path, "shape": list(self.shape), "dtype": self.dtype}


@dataclass(frozen=True)
class Fill:
    """A stated constant, for what Keras does not store (``Fill(1)`` for the gamma of ``scale=False``)."""

    value: float
    shape: Shape
    dtype: str = "float32"

    def apply(self, variables: Mapping[str, Array]) -> Array:  # noqa: ARG002 - as every expression takes them
        return np.full(self.shape, self.value, dtype=self.dtype)

    def restore(self, array: Array, write: Write) -> None:  # noqa: ARG002
        """Nothing to write: no variable holds it. A weight that was trained away from it has no way back (ValueError).

        Integers may differ: they count (``num_batches_tracked``), they are no weights.
        """
        held = np.ma.compressed(array)
        changed = np.count_nonzero(held != np.full(held.shape, self.value, dtype=self.dtype))
        if changed and not np.issubdtype(held.dtype, np.integer):
            raise ValueError(
                f"{changed} of {held.size} elements are not {self.value:g}, and no Keras variable holds them"
            )

    def to_json(self) -> dict[str, Any]:
        return {"fill": self.value, "shape": list(self.shape), "dtype": self.dtype}


@dataclass(frozen=True)
class Moved:
    """A move applied to an expression."""

    move: Move
    source: Expression

    @cached_property
    def shape(self) -> Shape:
        return self.move.shape(self.source.shape)

    @property
    def dtype(self) -> str:
        return self.source.dtype

    def apply(self, variables: Mapping[str, Array]) -> Array:
        return self.move.apply(self.source.apply(variables))

    def restore(self, array: Array, write: Write) -> None:
        self.source.restore(self.move.inverse().apply(array), write)

    def to_json(self) -> dict[str, Any]:
        return {**self.move.to_json(), "of": self.source.to_json()}


@dataclass(frozen=True)
class Part:
    """The positions ``start … stop-1`` of one axis (a fused kernel that the module holds in pieces).

    Its inverse is partial: it is the piece, and a Plan puts the pieces of a variable together again.

        >>> Part(1, 2, 4, Variable("attention/qkv", (8, 6))).shape
        (8, 2)
    """

    axis: int
    start: int
    stop: int
    source: Expression

    @cached_property
    def shape(self) -> Shape:
        whole = self.source.shape
        if not 0 <= self.axis < len(whole) or not 0 <= self.start < self.stop <= whole[self.axis]:
            raise ValueError(f"Part: {self.start}:{self.stop} on axis {self.axis} does not fit shape {whole}")
        return (*whole[: self.axis], self.stop - self.start, *whole[self.axis + 1 :])

    @property
    def dtype(self) -> str:
        return self.source.dtype

    def apply(self, variables: Mapping[str, Array]) -> Array:
        return self.source.apply(variables)[_along(self.axis, self.start, self.stop)]

    def restore(self, array: Array, write: Write) -> None:
        """Elements outside the piece are marked by a masked array, so that a Plan can lay pieces over each other."""
        whole = np.ma.array(np.empty(self.source.shape, dtype=array.dtype), mask=True)
        whole[_along(self.axis, self.start, self.stop)] = array
        self.source.restore(whole, write)

    def to_json(self) -> dict[str, Any]:
        return {"part": [self.start, self.stop], "axis": self.axis, "of": self.source.to_json()}


@dataclass(frozen=True)
class Joined:
    """Expressions laid one after the other along an axis that they all have (Concat).

    >>> Joined(1, (Variable("query/kernel", (8, 2)), Variable("key/kernel", (8, 4)))).shape
    (8, 6)
    """

    axis: int
    parts: tuple[Expression, ...]

    @cached_property
    def shape(self) -> Shape:
        shapes = [part.shape for part in self.parts]
        if not shapes or not all(0 <= self.axis < len(shape) for shape in shapes):
            raise ValueError(f"Joined: shapes {shapes} do not all have an axis {self.axis}")
        if len({(*shape[: self.axis], *shape[self.axis + 1 :]) for shape in shapes}) != 1:
            raise ValueError(f"Joined: shapes {shapes} differ outside axis {self.axis}")
        whole = sum(shape[self.axis] for shape in shapes)
        return (*shapes[0][: self.axis], whole, *shapes[0][self.axis + 1 :])

    @property
    def dtype(self) -> str:
        dtypes = [part.dtype for part in self.parts]
        if len(set(dtypes)) != 1:
            raise ValueError(f"Joined: dtypes {dtypes} differ")
        return dtypes[0]

    def apply(self, variables: Mapping[str, Array]) -> Array:
        parts = [part.apply(variables) for part in self.parts]
        if len({part.dtype for part in parts}) != 1:
            raise ValueError(f"Joined: received dtypes {[str(part.dtype) for part in parts]}, joining changes values")
        return np.concatenate(parts, self.axis)

    def restore(self, array: Array, write: Write) -> None:
        start = 0
        for part in self.parts:
            stop = start + part.shape[self.axis]
            part.restore(array[_along(self.axis, start, stop)], write)
            start = stop

    def to_json(self) -> dict[str, Any]:
        return {"join": [part.to_json() for part in self.parts], "axis": self.axis}


Expression: TypeAlias = Variable | Fill | Moved | Part | Joined | Computed


def _along(axis: int, start: int, stop: int) -> tuple[slice, ...]:
    """What indexes ``start … stop-1`` of one axis and all of those before and after it."""
    return (*(slice(None),) * axis, slice(start, stop))


def variables_of(expression: Expression) -> tuple[Variable, ...]:
    """The leaves that are variables, in order of appearance (one that appears twice is there twice)."""
    if isinstance(expression, Variable):
        return (expression,)
    if isinstance(expression, Fill):
        return ()
    return tuple(leaf for source in sources_of(expression) for leaf in variables_of(source))


def sources_of(expression: Expression) -> tuple[Expression, ...]:
    """What an expression is made from directly; nothing for a leaf."""
    if isinstance(expression, (Variable, Fill)):
        return ()
    if isinstance(expression, Joined):
        return expression.parts
    return expression.operands if isinstance(expression, Computed) else (expression.source,)


def expression_from_json(data: object) -> Expression:
    """The inverse of ``Expression.to_json``.

    >>> expression_from_json({"fill": 1, "shape": [8], "dtype": "float32"})
    Fill(value=1, shape=(8,), dtype='float32')

    Raises:
        ValueError: the data is no expression; the message says what was received.
    """
    fields = parse.record(data, "expression")
    if "variable" in fields:
        return variable_from_json(fields)
    if "fill" in fields:
        return _fill_from_json(fields)
    if "join" in fields:
        parse.record(fields, "join", "join", "axis")
        parts = tuple(expression_from_json(part) for part in parse.items(fields["join"], "join"))
        return Joined(parse.integer(fields["axis"], "axis"), parts)
    if "formula" in fields:
        return computed_from_json(fields, expression_from_json)
    if "part" in fields:
        parse.record(fields, "part", "part", "axis", "of")
        bounds = parse.integers(fields["part"], "part")
        if len(bounds) != 2:
            raise ValueError(f"part must be [start, stop], received {list(bounds)}")
        return Part(parse.integer(fields["axis"], "axis"), *bounds, expression_from_json(fields["of"]))
    if "of" in fields:
        move = move_from_json({name: value for name, value in fields.items() if name != "of"})
        return Moved(move, expression_from_json(fields["of"]))
    raise ValueError(f"no expression: {dict(fields)}")


def variable_from_json(data: object) -> Variable:
    """The inverse of ``Variable.to_json``; ValueError where the data is none."""
    fields = parse.record(data, "variable", "variable", "shape", "dtype")
    return Variable(
        parse.text(fields["variable"], "variable"), parse.shape(fields["shape"]), parse.text(fields["dtype"], "dtype")
    )


def _fill_from_json(data: object) -> Fill:
    fields = parse.record(data, "fill", "fill", "shape", "dtype")
    fill = Fill(
        parse.number(fields["fill"], "fill"), parse.shape(fields["shape"]), parse.text(fields["dtype"], "dtype")
    )
    try:
        np.full((), fill.value, fill.dtype)
    except (TypeError, OverflowError) as fault:
        raise ValueError(f"fill {fill.value!r} of dtype {fill.dtype!r}: {fault}") from fault
    return fill
