"""A normalisation's epsilon differs.

1. BatchNormalization: Keras' default is 1e-3 (keras/src/layers/normalization/batch_normalization.py), torch's 1e-5
   (torch/nn/modules/batchnorm.py).
2. LayerNormalization, GroupNormalization: 1e-3 in Keras, 1e-5 in torch.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...base import Finding
from ..settings import EPSILON, differing_settings, written
from .context import Context


def epsilons(context: Context) -> Iterable[Finding]:
    """A warning for each pair whose ``eps`` differs (float32 rounding of the same number aside)."""
    for pair in context.alignment.pairs.values():
        differing = differing_settings(pair.target, pair.reference).get(EPSILON)
        if differing is None:
            continue
        ours, theirs = map(written, differing)
        place = pair.target.place or "the module"
        yield Finding(
            severity="warning",
            place=place,
            layer=context.reference.layer_of(pair.reference),
            cause=f"{place}.eps is {ours}, Keras has {theirs}",
            fix=f"pass eps={theirs}",
        )
