"""A convolution is laid over its input differently.

1. ``stride`` differs.
2. ``dilation`` differs.
3. ``output_padding`` of a transposed convolution differs. (The padding of either kind is seen in what is read from it
   or by it, and is a departure.)
"""

from __future__ import annotations

from collections.abc import Iterable

from ...base import Finding
from .context import Context

SETTINGS = ("stride", "dilation", "output_padding")


def geometries(context: Context) -> Iterable[Finding]:
    """An error for each setting that differs."""
    for pair in context.alignment.pairs.values():
        for name in SETTINGS:
            ours, theirs = pair.target.hyper.get(name), pair.reference.hyper.get(name)
            if ours is None or theirs is None or tuple(ours) == tuple(theirs):
                continue
            yield Finding(
                severity="error",
                place=pair.target.place or "the module",
                layer=context.reference.layer_of(pair.reference),
                cause=f"{pair.target.place or 'the module'}.{name} is {tuple(ours)}, Keras has {tuple(theirs)}",
                fix=f"pass {name}={tuple(theirs)}",
            )
