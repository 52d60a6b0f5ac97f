"""A normalisation's epsilon differs.

1. BatchNormalization: Keras' default is 1e-3 (keras/src/layers/normalization/batch_normalization.py), torch's 1e-5
   (torch/nn/modules/batchnorm.py).
2. LayerNormalization, GroupNormalization: 1e-3 in Keras, 1e-5 in torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ...base import Finding
from .context import Context


def epsilons(context: Context) -> Iterable[Finding]:
    """A warning for each pair whose ``eps`` differs (float32 rounding of the same number aside)."""
    for pair in context.alignment.pairs.values():
        ours, theirs = pair.target.hyper.get("eps"), pair.reference.hyper.get("eps")
        if ours is None or theirs is None or math.isclose(ours, theirs, rel_tol=1e-5):
            continue
        place = pair.target.place or "the module"
        yield Finding(
            severity="warning",
            place=place,
            layer=context.reference.layer_of(pair.reference),
            cause=f"{place}.eps is {ours:g}, Keras has {_short(theirs)}",
            fix=f"pass eps={_short(theirs)}",
        )


def _short(value: float) -> str:
    """0.0010000000474974513 → 0.001: ONNX keeps the attribute as float32."""
    return f"{value:.6g}"
