"""Weights that no training leaves behind: one value out of all proportion to the others of its tensor.

1. A flipped bit in a file's exponent makes 0.3 into 1e38: HDF5 keeps no checksum that would tell.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ...base import Finding
from ...keras_layers import array_of
from .context import Context

#: The largest value against the next largest, and how large it is at least. Trained tensors stay below 100.
PROPORTION, LARGE = 1e6, 1e3


def ranges(context: Context) -> Iterable[Finding]:
    """A warning for each such tensor; the layer's weights are read, not what Keras makes of them."""
    for path, layer in context.layers.items():
        for variable in layer._trainable_variables + layer._non_trainable_variables:  # noqa: SLF001 - its own alone
            if "float" not in variable.dtype or np.prod(variable.shape) < 4:
                continue
            array = array_of(variable)
            if max(float(array.max()), -float(array.min())) <= LARGE:
                continue
            flat = np.abs(np.asarray(array, dtype=np.float64)).reshape(-1)
            second, largest = np.partition(flat, -2)[-2:]
            if largest > LARGE and largest > PROPORTION * second:
                place = tuple(int(index) for index in np.unravel_index(int(flat.argmax()), variable.shape))
                yield Finding(
                    severity="warning",
                    place="",
                    layer=path,
                    cause=f"{path}/{variable.name} holds {largest:.3g} at {place}, and nothing else above {second:.3g}",
                    fix="compare the file with the one that training wrote; `sha256` in the config holds it to that",
                )
