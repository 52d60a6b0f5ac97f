"""An operation with the weights of a Keras layer is laid over its input differently.

1. ``stride`` differs.
2. ``dilation`` differs.
3. ``output_padding`` of a transposed convolution differs. (The padding of either kind is seen in what is read from it
   or by it, and is a departure.)
4. The groups of a GroupNormalization differ, or there are as many as channels (an instance normalisation).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...base import Finding
from ..pairs import Pair
from ..settings import EPSILON, differing_settings, written
from .context import Context


def geometries(context: Context) -> Iterable[Finding]:
    """An error for each setting that differs."""
    for pair in context.alignment.pairs.values():
        for name, (ours, theirs) in differing_geometry(pair).items():
            place = pair.target.place or "the module"
            called, fix = name, f"pass {name}={written(theirs)}"
            if name == "groups":
                called, fix = (
                    "num_groups",
                    f"use nn.GroupNorm({theirs}, {', '.join(map(str, pair.target.hyper['features']))})",
                )
            yield Finding(
                severity="error",
                place=place,
                layer=context.reference.layer_of(pair.reference),
                cause=f"{place}.{called} is {written(ours)}, Keras has {written(theirs)}",
                fix=fix,
            )


def differing_geometry(pair: Pair) -> dict[str, tuple[Any, Any]]:
    """Setting → (ours, Keras'), of those that differ; an epsilon is no geometry."""
    found = differing_settings(pair.target, pair.reference)
    return {name: values for name, values in found.items() if name != EPSILON}
