"""What people get wrong when they write a Keras model again in PyTorch: each fault is told with its place and its line.

Every module has a fault, and is verified once the line that the finding gives is followed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
import pytest
import torch
import torch.nn.functional as F
import torchgraft
from keras import layers
from keras_models import inputs_for, randomised
from torch import nn


@dataclass(frozen=True)
class Fault:
    """A Keras model, a module that is nearly it, and one that is; what the finding names."""

    name: str
    keras: Callable[[], keras.Model]
    wrong: Callable[[], nn.Module]
    right: Callable[[], nn.Module]
    place: str
    layer: str
    cause: str
    fix: str


def dense(activation: str) -> Callable[[], keras.Model]:
    return lambda: keras.Sequential(
        [keras.Input((6,)), layers.Dense(5, activation=activation, name="hidden"), layers.Dense(4, name="out")]
    )


def linear(*activation: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(6, 5), *activation, nn.Linear(5, 4))


def on_images(*between: keras.Layer, size: int = 8) -> Callable[[], keras.Model]:
    ends = layers.Conv2D(4, 1, name="last"), layers.GlobalAveragePooling2D(name="mean")
    return lambda: keras.Sequential([keras.Input((size, size, 3)), *between, *ends])


def convolutions(*between: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*between, nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def conv(**options: object) -> layers.Conv2D:
    return layers.Conv2D(4, 3, name="conv", **{"padding": "same", **options})


def residual(*, last: bool = True) -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="first")(image)
    y = layers.Conv2D(4, 3, padding="same", name="second")(layers.ReLU(name="relu")(x))
    x = layers.ReLU(name="after")(layers.Add(name="add")([x, y]))
    x = layers.Conv2D(4, 1, name="last")(x) if last else x
    return keras.Model(image, layers.GlobalAveragePooling2D(name="mean")(x))


class Residual(nn.Module):
    def __init__(self, remembered: bool, *, last: bool = True) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.last, self.remembered = nn.Conv2d(4, 4, 1) if last else nn.Identity(), remembered

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        y = self.second(x.relu())
        return self.last((x + y if self.remembered else y).relu()).mean((2, 3))


class Pad(nn.Module):
    """F.pad with what a finding gives."""

    def __init__(self, *sides: int, value: float = 0.0) -> None:
        super().__init__()
        self.sides, self.value = sides, value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x, self.sides, value=self.value)


class Line(nn.Module):
    """The Rescaling of a finding."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0.5 + 0.25


