"""What became zeros, for Keras has nothing there.

1. Rows of a table behind or in front of those that Keras has: a note where forward reads the same others on every
   input, a warning where the inputs decide, for what was not read was not compared, and an error where they are read.
2. A table of which one row is always added, and that Keras has not: a note.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...base import Finding
from ..pairs import Pair
from .context import Context

_LOOKUPS = ("embedding", "index", "index_select")


def zeros(context: Context) -> Iterable[Finding]:
    """One finding for each table."""
    for pair in context.alignment.pairs.values():
        if pair.arrangement.held is not None:
            yield _rows(context, pair)
    for op in context.alignment.zeros:
        key = op.slots["value"].key
        cause = f"Keras has nothing for {key}, of which one row is always added: it became zeros, which change nothing"
        yield Finding("note", op.place or key, "", cause, f"leave {key} out of the module if nothing else needs it")


def _rows(context: Context, pair: Pair) -> Finding:
    (slot,) = pair.target.slots.values()
    assert pair.arrangement.held is not None
    start, stop = pair.arrangement.held
    count = slot.shape[0]
    spans = [f"{first}–{last - 1}" for first, last in ((0, start), (stop, count)) if last > first]
    unread = f"Keras has {stop - start} of the {count} rows of {slot.key}; rows {' and '.join(spans)} became zeros"
    layer = context.reference.layer_of(pair.reference)
    read = context.found.probe.rows[slot.key]
    if read.start < start:
        cause = f"{unread}, and on some of these inputs forward reads them, where Keras counts on"
        fix = "give inputs on which it does not (without padding)"
        return Finding("error", pair.target.place, layer, cause, fix)
    if _decided_by_inputs(context, pair):
        cause = f"{unread}: none of these inputs reads them, and they were not compared"
        return Finding("warning", pair.target.place, layer, cause, "check that no input of yours reads these rows")
    cause = f"{unread}: forward reads them on no input of this shape"
    return Finding("note", pair.target.place, layer, cause, "no change; convert again for longer inputs")


def _decided_by_inputs(context: Context, pair: Pair) -> bool:
    """Whether which rows are read is computed from an input."""
    glue = context.found.reading.glue.values()
    return pair.target.kind == "embedding" or any(
        pair.target.name in each.parameters and each.operator in _LOOKUPS for each in glue
    )
