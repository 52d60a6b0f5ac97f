"""Layers beside the usual ones onto users' modules: normalised and tied weights, images, signals, own code."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchgraft
from end_to_end.grafting import assert_grafted, channels_first
from keras import layers, ops
from keras_models import inputs_for, randomised
from layer_rows.own import Gated
from torch import nn

MAP, VECTOR, SERIES = (8, 6, 4), (6,), (7, 6)


def between(*stack: layers.Layer, shape: tuple[int, ...] = VECTOR, dtype: str = "float32") -> keras.Model:
    return randomised(keras.Sequential([keras.Input(shape, dtype=dtype, name="given"), *stack]))


def chain(*parts: nn.Module | Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
    """Modules and functions one after the other, the modules under the names 0, 1, …"""

    class Chain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList(part for part in parts if isinstance(part, nn.Module))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            held = iter(self.parts)
            for part in parts:
                x = next(held)(x) if isinstance(part, nn.Module) else part(x)
            return x

    return Chain()


def reversible(**options: object) -> keras.Model:
    ids = keras.Input((5,), dtype="int32", name="ids")
    table = layers.ReversibleEmbedding(11, 6, name="table", **options)
    x = layers.Dense(6, activation="tanh", name="inner")(table(ids))
    return randomised(keras.Model(ids, table(x, reverse=True)))


class Tied(nn.Module):
    """One table to look up in and to score with, as language models have it."""

    def __init__(self, *, cap: float = 0.0) -> None:
        super().__init__()
        self.table, self.inner, self.cap = nn.Embedding(11, 6), nn.Linear(6, 6), cap

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        scores = F.linear(torch.tanh(self.inner(self.table(ids))), self.table.weight)
        return self.cap * torch.tanh(scores / self.cap) if self.cap else scores


class TiedHead(Tied):
    """The same by a Linear that shares its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.table.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.inner(self.table(ids))))


class Untied(Tied):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(6, 11, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.inner(self.table(ids))))


def shared_dense() -> keras.Model:
    x = keras.Input(VECTOR, name="x")
    twice = layers.Dense(6, activation="tanh", name="twice")
    return randomised(keras.Model(x, twice(twice(x))))


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.twice(torch.tanh(self.twice(x))))


class RootMeanSquare(nn.Module):
    """As LLaMA's code has it."""

    def __init__(self, features: int, eps: float) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(features)), eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))


def signals() -> keras.Model:
    """A spectrogram by the waves that Keras computes when it makes the layer."""
    layer = layers.STFTSpectrogram("magnitude", frame_length=16, frame_step=8, fft_length=16)
    layer.build((None, 64, 1))
    waves = layer.get_weights()
    model = between(layer, layers.Dense(3), shape=(64, 1))
    layer.set_weights(waves)
    return model


def spectrogram(x: torch.Tensor) -> torch.Tensor:
    """(N, T, 1) → (N, frames, 9); its scaling is that of a density."""
    window = torch.hann_window(16, periodic=False)
    made = torch.stft(x.squeeze(-1), 16, 8, window=window, center=False, return_complex=True)
    return made.abs().transpose(1, 2) / window.square().sum().sqrt()


