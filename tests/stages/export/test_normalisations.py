"""A normalisation that is only there as arithmetic goes onto torch's."""

from __future__ import annotations

import re
from pathlib import Path

import keras
import pytest
import torch
import torchgraft
from keras import layers, ops
from keras_models import inputs_for, randomised
from torch import nn
from torchgraft.stages.load import ModelSource, load_model

FEATURES = 5


class Arithmetic(layers.Layer):
    """A user's own: its weights in ``keras.ops.batch_normalization``, or by hand; ``twice``: with another's root."""

    def __init__(self, *, scale: bool = True, center: bool = True, by_hand: bool = False, twice: bool = False) -> None:
        super().__init__()
        self.scale, self.center, self.by_hand, self.twice = scale, center, by_hand, twice

    def build(self, shape) -> None:
        weights = {"gamma": self.scale, "beta": self.center, "mean": True, "variance": True}
        for name, wanted in weights.items():
            made = self.add_weight(name=name, shape=shape[-1:], initializer="ones") if wanted else None
            setattr(self, name, made)

    def call(self, x):
        if not self.by_hand:
            return ops.batch_normalization(x, self.mean, self.variance, -1, self.beta, self.gamma, epsilon=1e-3)
        inverse = self.gamma * ops.rsqrt(1e-3 + self.variance)
        other = ops.sqrt(self.gamma) if self.twice else inverse
        return (self.beta - inverse * self.mean) + other * x


def model_with(layer: layers.Layer, shape: tuple[int, ...] = (6, 4)) -> keras.Model:
    stack = [keras.Input((*shape, 3)), layers.Conv2D(FEATURES, 3), layer, layers.ReLU(), layers.Flatten()]
    return randomised(keras.Sequential([*stack, layers.Dense(2)]))


def module_with(norm: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, FEATURES, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(FEATURES * 8, 2))


def graft(model: keras.Model, module: nn.Module) -> torchgraft.Conversion:
    return torchgraft.convert(model, module, inputs=inputs_for(model, 4))


@pytest.mark.parametrize(
    "options", [{}, {"scale": False}, {"center": False}, {"scale": False, "center": False}, {"by_hand": True}]
)
def test_arithmetic_is_a_batch_normalisation(options: dict[str, bool]) -> None:
    model = model_with(Arithmetic(**options))
    conversion = graft(model, module_with(nn.BatchNorm2d(FEATURES, eps=1e-3)))
    assert conversion.verified, [str(finding) for finding in conversion.findings]
    assert not conversion.findings
    held = {weight.path.rpartition("/")[2]: weight.numpy() for weight in model.layers[1].weights}
    for key, name in {"running_mean": "mean", "running_var": "variance", "weight": "gamma", "bias": "beta"}.items():
        if name in held:
            assert (conversion.state_dict[f"1.{key}"].numpy() == held[name]).all(), key


def test_another_epsilon_is_told() -> None:
    conversion = graft(model_with(Arithmetic()), module_with(nn.BatchNorm2d(FEATURES, eps=1e-5)))
    assert "1.eps is 1e-05, Keras has 0.001" in str(conversion.findings[0])


def test_arithmetic_that_is_none_stays_as_it_is() -> None:
    with pytest.raises(torchgraft.MappingError):
        graft(model_with(Arithmetic(by_hand=True, twice=True)), module_with(nn.BatchNorm2d(FEATURES, eps=1e-3)))


class Both(nn.Module):
    """A batch normalisation, and a layer normalisation over ``axes``."""

    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.conv, self.batch = nn.Conv2d(3, FEATURES, 3), nn.BatchNorm2d(FEATURES, eps=1e-3)
        self.layer, self.head = nn.LayerNorm(axes, eps=1e-3), nn.Linear(FEATURES * 8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.batch(self.conv(x)).permute(0, 2, 3, 1)
        return self.head(self.layer(x).relu().flatten(1))


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[keras.Model, keras.Model]:
    """A Keras model, and what is read of the SavedModel that it has been exported to."""
    folder: Path = tmp_path_factory.mktemp("exported")
    stack = [layers.Conv2D(FEATURES, 3), layers.BatchNormalization(), layers.LayerNormalization(), layers.ReLU()]
    model = randomised(keras.Sequential([keras.Input((6, 4, 3)), *stack, layers.Flatten(), layers.Dense(2)]))
    model.export(str(folder / "saved"), verbose=False)
    return model, load_model(ModelSource(path="saved", trust=True), folder).model


def test_an_exported_model_goes_onto_the_module_as_the_model_itself(exported) -> None:
    ours, theirs = (graft(model, Both(FEATURES)) for model in exported)
    assert ours.verified
    assert theirs.verified, [str(finding) for finding in theirs.findings]
    for key, tensor in ours.state_dict.items():
        assert torch.equal(theirs.state_dict[key], tensor), key


def test_a_layer_normalisation_over_other_axes_is_another(exported) -> None:
    with pytest.raises(torchgraft.MappingError, match=re.escape(f"layer.weight (2, {FEATURES})")):
        graft(exported[1], Both(2, FEATURES))
