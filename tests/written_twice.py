"""A small net as the reference and as somebody else would write it, for the tests of stage 5."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch_pairs import images

PICTURES = images(5, 8, 6, 3)
CHANNELS_FIRST = np.ascontiguousarray(PICTURES.transpose(0, 3, 1, 2))


def assert_same(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Equal up to 1e-5 of the largest value: float32 sums of a few dozen terms in another order."""
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))


class Reference(nn.Module):
    """Two parallel convolutions of one shape, a normalisation, a flatten: what most nets are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.bn = nn.BatchNorm2d(6, eps=1e-3)
        self.act = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.left = nn.Conv2d(6, 5, 3, padding=1)
        self.right = nn.Conv2d(6, 5, 3, padding=1)
        self.point = nn.Conv2d(10, 4, 1)
        self.fc = nn.Linear(4 * 4 * 3, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.act(self.bn(self.conv1(x))))
        x = self.point(torch.cat([self.left(x).tanh(), self.right(x)], 1))
        return self.fc(torch.flatten(x, 1))


class Mine(nn.Module):
    """The same, as somebody else would write it."""

    def __init__(self, eps: float = 1e-3, act=torch.relu, last: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.head = nn.Linear(48, 7)
        self.b = nn.Conv2d(6, 5, 3, padding="same")
        self.a = nn.Conv2d(6, 5, 3, padding="same")
        self.stem = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(3, 6, 3, bias=bias), nn.BatchNorm2d(6, eps=eps))
        self.mix = nn.Linear(10, 4)
        self.act, self.last = act, last

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(self.act(self.stem(picture)), 2)
        x = torch.cat([self.a(x), torch.tanh(self.b(x))], 1)
        x = self.mix(x.permute(0, 2, 3, 1))  # the 1×1 convolution as a Linear over channels-last
        if not self.last:
            x = x.permute(0, 3, 1, 2)
        return self.head(x.reshape(x.shape[0], -1))


def wanted(reference: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        made: torch.Tensor = reference(torch.from_numpy(CHANNELS_FIRST))
    return made
