"""The whole-layer handlers: one family a file, listed here."""

from __future__ import annotations

import keras

from .base import Site, WholeLayer
from .batch_normalization import BATCH_NORMALIZATION
from .categories import CATEGORY_ENCODING, DISCRETIZATION, INTEGER_LOOKUP
from .conv import CONV, DEPTHWISE_CONV, SEPARABLE_CONV
from .conv_transpose import CONV_TRANSPOSE
from .dense import DENSE
from .embedding import EMBEDDING
from .global_pooling import GLOBAL_POOLING
from .group_normalization import GROUP_NORMALIZATION
from .layer_normalization import LAYER_NORMALIZATION
from .normalization import NORMALIZATION
from .pooling import POOLING
from .prelu import PRELU
from .reshaping import PERMUTE, REPEAT_VECTOR, RESHAPE
from .resizing import CROPPING, UP_SAMPLING, ZERO_PADDING

WHOLE_LAYERS: tuple[WholeLayer, ...] = (
    DENSE,
    EMBEDDING,
    CONV,
    DEPTHWISE_CONV,
    SEPARABLE_CONV,
    CONV_TRANSPOSE,
    BATCH_NORMALIZATION,
    LAYER_NORMALIZATION,
    GROUP_NORMALIZATION,
    POOLING,
    GLOBAL_POOLING,
    ZERO_PADDING,
    CROPPING,
    UP_SAMPLING,
    RESHAPE,
    PERMUTE,
    REPEAT_VECTOR,
    PRELU,
    NORMALIZATION,
    CATEGORY_ENCODING,
    DISCRETIZATION,
    INTEGER_LOOKUP,
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
        name in HARMLESS or not (callable(value) or isinstance(value, property))
        for step in between
        for name, value in vars(step).items()
    )


__all__ = ["WHOLE_LAYERS", "Site", "WholeLayer", "whole_layer"]
