"""Layers are compared where Keras hides nothing, where padding is all that the module departs in.

The outputs are compared everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ..keras_io import hidden_steps
from ..plan import Array


def as_keras_where_hidden(
    ours: Mapping[str, Array], keras: Mapping[str, Array], padding: Mapping[str, float], inputs: Mapping[str, Array]
) -> Iterator[tuple[str, Array]]:
    """The module's values of layers (N, T, …), those of hidden steps as Keras has them.

    Args:
        ours: layer → value in the module.
        keras: layer → its value.
        padding: input → what its hidden steps are full of; empty where nothing is to be left out.
        inputs: the samples.
    """
    hidden = [hidden_steps(inputs[name], value) for name, value in padding.items()]
    lengths = [each.shape[1] for each in hidden]
    for name, array in ours.items():
        fitting = [each for each in hidden if array.ndim > 1 and array.shape[1] == each.shape[1]]
        if len(fitting) == 1 and lengths.count(array.shape[1]) == 1:
            where = fitting[0][: len(array)].reshape(len(array), array.shape[1], *(1,) * (array.ndim - 2))
            array = np.where(where, keras[name], array)  # noqa: PLW2901
        yield name, array
