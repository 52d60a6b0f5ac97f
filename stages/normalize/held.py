"""What is held for a value of the raw graph while the normalised graph is built.

A raw value is never simply "the same value in the new graph": it may stand in another layout there (View), be a
weight that moves have been taken into (Weight), or be known (Constant).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from ..plan import Array, Recipe
from .layout import FreeShape, Layout


@dataclass(frozen=True)
class View:
    """A value of the normalised graph, and how it stands there.

    Attributes:
        value: in the normalised graph.
        layout: from it to the raw value.
        shape: of the raw value, None where an axis is free; None where not even the rank is known.
    """

    value: ir.Value
    layout: Layout
    shape: FreeShape | None

    @property
    def dtype(self) -> ir.DataType:
        return self.value.dtype or ir.DataType.FLOAT


@dataclass(frozen=True)
class Weight:
    """A weight with what was done to it so far: no node of the normalised graph yet."""

    recipe: Recipe

    @property
    def shape(self) -> FreeShape:
        return self.recipe.shape

    @property
    def dtype(self) -> ir.DataType:
        return ir.DataType.from_numpy(np.dtype(self.recipe.dtype))


@dataclass(frozen=True)
class Constant:
    """An array that is known: no node of the normalised graph yet."""

    array: Array

    @property
    def shape(self) -> FreeShape:
        return self.array.shape

    @property
    def dtype(self) -> ir.DataType:
        return ir.DataType.from_numpy(self.array.dtype)


Held: TypeAlias = View | Weight | Constant


def shape_of(value: ir.Value) -> FreeShape | None:
    """The raw value's shape, None for each free axis; None where the graph does not say."""
    if value.shape is None:
        return None
    return tuple(dim if isinstance(dim, int) else None for dim in value.shape)