SAME = nn.Conv2d(3, 4, 3, padding=1)
LESS = "F.pad(x, (0, 1, 0, 1), value=-inf) before it, and pass padding=(0, 0)"
FAULTS = (
    Fault(
        "gelu by tanh",
        dense("gelu"),
        linear(nn.GELU("tanh")),
        linear(nn.GELU()),
        "1 (gelu)",
        "hidden",
        "approximate is 'tanh', Keras has 'none'",
        "pass approximate='none'",
    ),
    Fault(
        "relu for gelu",
        dense("gelu"),
        linear(nn.ReLU()),
        linear(nn.GELU()),
        "1 (relu)",
        "hidden",
        "the module computes relu, Keras computes nn.GELU()",
        "use nn.GELU() in place of relu",
    ),
    Fault(
        "hard swish for swish",
        dense("swish"),
        linear(nn.Hardswish()),
        linear(nn.SiLU()),
        "1 (hardswish)",
        "hidden",
        "the module computes hardswish, Keras computes nn.SiLU()",
        "use nn.SiLU() in place of hardswish",
    ),
    Fault(
        "sigmoid for hard sigmoid",
        dense("hard_sigmoid"),
        linear(nn.Sigmoid()),
        linear(nn.Hardsigmoid()),
        "1 (sigmoid)",
        "hidden",
        "Keras computes nn.Hardsigmoid()",
        "use nn.Hardsigmoid() in place of sigmoid",
    ),
    Fault(
        "forgotten activation",
        dense("gelu"),
        linear(),
        linear(nn.GELU()),
        "1",
        "hidden",
        "Keras computes nn.GELU() on what the module hands to 1 as it is",
        "add nn.GELU() before 1",
    ),
    Fault(
        "forgotten residual",
        residual,
        lambda: Residual(remembered=False),
        lambda: Residual(remembered=True),
        "relu",
        "add",
        "Keras adds what first (conv2d) gives to what the module hands to relu as it is",
        "write x = x + (what first (conv2d) gives) before relu",
    ),
    Fault(
        "forgotten residual behind the last layer",
        lambda: residual(last=False),
        lambda: Residual(remembered=False, last=False),
        lambda: Residual(remembered=True, last=False),
        "relu",
        "add",
        "Keras adds what first (conv2d) gives to what the module hands to relu as it is",
        "write x = x + (what first (conv2d) gives) before relu",
    ),
    Fault(
        "softmax over the samples",
        dense("softmax"),
        linear(nn.Softmax(0)),
        linear(nn.Softmax(1)),
        "1 (softmax)",
        "hidden",
        "dim is 0, Keras has 1",
        "pass dim=1",
    ),
    Fault(
        "rescaling left out in the middle",
        on_images(conv(), layers.Rescaling(0.5, 0.25, name="rescaling"), layers.Conv2D(4, 1, name="next")),
        convolutions(SAME, nn.Conv2d(4, 4, 1)),
        convolutions(SAME, Line(), nn.Conv2d(4, 4, 1)),
        "1",
        "rescaling",
        "Keras computes x * 0.5 + 0.25 on what the module hands to 1 as it is",
        "add x * 0.5 + 0.25 before 1",
    ),
    Fault(
        "symmetric padding",
        on_images(conv(strides=2)),
        convolutions(nn.Conv2d(3, 4, 3, stride=2, padding=1)),
        convolutions(Pad(0, 1, 0, 1), nn.Conv2d(3, 4, 3, stride=2)),
        "0",
        "conv",
        "it pads by ((1, 1), (1, 1)), Keras by ((0, 1), (0, 1)) with zeros",
        "pad by F.pad(x, (0, 1, 0, 1)) before it, and pass padding=0",
    ),
    Fault(
        "reflected padding",
        on_images(conv()),
        convolutions(nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")),
        convolutions(SAME),
        "0",
        "conv",
        "it pads by padding_mode='reflect', Keras with zeros",
        'pass padding_mode="zeros"',
    ),
    Fault(
        "no padding",
        on_images(conv()),
        convolutions(nn.Conv2d(3, 4, 3)),
        convolutions(SAME),
        "0",
        "conv",
        "it pads by ((0, 0), (0, 0)), Keras by ((1, 1), (1, 1))",
        "pass padding=(1, 1)",
    ),
    Fault(
        "padding of a transposed convolution",
        on_images(layers.Conv2DTranspose(4, 4, strides=2, padding="same", name="conv")),
        convolutions(nn.ConvTranspose2d(3, 4, 4, stride=2)),
        convolutions(nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1)),
        "0",
        "conv",
        "0.padding is (0, 0), Keras cuts (1, 1) off every side",
        "pass padding=(1, 1)",
    ),
    Fault(
        "an average that counts the padding",
        on_images(conv(), layers.AveragePooling2D(3, strides=1, padding="same", name="pool")),
        convolutions(SAME, nn.AvgPool2d(3, 1, 1)),
        convolutions(SAME, nn.AvgPool2d(3, 1, 1, count_include_pad=False)),
        "1 (avg_pool2d)",
        "pool",
        "count_include_pad is True, Keras has False",
        "pass count_include_pad=False",
    ),
    Fault(
        "a max pooling that pads both sides",
        on_images(conv(), layers.MaxPooling2D(3, strides=2, padding="same", name="pool")),
        convolutions(SAME, nn.MaxPool2d(3, 2, 1)),
        convolutions(SAME, Pad(0, 1, 0, 1, value=-torch.inf), nn.MaxPool2d(3, 2)),
        "1 (max_pool2d)",
        "pool",
        "padding is (1, 1), Keras has (0, 0) behind",
        LESS,
    ),
    Fault(
        "a max pooling behind zeros",
        on_images(conv(), layers.ZeroPadding2D(1, name="zeros"), layers.MaxPooling2D(3, strides=2, name="pool")),
        convolutions(SAME, nn.MaxPool2d(3, 2, 1)),
        convolutions(SAME, Pad(1, 1, 1, 1), nn.MaxPool2d(3, 2)),
        "1 (max_pool2d)",
        "pool",
        "behind F.pad(x, (1, 1, 1, 1), value=0.0) (they differ on large or negative values only)",
        "write F.pad(x, (1, 1, 1, 1), value=0.0) before it, and pass padding=(0, 0)",
    ),
    Fault(
        "another number of groups",
        on_images(conv(), layers.GroupNormalization(2, epsilon=1e-5, name="norm")),
        convolutions(SAME, nn.GroupNorm(4, 4)),
        convolutions(SAME, nn.GroupNorm(2, 4)),
        "1",
        "norm",
        "1.num_groups is 4, Keras has 2",
        "use nn.GroupNorm(2, 4)",
    ),
    Fault(
        "every channel by itself for groups",
        on_images(conv(), layers.GroupNormalization(2, epsilon=1e-5, name="norm")),
        convolutions(SAME, nn.InstanceNorm2d(4, affine=True)),
        convolutions(SAME, nn.GroupNorm(2, 4)),
        "1",
        "norm",
        "1.num_groups is 4, Keras has 2",
        "use nn.GroupNorm(2, 4)",
    ),
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_told_with_its_place_its_layer_and_the_line_that_mends_it(fault: Fault) -> None:
    model = randomised(fault.keras())
    inputs = inputs_for(model, 4)
    wrong = torchgraft.convert(model, fault.wrong(), inputs=inputs)
    assert not wrong.verified
    (finding,) = wrong.findings
    assert (finding.severity, finding.place, finding.layer) == ("error", fault.place, fault.layer)
    assert fault.cause in finding.cause
    assert fault.fix in finding.fix
    right = torchgraft.convert(model, fault.right(), inputs=inputs)
    assert right.verified
    assert not right.findings
