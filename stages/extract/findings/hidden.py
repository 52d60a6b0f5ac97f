"""The module computes something else where the samples hold padding that Keras hides, and not where they hold none.

1. Nothing that matters reads it (a state that goes on behind the end, what a padded query finds): the outputs agree.
2. The module lets it in: they do not, and this is why.
3. No sample holds padding: what Keras hides, and whether the module does, was not compared.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...base import Finding
from .context import Context


def hidden_padding(context: Context) -> Iterable[Finding]:
    """A warning for each such input."""
    reference = context.found.reference
    for name in reference.unpadded:
        value = reference.padding[name]
        cause = f"Keras hides the steps where {name} is {value:g}, and no sample holds one: that was not compared"
        yield Finding("warning", f"input {name}", name, cause, "give samples that end in padding, or none at all")
    for name, value in reference.padding.items() if reference.shown else ():
        cause = (
            f"where {name} is {value:g} Keras hides the step, and the module computes other values than Keras there; "
            "on samples without such steps all agrees"
        )
        fix = (
            "nothing where the outputs agree; where they differ, let the module skip these steps: "
            "pack_padded_sequence or torch.where for a recurrent layer, key_padding_mask or attn_mask for attention, "
            "a mean over the others alone for a pooling"
        )
        yield Finding("warning", f"input {name}", name, cause, fix)
