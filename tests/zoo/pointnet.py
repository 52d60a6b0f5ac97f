"""PointNet: a shared MLP over points, an input transform predicted by the network itself, a maximum over points."""

from __future__ import annotations

from itertools import pairwise

import keras
import torch
from keras import layers
from torch import nn
from zoo.pair import Pair, turned


def keras_pointnet() -> keras.Model:
    def point(x, size, name):
        x = layers.Conv1D(size, 1, use_bias=False, name=name)(x)
        return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(epsilon=1e-5, name=f"{name}_bn")(x))

    cloud = keras.Input((20, 3), name="cloud")
    t = point(point(cloud, 6, "t1"), 10, "t2")
    t = layers.GlobalMaxPooling1D(name="t_pool")(t)
    t = layers.Dense(8, activation="relu", name="t_dense")(t)
    matrix = layers.Reshape((3, 3), name="t_matrix")(layers.Dense(9, name="t_out")(t))
    x = layers.Dot(axes=(2, 1), name="transform")([cloud, matrix])
    x = point(point(x, 12, "p1"), 16, "p2")
    x = layers.GlobalMaxPooling1D(name="pool")(x)
    x = layers.Dropout(0.3, name="drop")(layers.Dense(9, activation="relu", name="hidden")(x))
    return keras.Model(cloud, layers.Dense(4, activation="softmax", name="classes")(x), name="pointnet")


class SharedMLP(nn.Sequential):
    def __init__(self, *sizes: int) -> None:
        blocks = []
        for inputs, outputs in pairwise(sizes):
            blocks += [nn.Conv1d(inputs, outputs, 1, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
        super().__init__(*blocks)


class PointNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tnet = SharedMLP(3, 6, 10)
        self.tfc = nn.Sequential(nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 9))
        self.features = SharedMLP(3, 12, 16)
        self.classifier = nn.Sequential(nn.Linear(16, 9), nn.ReLU(), nn.Dropout(0.3), nn.Linear(9, 4))

    def forward(self, cloud: torch.Tensor) -> torch.Tensor:  # (N, 3, points)
        matrix = self.tfc(self.tnet(cloud).max(dim=-1).values).view(-1, 3, 3)
        moved = torch.bmm(cloud.transpose(1, 2), matrix).transpose(1, 2)
        return torch.log_softmax(self.classifier(self.features(moved).max(dim=-1).values), dim=-1)


def probabilities(logs: torch.Tensor) -> list[torch.Tensor]:
    return [torch.exp(logs)]


PAIRS = (
    Pair(
        "PointNet → PointNet by hand", keras_pointnet, PointNet, feed=turned, read=probabilities, findings=("softmax",)
    ),
)
