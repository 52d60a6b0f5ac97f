"""The mini-Xception of oarriaga/face_classification as one writes it in PyTorch.

Three things in it are Keras' and not PyTorch's habit: BatchNorm's epsilon is 1e-3, its momentum is the other way
round (irrelevant here: the module only infers), and a 3x3 max pooling with stride 2 and padding 'same' pads an even
size at its end alone, which is what ``ceil_mode`` does, and an odd size on both sides.
"""

from __future__ import annotations

import torch
from torch import nn


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class SeparableConv2d(nn.Sequential):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
            nn.Conv2d(inputs, outputs, 1, bias=False),
        )


class ResidualBlock(nn.Module):
    """Halves the size, rounding up: ``(batch, inputs, size, size)`` → ``(batch, outputs, ceil(size / 2), …)``."""

    def __init__(self, inputs: int, outputs: int, size: int) -> None:
        super().__init__()
        pool = nn.MaxPool2d(3, stride=2, padding=1) if size % 2 else nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.main = nn.Sequential(
            SeparableConv2d(inputs, outputs),
            norm(outputs),
            nn.ReLU(),
            SeparableConv2d(outputs, outputs),
            norm(outputs),
            pool,
        )
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), norm(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.main(x) + self.shortcut(x)


class MiniXception(nn.Module):
    """Grey faces ``(batch, 1, 64, 64)`` in [-1, 1] → probabilities of ``classes`` emotions."""

    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False),
            norm(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, bias=False),
            norm(8),
            nn.ReLU(),
        )
        self.blocks = nn.Sequential(
            ResidualBlock(8, 16, size=60),
            ResidualBlock(16, 32, size=30),
            ResidualBlock(32, 64, size=15),
            ResidualBlock(64, 128, size=8),
        )
        self.head = nn.Conv2d(128, classes, 3, padding=1)

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        features = self.head(self.blocks(self.stem(faces)))
        return features.mean(dim=(2, 3)).softmax(dim=1)
