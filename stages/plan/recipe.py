"""How one tensor is made: an expression of moves over Keras variables, with the evidence for it.

Three things, kept apart: the expression (immutable, parsed from or written to JSON), its application to
arrays, and its index map, by which two recipes are compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from . import parse
from .arithmetic import Computed
from .expressions import Expression, Fill, Joined, Part, Variable, expression_from_json, sources_of, variables_of
from .moves import Array, Move, Reorder, Reshape, Shape, Transpose
from .normal_form import moved


@dataclass(frozen=True)
class Recipe:
    """How one tensor is made, and why we believe it.

    Example: the second half of a fused kernel (in, 2·out), as ``nn.Linear`` wants it.

        >>> from torchgraft.stages.plan import Part, Recipe, Transpose, Variable
        >>> recipe = Recipe(Part(1, 3, 6, Variable("dense/kernel", (2, 6)))).then(Transpose((1, 0)))
        >>> print(recipe.because("hint: written by hand"))
        dense/kernel · part(3:6, axis=1) · transpose(1, 0)
        >>> recipe.shape, recipe.dtype
        ((3, 2), 'float32')
        >>> recipe.apply({"dense/kernel": np.arange(12).reshape(2, 6)}).tolist()
        [[3, 9], [4, 10], [5, 11]]
        >>> Recipe.from_json(recipe.to_json()) == recipe
        True

    Attributes:
        expression: moves over Keras variables and stated constants.
        evidence: sentences, strongest first ("values: input equals that of conv1 on 2 probes"); no part of ``==``.
    """

    expression: Expression
    evidence: tuple[str, ...] = field(default=(), compare=False)

    @property
    def shape(self) -> Shape:
        """Of the tensor; ValueError where the expression does not fit together."""
        return self.expression.shape

    @property
    def dtype(self) -> str:
        """Of the tensor, numpy's name; ValueError where variables of two dtypes are joined."""
        return self.expression.dtype

    @property
    def variables(self) -> tuple[Variable, ...]:
        """Those that it takes, in order of appearance."""
        return variables_of(self.expression)

    @property
    def arithmetic(self) -> tuple[Computed, ...]:
        """The formulas in it, outermost first; none where it only moves, and the tensor is bit-equal to its sources."""
        return _arithmetic(self.expression)

    def then(self, *moves: Move) -> Recipe:
        """The recipe with more moves after it, in normal form (see ``moved``)."""
        return replace(self, expression=moved(self.expression, *moves))

    def because(self, *evidence: str) -> Recipe:
        """The recipe with more evidence."""
        return replace(self, evidence=(*self.evidence, *evidence))

    def apply(self, variables: Mapping[str, Array]) -> Array:
        """The tensor, C-contiguous; it may share its sources' memory where nothing had to move.

        Bit-equal to its sources, but for ``arithmetic``.

        Raises:
            KeyError: a variable is not in ``variables``.
            ValueError: a variable has another shape than the recipe was made for.
        """
        return np.asarray(self.expression.apply(variables), order="C")

    def view(self, variables: Mapping[str, Array]) -> Array:
        """What ``apply`` gives, to be read only: over the variables' own memory wherever no element has to be copied.

        Its strides are what the moves make of them (positive ones: torch has no others).

            >>> from torchgraft.stages.plan import Recipe, Transpose, Variable
            >>> arrays = {"dense/kernel": np.zeros((2, 3), np.float32)}
            >>> recipe = Recipe(Variable("dense/kernel", (2, 3))).then(Transpose((1, 0)))
            >>> np.shares_memory(recipe.view(arrays), arrays["dense/kernel"])
            True
        """
        made = self.expression.apply(variables)
        return np.asarray(made, order="C") if any(step < 0 for step in made.strides) else made

    def index_map(self) -> tuple[tuple[str, ...], Array]:
        """(paths, map): element ``i`` of the tensor is element ``map[i] - offset`` of its variable.

        Variables stand one after the other in order of appearance, counted on; a stated constant is -1.

        ValueError where there is arithmetic: its elements are no variable's.

            >>> from torchgraft.stages.plan import Joined, Variable
            >>> paths, index = Recipe(Joined(0, (Variable("a", (2,)), Fill(0, (1,)), Variable("b", (2,))))).index_map()
            >>> paths, index.tolist()
            (('a', 'b'), [0, 1, -1, 2, 3])
        """
        if self.arithmetic:
            raise ValueError(f"{self} computes new values: it has no index map")
        numbers = _numbered(self.variables)
        return tuple(numbers), np.asarray(_with_fills(self.expression, lambda _: -1).apply(numbers), dtype=np.int64)

    def equals(self, other: Recipe) -> bool:
        """Whether both make the same tensor from the same variables, however they are written.

        They do exactly where their index maps over the same numbering of variables and constants are equal. Formulas
        are equal where they are written alike over equal operands; that two of them give the same numbers is not asked.

            >>> from torchgraft.stages.plan import Reshape, Transpose, Variable
            >>> row = Recipe(Variable("dense/bias", (4,))).then(Reshape((4,), (1, 4)))
            >>> column = Recipe(Variable("dense/bias", (4,))).then(Reshape((4,), (4, 1)), Transpose((1, 0)))
            >>> row == column, row.equals(column)
            (False, True)
        """
        if self.arithmetic or other.arithmetic:
            return _alike(self.expression, other.expression)
        both = {*self.variables, *other.variables}
        numbers = _numbered(both)
        if len(numbers) != len(both) or (self.shape, self.dtype) != (other.shape, other.dtype):
            return False
        constants: dict[bytes, int] = {}

        def number(fill: Fill) -> int:
            return constants.setdefault(np.asarray(fill.value, dtype=fill.dtype).tobytes(), -1 - len(constants))

        ours, theirs = (_with_fills(recipe.expression, number).apply(numbers) for recipe in (self, other))
        return np.array_equal(ours, theirs)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; ``Recipe.from_json`` reads them."""
        return {"expression": self.expression.to_json(), "evidence": list(self.evidence)}

    @classmethod
    def from_json(cls, data: object) -> Recipe:
        """The inverse of ``to_json``; ValueError where the data is no recipe."""
        recipe = parse.record(data, "recipe", "expression", "evidence")
        return cls(expression_from_json(recipe["expression"]), parse.texts(recipe["evidence"], "evidence"))

    def __str__(self) -> str:
        return _text(self.expression)


def _arithmetic(expression: Expression) -> tuple[Computed, ...]:
    inner = tuple(each for source in sources_of(expression) for each in _arithmetic(source))
    return (expression, *inner) if isinstance(expression, Computed) else inner


def _alike(first: Expression, second: Expression) -> bool:
    """Equality where there is arithmetic: the same formulas, moved and joined in the same way, over equal operands."""
    if not _arithmetic(first) and not _arithmetic(second):
        return Recipe(first).equals(Recipe(second))
    ours, theirs = sources_of(first), sources_of(second)
    return _own(first) == _own(second) and len(ours) == len(theirs) and all(map(_alike, ours, theirs))


def _own(expression: Expression) -> tuple[object, ...]:
    """What an expression is, aside from its sources."""
    names = (each.name for each in fields(expression) if each.name not in ("source", "parts", "operands"))
    return (type(expression), *(getattr(expression, name) for name in names))


def _numbered(variables: Iterable[Variable]) -> dict[str, Array]:
    """Path → the numbers of its elements, counted on from one variable to the next."""
    numbers: dict[str, Array] = {}
    start = 0
    for variable in variables:
        if variable.path not in numbers:
            size = math.prod(variable.shape)
            numbers[variable.path] = np.arange(start, start + size, dtype=np.int64).reshape(variable.shape)
            start += size
    return numbers


def _with_fills(expression: Expression, number: Callable[[Fill], int]) -> Expression:
    """The expression with a number for every constant: what runs on numbered variables."""
    if isinstance(expression, Fill):
        return Fill(number(expression), expression.shape, "int64")
    if isinstance(expression, Variable):
        return expression
    if isinstance(expression, Joined):
        return Joined(expression.axis, tuple(_with_fills(part, number) for part in expression.parts))
    assert not isinstance(expression, Computed)  # numbers of elements are no values to compute with
    return replace(expression, source=_with_fills(expression.source, number))


def _text(expression: Expression) -> str:
    """One line a person can read: ``conv1/kernel · transpose(3, 2, 0, 1)``."""
    if isinstance(expression, Variable):
        return expression.path
    if isinstance(expression, Fill):
        return f"fill({expression.value:g})"
    if isinstance(expression, Joined):
        return f"join(axis={expression.axis}; {', '.join(map(_text, expression.parts))})"
    if isinstance(expression, Computed):
        return expression.written(*map(_text, sources_of(expression)))
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
