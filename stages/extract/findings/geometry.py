"""A convolution is laid over its input differently.

1. ``stride`` differs.
2. ``dilation`` differs.
3. ``output_padding`` of a transposed convolution differs. (The padding of either kind is seen in what is read from it
   or by it, and is a departure.)
"""

from __future__ import annotations

from collections.abc import Iterable

from ...base import Finding
from ..pairs import Pair
from .context import Context

SETTINGS = ("stride", "dilation", "output_padding")


def geometries(context: Context) -> Iterable[Finding]:
    """An error for each setting that differs."""
    for pair in context.alignment.pairs.values():
        for name, (ours, theirs) in differing_settings(pair).items():
            place = pair.target.place or "the module"
            yield Finding(
                severity="error",
                place=place,
                layer=context.reference.layer_of(pair.reference),
                cause=f"{place}.{name} is {ours}, Keras has {theirs}",
                fix=f"pass {name}={theirs}",
            )


def differing_settings(pair: Pair) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Setting → (ours, Keras'), of those that differ."""
    both = {name: (pair.target.hyper.get(name), pair.reference.hyper.get(name)) for name in SETTINGS}
    told = {name: (tuple(a), tuple(b)) for name, (a, b) in both.items() if a is not None and b is not None}
    return {name: values for name, values in told.items() if values[0] != values[1]}
