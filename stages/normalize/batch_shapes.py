"""Shapes that the graph computes from the batch: Shape → Slice → Concat → Reshape.

The entries are followed through the nodes that move or multiply them, the batch as a stand-in number; a Reshape to
them then has a known result, and is written with a constant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..plan import Array
from .builder import Builder
from .fold import computed
from .held import Constant, Held, View
from .layout import FreeShape

# Stands for the batch, its multiples for the batch times a number: no dimension, no 0 and no -1. TensorFlow casts
# shapes to int32, into which multiples of up to 2**31 / 101 fit.
FREE = -101

_MOVING = ("Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze")
_PRODUCTS = ("Mul", "ReduceProd")


def is_free(entries: Array) -> Array:
    """Which entries are the batch, or a multiple of it."""
    return entries < -1


def entries_of(shape: FreeShape) -> Array:
    return np.asarray([FREE if dim is None else dim for dim in shape], dtype=np.int64)


def with_entries(
    node: ir.Node, given: Sequence[Held | None], results: Sequence[Held], builder: Builder
) -> Sequence[Held]:
    """Follow the entries of a computed shape through ``node``; its result is a constant where the batch has gone."""
    result = results[0]
    followed = node.op_type in (*_MOVING, *_PRODUCTS)
    if not followed or not isinstance(result, View) or result.value.name in builder.entries:
        return results
    arrays = [array for array in (_entries(held, builder) for held in given) if array is not None]
    if len(arrays) < len(given) or (node.op_type in _PRODUCTS and not _one_free(arrays)):
        return results
    entries = computed(node, arrays)[0]
    if not is_free(entries).any():
        return [Constant(entries)]
    builder.entries[result.value.name or ""] = entries
    return results


def _one_free(arrays: Sequence[Array]) -> bool:
    """Whether one entry at most is free and the others are numbers of elements: their product is a multiple of it."""
    free = [is_free(array) for array in arrays]
    whole = all((array[~which] >= 0).all() for array, which in zip(arrays, free, strict=True))
    return whole and sum(int(which.sum()) for which in free) <= 1


def _entries(held: Held | None, builder: Builder) -> Array | None:
    if isinstance(held, Constant):
        return held.array
    return builder.entries.get(held.value.name or "") if isinstance(held, View) else None


def target_of(source: FreeShape | None, entries: Array | None) -> FreeShape | None:
    """The result's shape of a Reshape of ``source`` to ``entries``; None where it is not known.

    >>> target_of((None, 4, 5), np.array([FREE, -1]))
    (None, 20)
    """
    if source is None or entries is None or is_free(entries).sum() > 1 or source.count(None) > 1:
        return None
    sizes = [source[axis] if size == 0 else size for axis, size in enumerate(entries.tolist())]
    if -1 in sizes and (free := [size // FREE for size in sizes if size is not None and size < -1]):
        rest = math.prod(size for size in sizes if size is not None and size > 0)
        whole = math.prod(size for size in source if size is not None)
        sizes[sizes.index(-1)] = whole // rest // free[0]
    return tuple(None if size is None or size < 0 else size for size in sizes)
