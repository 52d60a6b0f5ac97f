"""How one tensor is made: an expression of moves over Keras variables, with the evidence for it.

Three things, kept apart: the expression (immutable, parsed from or written to JSON), its application to
arrays, and its index map, by which two recipes are compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from .moves import Array, Move, Reorder, Reshape, Shape, Transpose, move_from_json

Write: TypeAlias = Callable[["Variable", Array], None]


@dataclass(frozen=True)
class Variable:
    """A Keras variable, by its path in the model (``conv2d_1/kernel``)."""

    path: str
    shape: Shape
    dtype: str = "float32"

    def apply(self, variables: Mapping[str, Array]) -> Array:
        array = variables[self.path]
        if array.shape != self.shape:
            raise ValueError(f"variable {self.path}: the recipe was made for shape {self.shape}, received {array.shape}")
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

    def apply(self, variables: Mapping[str, Array]) -> Array:
        return np.full(self.shape, self.value, dtype=self.dtype)

    def restore(self, array: Array, write: Write) -> None:
        """Nothing to restore: no variable holds it."""

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
    """

    axis: int
    start: int
    stop: int
    source: Expression

    @cached_property
    def shape(self) -> Shape:
        whole = self.source.shape
        if not 0 <= self.start < self.stop <= whole[self.axis]:
            raise ValueError(f"Part: {self.start}:{self.stop} on axis {self.axis} does not fit shape {whole}")
        return (*whole[: self.axis], self.stop - self.start, *whole[self.axis + 1 :])

    @property
    def dtype(self) -> str:
        return self.source.dtype

    def apply(self, variables: Mapping[str, Array]) -> Array:
        whole = self.source.apply(variables)
        return whole[(slice(None),) * self.axis + (slice(self.start, self.stop),)]

    def restore(self, array: Array, write: Write) -> None:
        """Elements outside the piece are marked by a masked array, so that a Plan can lay pieces over each other."""
        whole = np.ma.masked_all(self.source.shape, dtype=array.dtype)
        whole[(slice(None),) * self.axis + (slice(self.start, self.stop),)] = array
        self.source.restore(whole, write)

    def to_json(self) -> dict[str, Any]:
        return {"part": [self.start, self.stop], "axis": self.axis, "of": self.source.to_json()}


@dataclass(frozen=True)
class Joined:
    """Expressions laid one after the other along an axis that they all have (Concat)."""

    axis: int
    parts: tuple[Expression, ...]

    @cached_property
    def shape(self) -> Shape:
        shapes = [part.shape for part in self.parts]
        rest = {(*shape[: self.axis], *shape[self.axis + 1 :]) for shape in shapes}
        if len(rest) != 1:
            raise ValueError(f"Joined: shapes {shapes} differ outside axis {self.axis}")
        whole = sum(shape[self.axis] for shape in shapes)
        return (*shapes[0][: self.axis], whole, *shapes[0][self.axis + 1 :])

    @property
    def dtype(self) -> str:
        return self.parts[0].dtype

    def apply(self, variables: Mapping[str, Array]) -> Array:
        return np.concatenate([part.apply(variables) for part in self.parts], self.axis)

    def restore(self, array: Array, write: Write) -> None:
        start = 0
        for part in self.parts:
            stop = start + part.shape[self.axis]
            part.restore(array[(slice(None),) * self.axis + (slice(start, stop),)], write)
            start = stop

    def to_json(self) -> dict[str, Any]:
        return {"join": [part.to_json() for part in self.parts], "axis": self.axis}


Expression: TypeAlias = Variable | Fill | Moved | Part | Joined


def variables_of(expression: Expression) -> tuple[Variable, ...]:
    """The leaves that are variables, in order of appearance."""
    if isinstance(expression, Variable):
        return (expression,)
    if isinstance(expression, Fill):
        return ()
    sources = expression.parts if isinstance(expression, Joined) else (expression.source,)
    return tuple(leaf for source in sources for leaf in variables_of(source))


def expression_from_json(data: Mapping[str, Any]) -> Expression:
    """The inverse of ``Expression.to_json``; ValueError where the data is none."""
    if "variable" in data:
        return Variable(data["variable"], tuple(data["shape"]), data["dtype"])
    if "fill" in data:
        return Fill(data["fill"], tuple(data["shape"]), data["dtype"])
    if "join" in data:
        return Joined(data["axis"], tuple(expression_from_json(part) for part in data["join"]))
    if "of" not in data:
        raise ValueError(f"no expression: {dict(data)}")
    source = expression_from_json(data["of"])
    if "part" in data:
        return Part(data["axis"], *data["part"], source)
    return Moved(move_from_json({name: value for name, value in data.items() if name != "of"}), source)


def moved(expression: Expression, *moves: Move) -> Expression:
    """``expression`` with ``moves`` applied in order, in normal form.

    1. A move that changes nothing is left out (Transpose in order, Reshape to the same shape, Reorder in order).
    2. Transpose after Transpose is one Transpose; Reshape after Reshape is one Reshape.
    3. Reorder after Reorder on the same axis is one Reorder. A Reorder wanders below a Transpose, so that two
       Reorders of one axis always meet (a channel-first flatten undone by a module that permutes back is nothing).
    4. Any move over a Fill is that Fill in the new shape.
    """
    for move in moves:
        expression = _moved(expression, move)
    return expression


