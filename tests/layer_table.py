"""Every layer and option that torchgraft converts: each stage that handles layers is tested over this table.

The rows are in ``layer_rows/``, one kind of layers a file. The cases of one input shape make one model with an output
a case, so that a table of hundreds costs a few conversions. Sizes are odd and unequal, so that a swapped axis cannot
pass.
"""

from __future__ import annotations

from typing import Any

import keras
from keras_models import randomised
from layer_rows.activations import ACTIVATIONS, activations
from layer_rows.attention import attention
from layer_rows.case import Case
from layer_rows.convolutions import convolutions, depthwise, transposed
from layer_rows.dense import dense
from layer_rows.identities import augmentations, identities
from layer_rows.images_and_signals import images_and_signals
from layer_rows.merging import merging
from layer_rows.normalisation import normalisation
from layer_rows.own import own
from layer_rows.pooling import pooling
from layer_rows.preprocessing import categories, preprocessing
from layer_rows.recurrent import recurrent
from layer_rows.reshaping import reshaping

ROWS = (
    dense,
    convolutions,
    depthwise,
    transposed,
    pooling,
    normalisation,
    reshaping,
    merging,
    activations,
    identities,
    augmentations,
    categories,
    preprocessing,
    own,
    attention,
    images_and_signals,
    recurrent,
)
CASES: tuple[Case, ...] = tuple(one for rows in ROWS for one in rows())


def shapes() -> tuple[tuple[tuple[int, ...], str], ...]:
    """(sample shape, dtype) of every model that the table makes."""
    return tuple(dict.fromkeys((one.shape, one.dtype) for one in CASES))


def named_results(one: Case, result: Any) -> dict[str, Any]:
    """Output name → tensor: the case's name, with ".1" … for the second of several."""
    flat = keras.tree.flatten(result)
    return {f"{one.name}.{place}" if place else one.name: tensor for place, tensor in enumerate(flat)}


def table_model(shape: tuple[int, ...], dtype: str) -> keras.Model:
    """All cases of one input shape in one model: a layer and an output a case, both under its name."""
    given = keras.Input(shape, name="given", dtype=dtype)
    outputs = {}
    for one in CASES:
        if (one.shape, one.dtype) == (shape, dtype):
            outputs |= named_results(one, one.call(one.make(name=one.name), given))
    return randomised(keras.Model(given, outputs, name="table"))


__all__ = ["ACTIVATIONS", "CASES", "Case", "named_results", "shapes", "table_model"]
