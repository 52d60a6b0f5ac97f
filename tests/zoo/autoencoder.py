"""A convolutional autoencoder: Flatten and Reshape around a Dense bottleneck, so both feature orders matter."""

from __future__ import annotations

import keras
import torch
from keras import layers
from torch import nn
from zoo.pair import Pair


def keras_autoencoder() -> keras.Model:
    image = keras.Input((20, 28, 1), name="image")
    x = layers.Conv2D(5, 3, strides=2, padding="same", activation="relu", name="enc1")(image)
    x = layers.Conv2D(9, 3, strides=2, padding="same", activation="relu", name="enc2")(x)
    x = layers.Flatten(name="flat")(x)
    code = layers.Dense(12, name="code")(x)
    x = layers.Dense(5 * 7 * 9, activation="relu", name="expand")(code)
    x = layers.Reshape((5, 7, 9), name="map")(x)
    x = layers.Conv2DTranspose(6, 3, strides=2, padding="same", activation="relu", name="dec1")(x)
    x = layers.Conv2DTranspose(1, 4, strides=2, padding="same", activation="sigmoid", name="dec2")(x)
    return keras.Model(image, [x, code], name="autoencoder")


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((0, 1, 0, 1))
        self.conv1 = nn.Conv2d(1, 5, 3, stride=2)
        self.conv2 = nn.Conv2d(5, 9, 3, stride=2)
        self.to_code = nn.Linear(9 * 5 * 7, 12)
        self.from_code = nn.Linear(12, 9 * 5 * 7)
        self.deconv1 = nn.ConvTranspose2d(9, 6, 3, stride=2)
        self.deconv2 = nn.ConvTranspose2d(6, 1, 4, stride=2, padding=1)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.conv1(self.pad(x)))
        x = torch.relu(self.conv2(self.pad(x)))
        return self.to_code(x.flatten(1))

    def decode(self, code: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.from_code(code)).view(-1, 9, 5, 7)
        x = torch.relu(self.deconv1(x)[:, :, :10, :14])
        return torch.sigmoid(self.deconv2(x))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        code = self.encode(x)
        return {"reconstruction": self.decode(code), "latent": code}


def both(result: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    return [result["reconstruction"], result["latent"]]


PAIRS = (Pair("autoencoder → autoencoder by hand", keras_autoencoder, Autoencoder, read=both),)
