"""Shapes that the graph computes from the batch: Shape → Slice → Concat → Reshape.

The entries are followed through the nodes that only move them, the batch as a stand-in number; a Reshape to them then
has a known result, and is written with a constant.
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

# Stands for the batch: fits int32, to which TensorFlow casts shapes, and is no dimension, no 0 and no -1.
FREE = -2_000_000_000

_MOVING = ("Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze")


def entries_of(shape: FreeShape) -> Array:
    return np.asarray([FREE if dim is None else dim for dim in shape], dtype=np.int64)


def with_entries(
    node: ir.Node, given: Sequence[Held | None], results: Sequence[Held], builder: Builder
) -> Sequence[Held]:
    """Follow the entries of a computed shape through ``node``; its result is a constant where the batch has gone."""
    result = results[0]
    if node.op_type not in _MOVING or not isinstance(result, View) or result.value.name in builder.entries:
        return results
    arrays = [array for array in (_entries(held, builder) for held in given) if array is not None]
    if len(arrays) < len(given):
        return results
    entries = computed(node, arrays)[0]
    if (entries != FREE).all():
        return [Constant(entries)]
    builder.entries[result.value.name or ""] = entries
    return results


def _entries(held: Held | None, builder: Builder) -> Array | None:
    if isinstance(held, Constant):
        return held.array
    return builder.entries.get(held.value.name or "") if isinstance(held, View) else None


def target_of(source: FreeShape | None, entries: Array | None) -> FreeShape | None:
    """The result's shape of a Reshape of ``source`` to ``entries``; None where it is not known.

    >>> target_of((None, 4, 5), np.array([FREE, -1]))
    (None, 20)
    """
    if source is None or entries is None or (entries < FREE).any() or source.count(None) > 1:
        return None
    sizes = [source[axis] if size == 0 else size for axis, size in enumerate(entries.tolist())]
    if -1 in sizes and FREE in sizes:
        rest = math.prod(size for size in sizes if size is not None and size > 0)
        whole = math.prod(size for size in source if size is not None)
        sizes[sizes.index(-1)] = whole // rest
    return tuple(None if size is None or size < 0 else size for size in sizes)
