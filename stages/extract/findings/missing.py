"""Keras computes something that the module leaves out.

1. In front of the op: a forgotten activation, a Rescaling.
2. In front of glue that both have: a forgotten residual (an addition before the ReLU).
"""

from __future__ import annotations

from collections.abc import Sequence

from ...base import Finding
from .blame import counterparts
from .departed import Departed
from .setting import differing_arguments

#: Operations that join several values.
JOINS = {"add": "adds {} to", "mul": "multiplies by {}", "sub": "subtracts {} from", "cat": "joins {} to"}
LINES = {"add": "x = x + ", "mul": "x = x * ", "sub": "x = x - ", "cat": "torch.cat of x and "}


def missing(departed: Departed) -> Finding | None:
    """The operations that the module skips, and where they belong; None where it skips none."""
    if departed.glue is None:
        return _told(departed, departed.between(departed.pair.reference.reads))
    same = [
        name
        for name, other in departed.theirs.items()
        if other.operator == departed.glue.operator and not differing_arguments(departed.glue, other)
    ]
    for name in same:
        skipped = [between for between in departed.between(name) if between != name]
        reached = skipped and departed.handed & {read for between in skipped for read in departed.theirs[between].reads}
        if reached and set(departed.theirs[name].reads) & set(skipped):
            return _told(departed, skipped)
    return None


def _told(departed: Departed, skipped: Sequence[str]) -> Finding | None:
    """``skipped``: names of the reference's glue, the last one to run first."""
    if not skipped:
        return None
    joined = next((name for name in skipped if _operands(departed, name, skipped)), None)
    if joined is not None:
        return _joined(departed, joined, _operands(departed, joined, skipped))
    operators = [departed.theirs[name].operator for name in reversed(skipped)]
    operators = [operator for operator in operators if operator != "pad"] or operators
    layer = departed.context.layer_after(skipped[:1])
    computed = departed.keras(layer, operators)
    cause = f"Keras computes {computed} on what the module hands to {departed.place} as it is"
    return departed.finding(cause, f"add {computed} before {departed.place}", layer=layer)


def _operands(departed: Departed, name: str, skipped: Sequence[str]) -> list[str]:
    """What a joining operation takes besides the value that it is about, as places of the module."""
    glue = departed.theirs[name]
    if glue.operator not in JOINS:
        return []
    ours, theirs = departed.context.marks(departed.pair)
    others = [read for read in glue.reads if read not in departed.handed and read not in skipped]
    found = [counterparts(read, theirs, ours) for read in others]
    return [departed.context.found.reading.places[names[0]] for names in found if names]


def _joined(departed: Departed, name: str, operands: Sequence[str]) -> Finding:
    operator, layer = departed.theirs[name].operator, departed.context.layer_at(name)
    others = " and ".join(operands)
    cause = f"Keras {JOINS[operator].format(f'what {others} gives')} what the module hands to {departed.place} as it is"
    return departed.finding(cause, f"write {LINES[operator]}(what {others} gives) before {departed.place}", layer=layer)
