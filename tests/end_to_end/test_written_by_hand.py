"""From a Keras model to the state_dict of a module written by hand: what people lost evenings over."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchgraft
from keras import layers
from keras_models import inputs_for, lenet, randomised
from torch import nn


def graft(model: keras.Model, module: nn.Module, samples: int = 4) -> torchgraft.Conversion:
    return torchgraft.convert(model, module, inputs=inputs_for(model, samples))


def assert_grafted(model: keras.Model, module: nn.Module, conversion: torchgraft.Conversion) -> None:
    """Verified, loadable strictly, bit-exact, equal on fresh inputs; and a corrupted tensor shows."""
    assert conversion.verified, [str(finding) for finding in conversion.findings]
    module.load_state_dict(conversion.state_dict, strict=True)
    fresh = inputs_for(model, 4, seed=99)
    arrays = list(fresh.values())
    expected = np.asarray(model(arrays if len(arrays) > 1 else arrays[0], training=False))
    laid = [_channels_first(array) for array in arrays]
    with torch.no_grad():
        scale = np.abs(expected).max()
        assert np.abs(module.eval()(*laid).numpy() - expected).max() <= 1e-4 * scale  # the default rtol
        key = next(key for key in reversed(conversion.state_dict) if conversion.state_dict[key].dim() > 1)
        corrupted = {**conversion.state_dict, key: conversion.state_dict[key].flip(0)}
        module.load_state_dict(corrupted, strict=True)
        assert np.abs(module(*laid).numpy() - expected).max() > 1e-3 * scale
    module.load_state_dict(conversion.state_dict)


def _channels_first(array: np.ndarray) -> torch.Tensor:
    if array.ndim > 2 and array.dtype.kind == "f":
        array = np.ascontiguousarray(np.moveaxis(array, -1, 1))
    return torch.from_numpy(array.astype("int64") if array.dtype.kind == "i" else array)


def test_a_3_by_4_kernel_with_same_padding_onto_zero_pad_and_a_valid_convolution() -> None:
    model = randomised(keras.Sequential([keras.Input((9, 11, 3)), layers.Conv2D(2, (3, 4), padding="same")]))

    class Channels(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).permute(0, 2, 3, 1)

    module = Channels(nn.ZeroPad2d((1, 2, 1, 1)), nn.Conv2d(3, 2, (3, 4)))
    conversion = graft(model, module)
    assert_grafted(model, module, conversion)
    kernel, bias = (np.array(weight) for weight in model.layers[0].get_weights())
    names = list(conversion.plan.variables)
    variables = {name: kernel if kernel.shape == conversion.plan.variables[name].shape else bias for name in names}
    state = variables
    for _ in range(10_000):  # Keras → PyTorch → Keras, through the plan that the conversion made
        state = conversion.plan.restore(conversion.plan.apply(state))
    assert [state[name].tobytes() for name in names] == [variables[name].tobytes() for name in names]
    lopsided = nn.Sequential(nn.ZeroPad2d((2, 1, 1, 1)), nn.Conv2d(3, 2, (3, 4)))
    assert not graft(model, lopsided).verified


def test_lenet_onto_a_sequential_with_separate_activations() -> None:
    model = lenet()
    module = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 84), nn.Tanh(),
        nn.Linear(84, 10), nn.Softmax(-1),
    )  # fmt: skip
    conversion = graft(model, module)
    assert [key for key in conversion.state_dict if key.endswith("weight")] == [f"{i}.weight" for i in (0, 3, 6, 9, 11)]
    assert_grafted(model, module, conversion)
    compared = {row.name for row in conversion.comparison.layers if row.runtimes == ("torch", "keras")}
    assert {layer.name for layer in model.layers} <= compared
    assert not conversion.comparison.not_compared


@pytest.mark.parametrize(
    ("layer", "shape", "module"),
    [
        (layers.Dense(5), (7,), nn.Linear(7, 5)),
        (layers.Dense(5, use_bias=False), (7,), nn.Linear(7, 5, bias=False)),
        (layers.BatchNormalization(), (6,), nn.BatchNorm1d(6, eps=1e-3)),
        (layers.BatchNormalization(scale=False), (6,), nn.BatchNorm1d(6, eps=1e-3)),
        (layers.BatchNormalization(center=False, scale=False), (6,), nn.BatchNorm1d(6, eps=1e-3, affine=False)),
        (layers.LayerNormalization(), (6,), nn.LayerNorm(6, eps=1e-3)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, (nn.Module, keras.Layer)) else None,
)
def test_one_layer_onto_its_twin(layer: keras.Layer, shape: tuple[int, ...], module: nn.Module) -> None:
    model = randomised(keras.Sequential([keras.Input(shape), layer]))
    conversion = graft(model, module)
    assert conversion.verified
    x = inputs_for(model, 8, seed=5)
    module.load_state_dict(conversion.state_dict, strict=True)
    (array,) = x.values()
    with torch.no_grad():
        ours = module.eval()(torch.from_numpy(array)).numpy()
    assert np.abs(ours - np.asarray(model(array, training=False))).max() <= 1e-5  # one layer, values around 1


def test_a_bare_convolution_onto_its_twin() -> None:
    model = randomised(keras.Sequential([keras.Input((7, 9, 3)), layers.Conv2D(4, 3)]))
    module = nn.Conv2d(3, 4, 3)
    conversion = graft(model, module)
    assert conversion.verified
    assert str(conversion.plan["weight"]).endswith("transpose(3, 2, 0, 1)")
    module.load_state_dict(conversion.state_dict, strict=True)
    (array,) = inputs_for(model, 4, seed=5).values()
    expected = np.asarray(model(array, training=False)).transpose(0, 3, 1, 2)
    with torch.no_grad():
        assert np.abs(module(_channels_first(array)).numpy() - expected).max() <= 1e-5  # one layer, values around 1


@pytest.mark.parametrize("kind", ["channels first", "permutes first"])
def test_conv1d_flatten_dense(kind: str) -> None:
    model = randomised(
        keras.Sequential(
            [keras.Input((12, 3)), layers.Conv1D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(5)]
        )
    )

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv1d(3, 4, 3), nn.Linear(40, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.relu(self.conv(x))
            if kind == "permutes first":
                x = x.permute(0, 2, 1)
            return self.fc(x.flatten(1))

    module = Net()
    conversion = graft(model, module)
    assert_grafted(model, module, conversion)
    assert ("reorder" in str(conversion.plan["fc.weight"])) == (kind == "channels first")


class ConvNet(nn.Module):
    def __init__(self, eps: float, activation: type[nn.Module] = nn.SiLU) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6, eps=eps), activation(), nn.MaxPool2d(2), nn.Flatten()
        )
        self.classifier = nn.Linear(6 * 4 * 4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x))


@pytest.fixture(scope="module")
def conv_net() -> keras.Model:
    model = randomised(
        keras.Sequential(
            [
                keras.Input((10, 10, 3)),
                layers.Conv2D(6, 3, name="conv"),
                layers.BatchNormalization(name="bn"),
                layers.Activation("swish", name="swish"),
                layers.MaxPooling2D(name="pool"),
                layers.Flatten(),
                layers.Dense(5, name="dense"),
            ]
        )
    )
    bn = model.get_layer("bn")
    bn.moving_variance.assign(np.linspace(0.01, 0.5, 6))  # small enough for epsilon to matter
    return model


def test_batch_normalisation_with_keras_epsilon(conv_net: keras.Model) -> None:
    module = ConvNet(1e-3)
    conversion = graft(conv_net, module)
    assert_grafted(conv_net, module, conversion)
    assert not conversion.findings


def test_batch_normalisation_with_torchs_epsilon_is_converted_and_the_report_says_what_to_write(
    conv_net: keras.Model,
) -> None:
    right, conversion = graft(conv_net, ConvNet(1e-3)), graft(conv_net, ConvNet(1e-5))
    for key, tensor in conversion.state_dict.items():
        assert torch.equal(tensor, right.state_dict[key])
    assert not conversion.verified
    (finding,) = conversion.findings
    assert finding.severity == "error"
    assert str(finding) == (
        "error: features.1 (Keras layer bn): features.1.eps is 1e-05, Keras has 0.001: pass eps=0.001"
    )
    first = conversion.comparison.first_difference
    assert first is not None
    assert first.name == "bn"


def test_a_wrong_activation_is_named(conv_net: keras.Model) -> None:
    conversion = graft(conv_net, ConvNet(1e-3, nn.ReLU))
    assert not conversion.verified
    assert "relu" in conversion.findings[0].cause


def test_separable_residual_branches_embedding_and_several_inputs() -> None:
    picture, words = keras.Input((8, 8, 4), name="picture"), keras.Input((6,), dtype="int32", name="words")
    x = layers.SeparableConv2D(6, 3, padding="same", use_bias=False)(picture)
    x = layers.BatchNormalization()(x)
    skip = layers.Conv2D(6, 1, strides=2, padding="same")(picture)
    x = layers.Add()([layers.MaxPooling2D(3, 2, padding="same")(x), skip])
    y = layers.GlobalAveragePooling1D()(layers.Embedding(5, 7)(words))
    y = layers.Dense(6, activation="gelu")(layers.LayerNormalization()(y))
    z = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), y])
    model = randomised(keras.Model([picture, words], layers.Dense(3, activation="sigmoid")(z)))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.depth = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
            self.point = nn.Conv2d(4, 6, 1, bias=False)
            self.bn = nn.BatchNorm2d(6, eps=1e-3)
            self.skip = nn.Conv2d(4, 6, 1, stride=2)
            self.table = nn.Embedding(5, 7)
            self.norm = nn.LayerNorm(7, eps=1e-3)
            self.project, self.head = nn.Linear(7, 6), nn.Linear(12, 3)

        def forward(self, picture: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
            x = self.bn(self.point(self.depth(picture)))
            x = F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 3, 2) + self.skip(picture)
            y = F.gelu(self.project(self.norm(self.table(words).mean(1))))
            return torch.sigmoid(self.head(torch.cat([x.mean((2, 3)), y], 1)))

    module = Net()
    assert_grafted(model, module, graft(model, module))


def test_without_a_module_the_imported_one_is_the_target() -> None:
    model = lenet()
    conversion = torchgraft.convert(model, inputs=inputs_for(model))
    assert conversion.verified
    assert set(conversion.state_dict) == set(conversion.imported.state_dict())
