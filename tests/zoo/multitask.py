"""A multi-task network: one backbone, an image and a vector in, three heads out under other names."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import torch
from keras import layers
from torch import nn
from zoo.pair import Arrays, Pair, channels_first


def keras_multitask() -> keras.Model:
    image, extra = keras.Input((16, 20, 3), name="image"), keras.Input((5,), name="extra")
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="conv1")(image)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Concatenate(name="joined")([x, extra])
    shared = layers.Dense(12, activation="relu", name="shared")(x)
    age = layers.Dense(1, name="age")(layers.Dense(6, activation="relu", name="age_hidden")(shared))
    kind = layers.Dense(4, activation="softmax", name="kind")(
        layers.Dense(6, activation="relu", name="kind_hidden")(shared)
    )
    flag = layers.Dense(1, activation="sigmoid", name="flag")(shared)
    return keras.Model([image, extra], {"age": age, "kind": kind, "flag": flag}, name="multitask")


@dataclass
class Predictions:
    age: torch.Tensor
    kind: torch.Tensor
    flag: torch.Tensor


class MultiTask(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.BatchNorm2d(8, eps=1e-3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.trunk = nn.Linear(13, 12)
        self.heads = nn.ModuleDict(
            {
                "flag": nn.Linear(12, 1),
                "kind": nn.Sequential(nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 4)),
                "age": nn.Sequential(nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 1)),
            }
        )

    def forward(self, extra: torch.Tensor, image: torch.Tensor) -> Predictions:
        shared = torch.relu(self.trunk(torch.cat([extra, self.stem(image)], dim=1)))
        return Predictions(
            age=self.heads["age"](shared).squeeze(1),
            kind=torch.softmax(self.heads["kind"](shared), dim=-1),
            flag=torch.sigmoid(self.heads["flag"](shared)),
        )


def by_name(made: Predictions) -> list[torch.Tensor]:
    return [made.age[:, None], made.flag, made.kind]


def extra_first(inputs: Arrays) -> list[torch.Tensor]:
    image, extra = channels_first(inputs)
    return [extra, image]


PAIRS = (Pair("multi-task CNN → by hand", keras_multitask, MultiTask, feed=extra_first, read=by_name),)
