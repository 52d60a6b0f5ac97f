"""The module computes something else there than Keras does.

1. Another operation (tanh for ReLU, an approximation of GELU): both.
2. One where Keras has none: what to take away.
3. The same on other operands, or nothing that can be named: the Keras layer.
"""

from __future__ import annotations

from ...base import Finding
from ...torch_graph import Glue
from .departed import Departed


def replaced(departed: Departed) -> Finding | None:
    """What the module computes and what Keras computes there; None where no glue is to blame."""
    glue, context = departed.glue, departed.context
    if glue is None:
        return None
    rivals = {name: other for name, other in departed.theirs.items() if departed.handed & set(other.reads)}
    after = " and ".join(dict.fromkeys(context.found.reading.places[read] for read in glue.reads))
    if not rivals:
        return departed.finding(
            f"after {after} the module computes {glue.operator}, Keras nothing", f"remove {glue.operator}"
        )
    layer = context.layer_after(rivals) or departed.layer
    operators = sorted({other.operator for other in rivals.values()})
    known = departed.keras(layer, [])
    if known or (len(operators) == 1 and operators[0] != glue.operator):
        wanted = known or operators[0]
        cause = f"after {after} the module computes {_written(glue)}, Keras computes {wanted}"
        return departed.finding(cause, f"use {wanted} in place of {glue.operator}", layer=layer)
    cause = f"after {after} the module's {glue.operator} is not what Keras layer {layer} computes"
    return departed.finding(cause, f"compute there what Keras layer {layer} does", layer=layer)


def _written(glue: Glue) -> str:
    """``gelu (approximate='tanh')``: what says which of its kinds it is."""
    kind = {name: value for name, value in glue.settings.items() if isinstance(value, str)}
    return glue.operator + (f" ({', '.join(f'{name}={value!r}' for name, value in kind.items())})" if kind else "")
