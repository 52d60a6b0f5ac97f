"""What a text model is fed with: ids, masks that pad the end, segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from zoo.pair import Arrays

if TYPE_CHECKING:
    import keras
    import torch

VOCABULARY, LENGTH = 100, 12


def tokens(model: keras.Model, samples: int, seed: int) -> Arrays:
    """Ids of any word, masks that end early in every sample but the first, segments of two sentences."""
    random = np.random.default_rng(seed)
    made = {}
    for tensor in model.inputs:
        if "mask" in tensor.name:
            lengths = np.maximum(LENGTH - 2 * np.arange(samples), 3)
            array = np.arange(LENGTH) < lengths[:, None]
        elif "segment" in tensor.name:
            array = np.arange(LENGTH) >= random.integers(2, LENGTH - 2, (samples, 1))
        else:
            array = random.integers(2, VOCABULARY, (samples, LENGTH))
        made[tensor.name] = array.astype(tensor.dtype)
    return made


def named(inputs: Arrays, *names: str) -> Sequence[torch.Tensor]:
    """The inputs in the order in which the module's forward takes them, ids as int64."""
    import torch

    return [torch.from_numpy(inputs[name].astype("int64")) for name in names]
