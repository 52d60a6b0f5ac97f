"""A U-Net: skip connections by concatenation, transposed convolutions, an odd number of channels."""

from __future__ import annotations

import keras
import torch
from keras import layers
from torch import nn
from zoo.pair import Pair


def keras_unet() -> keras.Model:
    def double(x, filters, name):
        for part in ("a", "b"):
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}{part}")(x)
            x = layers.BatchNormalization(epsilon=1e-5, name=f"{name}{part}_bn")(x)
            x = layers.ReLU(name=f"{name}{part}_relu")(x)
        return x

    image = keras.Input((32, 48, 3), name="image")
    skips, x = [], image
    for depth, filters in enumerate((6, 10, 14)):
        x = double(x, filters, f"down{depth}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"pool{depth}")(x)
    x = double(x, 18, "bottom")
    for depth, filters in reversed(list(enumerate((6, 10, 14)))):
        x = layers.Conv2DTranspose(filters, 2, strides=2, name=f"up{depth}_t")(x)
        x = layers.Concatenate(name=f"up{depth}_cat")([x, skips[depth]])
        x = double(x, filters, f"up{depth}")
    return keras.Model(image, layers.Conv2D(2, 1, activation="sigmoid", name="mask")(x), name="unet")


class DoubleConv(nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class UNet(nn.Module):
    def __init__(self, features=(6, 10, 14), bottom=18) -> None:
        super().__init__()
        self.downs, self.ups, self.upconvs = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        inputs = 3
        for size in features:
            self.downs.append(DoubleConv(inputs, size))
            inputs = size
        self.bottleneck = DoubleConv(inputs, bottom)
        inputs = bottom
        for size in reversed(features):
            self.upconvs.append(nn.ConvTranspose2d(inputs, size, 2, stride=2))
            self.ups.append(DoubleConv(2 * size, size))
            inputs = size
        self.head = nn.Conv2d(inputs, 2, 1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for down in self.downs:
            x = down(x)
            skips.append(x)
            x = self.pool(x)
        x = self.bottleneck(x)
        for upconv, up, skip in zip(self.upconvs, self.ups, reversed(skips), strict=True):
            x = up(torch.cat([skip, upconv(x)], dim=1))  # the other order than Keras'
        return torch.sigmoid(self.head(x))


PAIRS = (Pair("U-Net → U-Net by hand", keras_unet, UNet),)
