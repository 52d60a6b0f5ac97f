"""A siamese network: one tower for two images, run by the module on both at once."""

from __future__ import annotations

import keras
import torch
from keras import layers
from torch import nn
from zoo.pair import Pair


def keras_siamese() -> keras.Model:
    tower = keras.Sequential(
        [
            keras.Input((18, 22, 1)),
            layers.Conv2D(6, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(8, 3, activation="relu", name="conv2"),
            layers.Flatten(name="flat"),
            layers.Dense(7, activation="tanh", name="embedding"),
        ],
        name="tower",
    )
    left, right = keras.Input((18, 22, 1), name="left"), keras.Input((18, 22, 1), name="right")
    distance = layers.Subtract(name="difference")([tower(left), tower(right)])
    distance = layers.Multiply(name="squares")([distance, distance])
    return keras.Model([left, right], layers.Dense(1, activation="sigmoid", name="same")(distance), name="siamese")


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU())
        self.embed = nn.Linear(8 * 6 * 8, 7)
        self.verdict = nn.Linear(7, 1)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        both = torch.tanh(self.embed(self.conv(torch.cat([left, right])).flatten(1)))
        first, second = both.chunk(2)
        return torch.sigmoid(self.verdict((first - second) ** 2)).squeeze(-1)


def a_column(verdict: torch.Tensor) -> list[torch.Tensor]:
    return [verdict[:, None]]


PAIRS = (Pair("siamese → both images as one batch", keras_siamese, Siamese, read=a_column),)
