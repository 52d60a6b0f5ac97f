"""An attention of the module's makes its scores otherwise than Keras'.

1. Keras has a mask, and the module has none: a query may look everywhere.
2. The module scales the scores by another number, or not at all; told where its numbers are there to be read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...base import Finding
from ...torch_graph import Glue, chain
from .departed import Departed

#: Argument of the call of a Keras attention → (what it says, what to write).
_MASKS: Mapping[str, tuple[str, str]] = {
    "use_causal_mask": (
        "no query looks at a later key",
        "pass is_causal=True to F.scaled_dot_product_attention, or a triangle as attn_mask to nn.MultiheadAttention",
    ),
    "attention_mask": (
        "a query looks where the mask is True",
        "pass it as attn_mask (to nn.MultiheadAttention inverted), or fill the scores with -inf where it is False",
    ),
}
_FUSED = "scaled_dot_product_attention"
#: Operators by which a module may have one.
_MASKING = {"where", "masked_fill", "tril", "triu"}


def attention(departed: Departed) -> Finding | None:
    """What differs; None where no attention is there, or neither case is sure."""
    path = departed.layer.rpartition("/")[0]
    layer: Any = departed.context.layers.get(path)
    if "Attention" not in type(layer).__name__:
        return None
    reading = departed.context.found.reading
    passed = [reading.glue[name] for name in chain(reading, departed.pair.target.reads)]
    return _mask(departed, path, layer, passed) or _scale(departed, path, layer, passed)


def _mask(departed: Departed, path: str, layer: Any, passed: Sequence[Glue]) -> Finding | None:
    """Case 1."""
    fused = [glue for glue in passed if glue.operator == _FUSED]
    if any(glue.operator in _MASKING for glue in passed) or any(
        glue.settings.get("is_causal") or len(glue.reads) > 3 for glue in fused
    ):
        return None
    calls = [node.arguments.kwargs for node in getattr(layer, "_inbound_nodes", ())]
    for name, (meaning, fix) in _MASKS.items():
        given = [call[name] for call in calls if call.get(name) is not None and call[name] is not False]
        if given:
            stated = f"{name}=True" if given[0] is True else f"an {name}"
            cause = f"Keras layer {path} is called with {stated}: {meaning}; the module masks nothing there"
            return departed.finding(cause, fix, layer=path)
    return None


def _scale(departed: Departed, path: str, layer: Any, passed: Sequence[Glue]) -> Finding | None:
    """Case 2."""
    size = getattr(layer, "key_dim", None) or getattr(layer, "head_dim", None)
    factors = [_factor(glue) for glue in passed if glue.operator in ("mul", "div")]
    if not size or None in factors or not any(glue.operator == "softmax" for glue in passed):
        return None
    ours, theirs = math.prod(factor for factor in factors if factor is not None), 1 / math.sqrt(size)
    if math.isclose(ours, theirs, rel_tol=1e-4):
        return None
    cause = f"the module multiplies the scores by {ours:.6g}, Keras layer {path} by {theirs:.6g}"
    fix = f"multiply them by {size} ** -0.5: {size} is the size of one head's keys"
    return departed.finding(cause, fix, layer=path)


def _factor(glue: Glue) -> float | None:
    """The number that a product or quotient scales by; None where it is another value."""
    number = glue.settings.get("other")
    if not isinstance(number, (int, float)) or not number:
        return None
    return float(number) if glue.operator == "mul" else 1 / number
