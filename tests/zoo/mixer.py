"""MLP-Mixer: patches by a strided convolution, Dense over tokens and over channels, exact GELU."""

from __future__ import annotations

import keras
import torch
from keras import layers
from torch import nn
from zoo.pair import Pair


def keras_mixer() -> keras.Model:
    image = keras.Input((24, 32, 3), name="image")
    x = layers.Conv2D(10, 8, strides=8, name="patches")(image)
    x = layers.Reshape((12, 10), name="tokens")(x)
    for depth in range(2):
        y = layers.LayerNormalization(epsilon=1e-6, name=f"block{depth}_norm1")(x)
        y = layers.Permute((2, 1), name=f"block{depth}_turn")(y)
        y = layers.Dense(7, activation="gelu", name=f"block{depth}_token1")(y)
        y = layers.Dense(12, name=f"block{depth}_token2")(y)
        x = layers.Add(name=f"block{depth}_add1")([x, layers.Permute((2, 1), name=f"block{depth}_back")(y)])
        y = layers.LayerNormalization(epsilon=1e-6, name=f"block{depth}_norm2")(x)
        y = layers.Dense(14, activation="gelu", name=f"block{depth}_channel1")(y)
        x = layers.Add(name=f"block{depth}_add2")([x, layers.Dense(10, name=f"block{depth}_channel2")(y)])
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = layers.GlobalAveragePooling1D(name="mean")(x)
    return keras.Model(image, layers.Dense(5, name="head")(x), name="mixer")


class Mlp(nn.Module):
    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.act(self.fc1(x)))


class MixerBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.mlp_tokens = nn.LayerNorm(10, eps=1e-6), Mlp(12, 7)
        self.norm2, self.mlp_channels = nn.LayerNorm(10, eps=1e-6), Mlp(10, 14)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.mlp_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.mlp_channels(self.norm2(x))


class Mixer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 10, 8, stride=8)
        self.blocks = nn.Sequential(MixerBlock(), MixerBlock())
        self.norm, self.head = nn.LayerNorm(10, eps=1e-6), nn.Linear(10, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tokens = self.stem(image).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(tokens)).mean(dim=1))


PAIRS = (Pair("MLP-Mixer → MLP-Mixer by hand", keras_mixer, Mixer),)
