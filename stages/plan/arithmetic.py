"""Arithmetic on weights: a marked kind of expression, for what no order of elements can say.

A small closed set of formulas, each one rounded operation on whole arrays. It is never bit-equal to a variable, it has
no way back, and whoever shows a Plan says so (``Plan.arithmetic``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import ml_dtypes  # noqa: F401 - with it numpy knows "bfloat16"
import numpy as np

from . import parse
from .moves import Array, Shape

if TYPE_CHECKING:
    from .expressions import Expression, Write

#: Formula → what computes it on arrays of the result's dtype.
FORMULAS: Mapping[str, Callable[..., Array]] = {
    "a + b": np.add,
    "a - b": np.subtract,
    "a * b": np.multiply,
    "a / b": np.divide,
    "cast(a)": lambda a: a,
}


@dataclass(frozen=True)
class Computed:
    """A formula over expressions, broadcast as numpy does.

    Operands are converted to ``dtype`` and the formula is computed in it. Where the conversion is exact (int8 to
    float32), each element is right to half a unit in the last place: that is ``tolerance``, relative.

    Example: the running mean of a BatchNorm that takes in the bias of the convolution before it.

        >>> from torchgraft.stages.plan import Computed, Recipe, Variable
        >>> mean, bias = Variable("bn/moving_mean", (2,)), Variable("conv/bias", (2,))
        >>> recipe = Recipe(Computed("a - b", (mean, bias)))
        >>> print(recipe)
        (bn/moving_mean - conv/bias)
        >>> arrays = {"bn/moving_mean": np.array([1, 2], np.float32), "conv/bias": np.array([3, 5], np.float32)}
        >>> recipe.apply(arrays).tolist()
        [-2.0, -3.0]

    Attributes:
        formula: one of ``FORMULAS``.
        operands: a, and b where the formula has one.
        dtype: of the result, numpy's name.
    """

    formula: str
    operands: tuple[Expression, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.formula not in FORMULAS:
            raise ValueError(f"unknown formula {self.formula!r}; known are {', '.join(FORMULAS)}")
        wanted = 2 if "b" in self.formula else 1
        if len(self.operands) != wanted:
            raise ValueError(f"formula {self.formula!r} takes {wanted} operands, received {len(self.operands)}")
        if np.dtype(self.dtype).kind not in "fV":  # V: bfloat16 and its like
            raise ValueError(f"arithmetic gives floating point numbers, not {self.dtype}")

    @cached_property
    def shape(self) -> Shape:
        shapes = [operand.shape for operand in self.operands]
        try:
            return tuple(np.broadcast_shapes(*shapes))
        except ValueError as fault:
            raise ValueError(f"{self.formula}: shapes {shapes} do not broadcast") from fault

    @property
    def tolerance(self) -> float:
        """Half a unit in the last place of ``dtype``, relative: the largest power of two that adds nothing to 1."""
        one = np.ones((), self.dtype)
        return next(2.0**-bits for bits in range(64) if one + np.asarray(2.0**-bits, self.dtype) == one)

    def written(self, *operands: str) -> str:
        """The formula with these texts for its operands."""
        if self.formula == "cast(a)":
            return f"cast({operands[0]}, {self.dtype})"
        return f"({operands[0]} {self.formula[2]} {operands[1]})"

    def apply(self, variables: Mapping[str, Array]) -> Array:
        with np.errstate(over="ignore"):  # what overflows is told by key, by whoever uses the result
            operands = [operand.apply(variables).astype(self.dtype) for operand in self.operands]
            return np.asarray(FORMULAS[self.formula](*operands), dtype=self.dtype)

    def restore(self, array: Array, write: Write) -> None:  # noqa: ARG002 - as every expression takes them
        raise ValueError(f"it was computed ({self.formula}) from what it does not tell apart: there is no way back")

    def to_json(self) -> dict[str, Any]:
        return {"formula": self.formula, "of": [operand.to_json() for operand in self.operands], "dtype": self.dtype}


def computed_from_json(data: object, expression: Callable[[object], Expression]) -> Computed:
    """The inverse of ``Computed.to_json``; ``expression`` reads an operand. ValueError where the data is none."""
    fields = parse.record(data, "formula", "formula", "of", "dtype")
    operands = tuple(expression(each) for each in parse.items(fields["of"], "of"))
    dtype = parse.text(fields["dtype"], "dtype")
    try:
        return Computed(parse.text(fields["formula"], "formula"), operands, dtype)
    except TypeError as fault:
        raise ValueError(f"dtype {dtype!r}: {fault}") from fault
