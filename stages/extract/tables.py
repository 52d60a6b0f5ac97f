"""Tables of which the module reads some rows only, and of which Keras has no more than these.

1. A table of positions with rows in front that nothing reads (an offset for padding), or with rows for longer inputs.
2. A table of words that has more rows than Keras has words.
3. A table of which one row is always read (types of tokens, where there is one) and Keras has nothing: a bias.

The rows that Keras has stand one after the other, from the first that is read, or from the first of all: a table of
words is read where the words are. The others become zeros: nothing can tell what they should be, and they are said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from ..plan import Shape
from ..torch_graph import PARAMETER, Call, Op, Reading, Rows, adapted, rows_read, working_copy


def tables_read(
    module: nn.Module, call: Call, reading: Reading, inputs: Sequence[torch.Tensor], reference: Reading
) -> dict[str, Rows]:
    """Key → the rows that are read of it, of the tables that have no counterpart of their size in the reference.

    ``reading`` is that of ``module``, called as ``call`` says.
    """
    counterparts = {op.signature for op in reference.ops.values()}
    keys = {
        slot.key
        for op in reading.ops.values()
        for slot in op.slots.values()
        if (op.kind in ("embedding", PARAMETER) and op.signature not in counterparts) or _is_part(op)
    }
    return rows_read(adapted(working_copy(module), call), inputs, keys) if keys else {}


def entering_glue(target: Reading, reference: Reading, rows: Mapping[str, Rows]) -> list[str]:
    """Operations whose table enters glue instead, where it is a counterpart as a whole.

    1. Lookups that the reference has not, by position.
    2. Elementwise ones that take a slice of a table of which nothing else is read.
    """
    counterparts = {op.signature for op in reference.ops.values()}
    found = []
    for name, op in target.ops.items():
        if len(op.slots) != 1:
            continue
        (slot,) = op.slots.values()
        read = rows.get(slot.key)
        if read is None or read.first is None:
            continue
        lookup = op.kind == "embedding" and op.signature not in counterparts
        sliced = _is_part(op) and slot.section is not None and slot.section[1:] == (read.start, read.stop)
        if lookup or sliced:
            found.append(name)
    return found


def _is_part(op: Op) -> bool:
    """Whether an elementwise operation takes rows of its operand's table, not all of it."""
    return op.is_elementwise and any(slot.section is not None for slot in op.slots.values())


def always_one_row(op: Op, rows: Mapping[str, Rows]) -> bool:
    """Whether a parameter that enters glue does so by a lookup that gives one row of it, on every sample."""
    read = rows.get(op.slots["value"].key)
    return read is not None and read.looked_up and read.stop == read.start + 1


def held_rows(table: Shape, theirs: Shape, read: Rows | None) -> tuple[int, int] | None:
    """From which to which row a table holds all that Keras has, where it reads none behind; None where it does not.

    Example: a table (14, 32) of which rows 2 to 13 are read, Keras' (12, 32): (2, 14).
    """
    if read is None or table[1:] != theirs[1:] or not theirs or theirs[0] >= table[0]:
        return None
    start = read.first or 0
    stop = start + theirs[0]
    return (start, stop) if start >= 0 and read.stop <= stop <= table[0] else None