class Waves(nn.Module):
    """The waves as weights of two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.real, self.imag = (nn.Conv1d(1, 9, 16, 8, bias=False) for _ in range(2))
        self.head = nn.Linear(9, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.transpose(1, 2)
        return self.head((self.real(x) ** 2 + self.imag(x) ** 2).sqrt().transpose(1, 2))


@keras.saving.register_keras_serializable("test_other_layers")
def tanh_gelu(x):
    return keras.activations.gelu(x, approximate=True)


def attended() -> keras.Model:
    x = keras.Input(SERIES, name="x")
    y = layers.Dense(6, name="inner")(x)
    y = ops.softmax(ops.matmul(y, ops.transpose(y, (0, 2, 1))), axis=-1) @ y
    y = ops.concatenate([ops.mean(y, axis=1), ops.max(y, axis=1)], axis=-1)
    return randomised(keras.Model(x, layers.Dense(3, name="head")(ops.where(y > 0, y, 0.1 * y))))


class Attended(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(6, 6), nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(x)
        y = (y @ y.mT).softmax(-1) @ y
        return self.head(F.leaky_relu(torch.cat([y.mean(1), y.amax(1)], -1), 0.1))


class TorchGated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.offset = nn.Linear(6, 6), nn.Parameter(torch.zeros(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gate(x).sigmoid() + self.offset


PAIRS: dict[str, tuple[Callable[[], keras.Model], Callable[[], nn.Module]]] = {
    "RMSNormalization": (
        lambda: between(layers.Dense(5), layers.RMSNormalization(epsilon=1e-5)),
        lambda: chain(nn.Linear(6, 5), nn.RMSNorm(5, eps=1e-5)),
    ),
    "RMSNormalization by hand": (
        lambda: between(layers.Dense(5), layers.RMSNormalization(epsilon=1e-5), layers.Dense(3)),
        lambda: chain(nn.Linear(6, 5), RootMeanSquare(5, 1e-5), nn.Linear(5, 3)),
    ),
    "UnitNormalization": (
        lambda: between(layers.Dense(5), layers.UnitNormalization(), layers.Dense(3)),
        lambda: chain(nn.Linear(6, 5), lambda x: F.normalize(x, dim=-1), nn.Linear(5, 3)),
    ),
    "SpectralNormalization of a Dense": (
        lambda: between(layers.SpectralNormalization(layers.Dense(5)), layers.Dense(3)),
        lambda: chain(nn.Linear(6, 5), nn.Linear(5, 3)),
    ),
    "a grouped convolution": (
        lambda: between(layers.Conv2D(6, 3, groups=2, activation="relu"), layers.Conv2D(4, 1), shape=MAP),
        lambda: chain(nn.Conv2d(4, 6, 3, groups=2), F.relu, nn.Conv2d(6, 4, 1)),
    ),
    "a depthwise convolution of two filters a channel": (
        lambda: between(layers.DepthwiseConv2D(3, depth_multiplier=2), layers.Conv2D(4, 1), shape=MAP),
        lambda: chain(nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(8, 4, 1)),
    ),
    "a grouped convolution in one dimension": (
        lambda: between(layers.Conv1D(4, 3, groups=2, padding="causal"), layers.GlobalMaxPooling1D(), shape=SERIES),
        lambda: chain(lambda x: F.pad(x, (2, 0)), nn.Conv1d(6, 4, 3, groups=2), lambda x: x.amax(-1)),
    ),
    "ReversibleEmbedding": (reversible, Tied),
    "ReversibleEmbedding, a Linear of its weight": (reversible, TiedHead),
    "ReversibleEmbedding with capped logits": (lambda: reversible(logit_soft_cap=0.5), lambda: Tied(cap=0.5)),
    "ReversibleEmbedding, untied": (lambda: reversible(tie_weights=False), Untied),
    "a layer called twice": (shared_dense, Twice),
    "Resizing, bilinear": (
        lambda: between(layers.Resizing(11, 9), layers.Conv2D(3, 3), shape=MAP),
        lambda: chain(lambda x: F.interpolate(x, (11, 9), mode="bilinear"), nn.Conv2d(4, 3, 3)),
    ),
    "Resizing, bilinear and smaller": (
        lambda: between(layers.Resizing(5, 4), layers.Conv2D(3, 3), shape=MAP),
        lambda: chain(lambda x: F.interpolate(x, (5, 4), mode="bilinear"), nn.Conv2d(4, 3, 3)),
    ),
    "Resizing, bilinear with antialias": (
        lambda: between(layers.Resizing(4, 3, antialias=True), layers.Conv2D(3, 3), shape=MAP),
        lambda: chain(lambda x: F.interpolate(x, (4, 3), mode="bilinear", antialias=True), nn.Conv2d(4, 3, 3)),
    ),
    "Resizing, nearest": (
        lambda: between(layers.Resizing(11, 9, interpolation="nearest"), layers.Conv2D(3, 3), shape=MAP),
        lambda: chain(lambda x: F.interpolate(x, (11, 9), mode="nearest-exact"), nn.Conv2d(4, 3, 3)),
    ),
    "UpSampling2D": (
        lambda: between(layers.Conv2D(3, 3), layers.UpSampling2D(2), shape=MAP),
        lambda: chain(nn.Conv2d(4, 3, 3), nn.Upsample(scale_factor=2)),
    ),
    "CenterCrop": (
        lambda: between(layers.CenterCrop(4, 4), layers.Conv2D(3, 3), shape=MAP),
        lambda: chain(lambda x: x[:, :, 2:6, 1:5], nn.Conv2d(4, 3, 3)),
    ),
    "AdaptiveAveragePooling2D": (
        lambda: between(layers.Conv2D(3, 3), layers.AdaptiveAveragePooling2D((4, 3)), shape=MAP),
        lambda: chain(nn.Conv2d(4, 3, 3), nn.AdaptiveAvgPool2d((4, 3))),
    ),
    "AdaptiveMaxPooling2D": (
        lambda: between(layers.Conv2D(3, 3), layers.AdaptiveMaxPooling2D((4, 3)), shape=MAP),
        lambda: chain(nn.Conv2d(4, 3, 3), nn.AdaptiveMaxPool2d((4, 3))),
    ),
    "STFTSpectrogram, torch.stft": (
        signals,
        lambda: chain(spectrogram, nn.Linear(9, 3)),
    ),
    "STFTSpectrogram, two convolutions": (signals, Waves),
    "exact GELU": (
        lambda: between(layers.Dense(5, activation="gelu"), layers.Dense(3)),
        lambda: chain(nn.Linear(6, 5), nn.GELU(), nn.Linear(5, 3)),
    ),
    "tanh GELU": (
        lambda: between(layers.Dense(5), layers.Activation(tanh_gelu), layers.Dense(3)),
        lambda: chain(nn.Linear(6, 5), nn.GELU(approximate="tanh"), nn.Linear(5, 3)),
    ),
    "keras.ops in a functional model": (
        attended,
        Attended,
    ),
    "a Lambda": (
        lambda: between(layers.Dense(6), layers.Lambda(lambda x: ops.square(x) - x[:, ::-1]), layers.Dense(3)),
        lambda: chain(nn.Linear(6, 6), lambda x: x**2 - x.flip(1), nn.Linear(6, 3)),
    ),
    "a layer of one's own": (
        lambda: between(Gated(), layers.Dense(3)),
        lambda: chain(TorchGated(), nn.Linear(6, 3)),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_layer_onto_what_a_user_writes_for_it(name: str) -> None:
    make, write = PAIRS[name]
    model = make()
    layout = channels_first if len(model.inputs[0].shape) == 4 or "one dimension" in name else lambda tensor: tensor
    assert_grafted(model, write(), layout=layout)


@pytest.mark.parametrize(
    ("approximate", "wanted"), [(False, "pass approximate='none'"), (True, "pass approximate='tanh'")]
)
def test_the_other_gelu_is_a_finding(approximate: bool, wanted: str) -> None:
    model = PAIRS["tanh GELU" if approximate else "exact GELU"][0]()
    other = chain(nn.Linear(6, 5), nn.GELU(approximate="none" if approximate else "tanh"), nn.Linear(5, 3))
    conversion = torchgraft.convert(model, other, inputs={"given": 4 * inputs_for(model, 6)["given"]})
    assert not conversion.verified
    assert any(wanted in f"{finding.cause} {finding.fix}" for finding in conversion.findings), conversion.findings


def test_a_tied_table_that_the_module_unties_gets_the_same_values_twice() -> None:
    conversion = torchgraft.convert(reversible(), Untied(), inputs=inputs_for(reversible(), 4))
    assert conversion.verified
    state = conversion.state_dict
    assert np.array_equal(state["head.weight"].numpy(), state["table.weight"].numpy())