def _moved(expression: Expression, move: Move) -> Expression:
    shape = move.shape(expression.shape)
    if _changes_nothing(move, expression.shape):
        return expression
    if isinstance(expression, Fill):
        return replace(expression, shape=shape)
    if isinstance(expression, Moved):
        last, source = expression.move, expression.source
        if isinstance(move, Transpose) and isinstance(last, Transpose):
            return _moved(source, Transpose(tuple(last.perm[axis] for axis in move.perm)))
        if isinstance(move, Reshape) and isinstance(last, Reshape):
            return _moved(source, Reshape(last.source, move.target))
        if isinstance(move, Reorder) and isinstance(last, Transpose):
            return _moved(_moved(source, replace(move, axis=last.perm[move.axis])), last)
        if isinstance(move, Reorder) and isinstance(last, Reorder) and move.axis == last.axis:
            return _moved(source, Reorder.along(move.axis, last.index[move.index]))
    return Moved(move, expression)


def _changes_nothing(move: Move, shape: Shape) -> bool:
    return (
        (isinstance(move, Transpose) and move.perm == tuple(range(len(shape))))
        or (isinstance(move, Reshape) and move.target == shape)
        or (isinstance(move, Reorder) and move.is_identity)
    )


@dataclass(frozen=True)
class Recipe:
    """How one tensor is made, and why we believe it.

    Attributes:
        expression: moves over Keras variables and stated constants.
        evidence: sentences, strongest first ("values: input equals that of conv1 on 2 probes").
    """

    expression: Expression
    evidence: tuple[str, ...] = field(default=(), compare=False)

    @property
    def shape(self) -> Shape:
        return self.expression.shape

    @property
    def dtype(self) -> str:
        return self.expression.dtype

    @property
    def variables(self) -> tuple[Variable, ...]:
        return variables_of(self.expression)

    def then(self, *moves: Move) -> Recipe:
        """This recipe with more moves after it."""
        return replace(self, expression=moved(self.expression, *moves))

    def because(self, *evidence: str) -> Recipe:
        """This recipe with more evidence."""
        return replace(self, evidence=(*self.evidence, *evidence))

    def apply(self, variables: Mapping[str, Array]) -> Array:
        """The tensor, C-contiguous, bit-equal to its sources.

        Raises:
            KeyError: a variable is not in ``variables``.
            ValueError: a variable has another shape than the recipe was made for.
        """
        return np.ascontiguousarray(self.expression.apply(variables))

    def index_map(self) -> tuple[tuple[str, ...], Array]:
        """(paths, map): element ``i`` of the tensor is element ``map[i] - offset`` of its variable.

        Variables stand one after the other in order of appearance, counted on; a stated constant is -1. Two
        recipes make the same tensor from the same variables exactly where their index maps are equal.
        """
        offsets: dict[str, Array] = {}
        start = 0
        for variable in self.variables:
            if variable.path not in offsets:
                size = math.prod(variable.shape)
                offsets[variable.path] = np.arange(start, start + size, dtype=np.int64).reshape(variable.shape)
                start += size
        return tuple(offsets), np.asarray(_mark_fills(self.expression).apply(offsets), dtype=np.int64)

    def equals(self, other: Recipe) -> bool:
        """Whether both make the same tensor, by their index maps (and the value, where a constant is all they are)."""
        if isinstance(self.expression, Fill) or isinstance(other.expression, Fill):
            return self.expression == other.expression
        (paths, index), (other_paths, other_index) = self.index_map(), other.index_map()
        return paths == other_paths and np.array_equal(index, other_index)

    def to_json(self) -> dict[str, Any]:
        return {"expression": self.expression.to_json(), "evidence": list(self.evidence)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        return cls(expression_from_json(data["expression"]), tuple(data["evidence"]))

    def __str__(self) -> str:
        return _text(self.expression)


def _mark_fills(expression: Expression) -> Expression:
    """The expression with every constant set to -1, as int64: what ``index_map`` runs on ``arange``."""
    if isinstance(expression, Fill):
        return Fill(-1, expression.shape, "int64")
    if isinstance(expression, Variable):
        return expression
    if isinstance(expression, Joined):
        return Joined(expression.axis, tuple(_mark_fills(part) for part in expression.parts))
    return replace(expression, source=_mark_fills(expression.source))


def _text(expression: Expression) -> str:
    """One line a person can read: ``conv1/kernel · transpose(3, 2, 0, 1)``."""
    if isinstance(expression, Variable):
        return expression.path
    if isinstance(expression, Fill):
        return f"fill({expression.value:g})"
    if isinstance(expression, Joined):
        return f"join(axis={expression.axis}; {', '.join(_text(part) for part in expression.parts)})"
    if isinstance(expression, Part):
        return f"{_text(expression.source)} · part({expression.start}:{expression.stop}, axis={expression.axis})"
    return f"{_text(expression.source)} · {_move_text(expression.move)}"


def _move_text(move: Move) -> str:
    if isinstance(move, Transpose):
        return f"transpose{move.perm}"
    if isinstance(move, Reshape):
        return f"reshape{move.target}"
    if isinstance(move, Reorder):
        how = f"{move.block} by {move.perm}" if move.block else f"{len(move.order)} positions"
        return f"reorder(axis={move.axis}, {how})"
    return f"{move.kind}({', '.join(str(value) for name, value in move.to_json().items() if name != 'move')})"
