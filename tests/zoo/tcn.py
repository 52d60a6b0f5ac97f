"""A temporal convolutional network: causal, dilated, residual; the module works on (N, C, T)."""

from __future__ import annotations

import keras
import torch
from keras import layers
from torch import nn
from torch.nn import functional as F
from zoo.pair import Pair, turned


def keras_tcn() -> keras.Model:
    series = keras.Input((40, 5), name="series")
    x = series
    for level, dilation in enumerate((1, 2, 4)):
        y = layers.Conv1D(8, 3, padding="causal", dilation_rate=dilation, activation="relu", name=f"level{level}a")(x)
        y = layers.Conv1D(8, 3, padding="causal", dilation_rate=dilation, activation="relu", name=f"level{level}b")(y)
        short = layers.Conv1D(8, 1, name=f"level{level}skip")(x) if level == 0 else x
        x = layers.ReLU(name=f"level{level}out")(layers.Add(name=f"level{level}add")([y, short]))
    x = layers.Cropping1D((39, 0), name="last")(x)
    x = layers.Flatten(name="flat")(x)
    return keras.Model(series, layers.Dense(3, name="head")(x), name="tcn")


class CausalConv(nn.Conv1d):
    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__(inputs, outputs, 3, dilation=dilation)
        self.left = 2 * dilation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(F.pad(x, (self.left, 0)))


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            CausalConv(inputs, outputs, dilation),
            nn.ReLU(),
            nn.Dropout(0.1),
            CausalConv(outputs, outputs, dilation),
            nn.ReLU(),
            nn.Dropout(0.1),
        )
        self.downsample = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        short = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.net(x) + short)


class TCN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(Block(5, 8, 1), Block(8, 8, 2), Block(8, 8, 4))
        self.head = nn.Linear(8, 3)

    def forward(self, series: torch.Tensor) -> torch.Tensor:
        return self.head(self.network(series)[:, :, -1])


PAIRS = (Pair("TCN → TCN by hand", keras_tcn, TCN, feed=turned),)
