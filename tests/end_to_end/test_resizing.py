"""Resizing onto F.interpolate: the same rule, or what to pass."""

from __future__ import annotations

import keras
import pytest
import torch
import torchgraft
from keras import layers
from keras_models import inputs_for, randomised
from torch import nn
from torch.nn.functional import interpolate

#: (Keras' interpolation, antialias, size) → the options of F.interpolate that are the same; None where there are none
SAME = {
    ("nearest", False, (10, 9)): {"mode": "nearest-exact"},
    ("bilinear", False, (10, 9)): {"mode": "bilinear"},
    ("bilinear", True, (4, 3)): {"mode": "bilinear", "antialias": True},
    ("bicubic", True, (10, 9)): {"mode": "bicubic", "antialias": True},
    ("bicubic", True, (4, 3)): {"mode": "bicubic", "antialias": True},
    ("area", False, (3, 2)): {"mode": "area"},
    ("bicubic", False, (10, 9)): None,
    ("area", False, (4, 5)): None,
    ("lanczos3", False, (10, 9)): None,
}


class Resized(nn.Module):
    def __init__(self, size: tuple[int, int], **options: object) -> None:
        super().__init__()
        self.first, self.size, self.options = nn.Conv2d(3, 4, 1), size, options
        self.second = nn.Conv2d(4, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(interpolate(self.first(x).relu(), size=self.size, **self.options))


def model_of(kind: str, antialias: bool, size: tuple[int, int]) -> keras.Model:
    resizing = layers.Resizing(*size, interpolation=kind, antialias=antialias, name="resizing")
    stack = [layers.Conv2D(4, 1, activation="relu"), resizing, layers.Conv2D(2, 1)]
    return randomised(keras.Sequential([keras.Input((9, 6, 3)), *stack]))


@pytest.mark.parametrize("case", SAME, ids=str)
def test_the_same_rule_is_verified_and_another_is_told_with_what_to_pass(case) -> None:
    model, size = model_of(*case), case[2]
    inputs = inputs_for(model, 4)
    other = {"mode": "nearest"} if case[0] in ("nearest", "bilinear") else {"mode": "bilinear"}
    wrong = torchgraft.convert(model, Resized(size, **other), inputs=inputs)
    assert not wrong.verified
    told = next(finding for finding in wrong.findings if finding.layer == "resizing")
    if (options := SAME[case]) is None:
        assert "multiply rows and columns by the matrices" in told.fix
        return
    if case[0] != "area":
        assert f"mode={options['mode']!r}" in told.fix
    assert torchgraft.convert(model, Resized(size, **options), inputs=inputs).verified
