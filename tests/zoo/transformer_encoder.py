"""A Transformer encoder, pre-norm in one and post-norm in the other, onto nn.TransformerEncoderLayer."""

from __future__ import annotations

from functools import partial

import keras
import torch
from keras import layers
from torch import nn
from zoo.pair import Pair


def keras_encoder(*, norm_first: bool) -> keras.Model:
    def normed(x, name):
        return layers.LayerNormalization(epsilon=1e-5, name=name)(x)

    tokens = keras.Input((9,), dtype="int32", name="tokens")
    x = layers.Embedding(40, 16, name="embedding")(tokens)
    for depth in range(2):
        attention = layers.MultiHeadAttention(4, 4, name=f"layer{depth}_attention")
        inner = layers.Dense(24, activation="relu", name=f"layer{depth}_inner")
        outer = layers.Dense(16, name=f"layer{depth}_outer")
        if norm_first:
            y = normed(x, f"layer{depth}_norm1")
            x = layers.Add(name=f"layer{depth}_add1")([x, attention(y, y)])
            x = layers.Add(name=f"layer{depth}_add2")([x, outer(inner(normed(x, f"layer{depth}_norm2")))])
        else:
            x = normed(layers.Add(name=f"layer{depth}_add1")([x, attention(x, x)]), f"layer{depth}_norm1")
            x = normed(layers.Add(name=f"layer{depth}_add2")([x, outer(inner(x))]), f"layer{depth}_norm2")
    x = layers.GlobalAveragePooling1D(name="mean")(x)
    return keras.Model(tokens, layers.Dense(3, name="head")(x), name="encoder")


class Encoder(nn.Module):
    def __init__(self, *, norm_first: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(40, 16)
        layer = nn.TransformerEncoderLayer(16, 4, 24, batch_first=True, norm_first=norm_first)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(16, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.embedding(tokens)).mean(dim=1))


PAIRS = tuple(
    Pair(
        f"encoder, {name} → nn.TransformerEncoder",
        partial(keras_encoder, norm_first=first),
        partial(Encoder, norm_first=first),
    )
    for name, first in (("pre-norm", True), ("post-norm", False))
)
