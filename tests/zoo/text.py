"""What a text model is fed with: ids, masks that pad the end, segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from zoo.pair import Arrays

if TYPE_CHECKING:
    import keras
    import torch

VOCABULARY, LENGTH = 100, 12
#: The sizes of a small text model, under keras_hub's names and under transformers'.
TEXT = {
    "vocabulary_size": VOCABULARY,
    "num_layers": 2,
    "num_heads": 4,
    "hidden_dim": 32,
    "intermediate_dim": 64,
    "max_sequence_length": LENGTH,
}
CONFIG = {
    "vocab_size": VOCABULARY,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_size": 32,
    "intermediate_size": 64,
    "max_position_embeddings": LENGTH,
}


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


def named(inputs: Arrays, *names: str | None) -> Sequence[Any]:
    """The inputs in the order in which the module's forward takes them, ids as int64; None for what is left out."""
    import torch

    return [None if name is None else torch.from_numpy(inputs[name].astype("int64")) for name in names]


def last_hidden_state(result: Any) -> Sequence[torch.Tensor]:
    return [result.last_hidden_state]
