"""The whole-layer handlers: one family a file, listed here."""

from __future__ import annotations

import keras

from .base import Site, WholeLayer
from .batch_normalization import BATCH_NORMALIZATION
from .conv import CONV
from .dense import DENSE
from .pooling import POOLING
from .reshaping import PERMUTE, REPEAT_VECTOR, RESHAPE

WHOLE_LAYERS: tuple[WholeLayer, ...] = (
    DENSE,
    CONV,
    BATCH_NORMALIZATION,
    POOLING,
    RESHAPE,
    PERMUTE,
    REPEAT_VECTOR,
)

# What a subclass may define and still compute what its base does.
HARMLESS = frozenset({"__init__", "__new__", "get_config", "from_config", "build", "compute_output_shape"})


def whole_layer(layer: keras.Layer) -> WholeLayer | None:
    """The handler for ``layer``: of its class, or of a base that it changes in nothing that computes."""
    for handler in WHOLE_LAYERS:
        for base in handler.layers:
            if isinstance(layer, base) and _computes_as(type(layer), base) and handler.applies(layer):
                return handler
    return None


def _computes_as(kind: type, base: type) -> bool:
    between = kind.__mro__[: kind.__mro__.index(base)]
    return all(
        name in HARMLESS or not callable(value) and not isinstance(value, property)
        for step in between
        for name, value in vars(step).items()
    )


__all__ = ["WHOLE_LAYERS", "Site", "WholeLayer", "whole_layer"]
