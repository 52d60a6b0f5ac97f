"""A module that is fed otherwise than Keras, or gives something else: unaided, and by the lines that are printed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
import torchgraft
from keras import layers
from keras_models import inputs_for, randomised
from ruamel.yaml import YAML
from torch import nn

MEAN, STD = np.array([123.7, 116.3, 103.5], "float32"), np.array([58.4, 57.1, 57.4], "float32")


class Net(nn.Module):
    """Takes pictures that are preprocessed, and gives logits among other things."""

    def __init__(self, before: Any = None) -> None:
        super().__init__()
        self.conv, self.fc, self.before = nn.Conv2d(3, 4, 3), nn.Linear(4, 5), before

    def forward(self, pixel_values: torch.Tensor | None = None, use_cache: bool = True) -> dict[str, Any]:
        x = self.before(pixel_values) if self.before else pixel_values
        x = self.conv(x).relu()
        return {
            "loss": None,
            "features": x,
            "logits": self.fc(x.mean((2, 3))),
            "cache": object() if use_cache else None,
        }


def model(*before: keras.Layer, last: str = "softmax") -> keras.Model:
    behind = [layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(5, activation=last)]
    made = randomised(keras.Sequential([keras.Input((9, 8, 3), name="image"), *before, *behind]))
    for layer in before:
        if isinstance(layer, layers.Normalization):
            layer.adapt_mean.assign(MEAN)
            layer.adapt_variance.assign(np.square(STD))
            layer.finalize_state()
    return made


def pictures(samples: int = 5, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (samples, 9, 8, 3)).astype("float32")


class Flip(layers.Layer):
    """RGB → BGR."""

    def call(self, x):
        return x[..., ::-1]


@pytest.mark.parametrize(
    ("before", "layer", "formula"),
    [
        ([layers.Rescaling(1 / 127.5, offset=-1, name="scale")], "scale", "(x - 127.5) / 127.5"),
        ([layers.Rescaling(1 / 255, name="scale")], "scale", "x / 255"),
        ([layers.Normalization(name="norm")], "norm", "(x - [123.7, 116.3, 103.5]) / [58.4, 57.1, 57.4]"),
        ([Flip(name="flip"), layers.Rescaling(1 / 255, name="scale")], "scale", "x[..., [2, 1, 0]] / 255"),
    ],
    ids=["rescaling", "255", "normalization", "flip"],
)
def test_preprocessing_that_only_keras_has_is_found_and_said(before: list, layer: str, formula: str) -> None:
    keras_model, module = model(*before), Net()
    conversion = torchgraft.convert(keras_model, module, inputs=pictures())
    assert conversion.verified
    (argument,) = conversion.fit.inputs.items()
    assert argument[0] == "pixel_values"
    assert argument[1].value == layer
    said = [finding for finding in conversion.findings if finding.layer == layer]
    assert ["your module expects preprocessed inputs" in finding.cause for finding in said] == [True]
    assert formula in said[0].fix
    # whoever follows what is said gets Keras' outputs
    fresh = pictures(3, seed=7)
    x = eval(formula, {"x": fresh, "array": np.array}) if "[1" not in formula else (fresh - MEAN) / STD
    module.load_state_dict(conversion.state_dict, strict=True)
    with torch.no_grad():
        ours = module.eval()(torch.from_numpy(np.array(x).transpose(0, 3, 1, 2).copy()))["logits"].softmax(-1).numpy()
    assert np.abs(ours - np.asarray(keras_model(fresh))).max() < 1e-4


def test_variables_of_the_preprocessing_are_left_over_with_the_reason() -> None:
    conversion = torchgraft.convert(model(layers.Normalization(name="norm")), Net(), inputs=pictures())
    reasons = {left.name: left.reason for left in conversion.plan.unused}
    assert "preprocessing in front of norm" in reasons["norm/mean"]
    assert "preprocessing in front of norm" in reasons["norm/variance"]


def test_a_module_that_preprocesses_itself_takes_the_input_as_it_is() -> None:
    conversion = torchgraft.convert(
        model(layers.Rescaling(1 / 255, name="scale")), Net(lambda x: x / 255), inputs=pictures()
    )
    assert conversion.verified
    assert conversion.fit.inputs["pixel_values"].value == "image"


@pytest.mark.parametrize(
    ("before", "formula"),
    [
        (lambda x: x / 127.5 - 1, "(x - 127.5) / 127.5"),
        (lambda x: (x - torch.tensor([1.0, 2, 3])[:, None, None]) / 2.0, "(x - [1, 2, 3]) / 2"),
    ],
)
def test_preprocessing_that_only_the_module_has_is_an_error_and_said(before: Any, formula: str) -> None:
    conversion = torchgraft.convert(model(), Net(before), inputs=pictures())
    assert not conversion.verified
    errors = [finding.cause for finding in conversion.findings if finding.severity == "error"]
    assert f"the module preprocesses its input: {formula}; Keras does not do that" in errors


class OwnNumbers(Net):
    """Normalises by itself, with what Keras has in variables."""

    def __init__(self, mean: np.ndarray, std: np.ndarray, *, buffers: bool) -> None:
        super().__init__()
        self.held = {"mean": torch.tensor(mean[:, None, None]), "std": torch.tensor(std[:, None, None])}
        if buffers:
            for name, value in self.held.items():
                self.register_buffer(name, value)
            self.held = {}
        self.before = lambda x: (x - self._number("mean")) / self._number("std")

    def _number(self, name: str) -> torch.Tensor:
        return self.held[name] if self.held else getattr(self, name)

    def forward(self, pixel_values: torch.Tensor) -> dict[str, Any]:  # type: ignore[override]
        self.before = lambda x: (x - self._number("mean")) / self._number("std")
        return super().forward(pixel_values)


@pytest.mark.parametrize("buffers", [True, False], ids=["buffers", "constants"])
def test_numbers_that_the_module_has_of_its_own_are_compared_with_those_of_keras(buffers: bool) -> None:
    keras_model = model(layers.Normalization(name="norm"))
    conversion = torchgraft.convert(keras_model, OwnNumbers(MEAN, STD, buffers=buffers), inputs=pictures())
    assert conversion.verified
    assert conversion.fit.inputs["pixel_values"].value == "image"
    reasons = {left.name: left.reason for left in conversion.plan.unused}
    assert "which agree" in reasons["norm/variance"]
    try:
        wrong = torchgraft.convert(keras_model, OwnNumbers(MEAN, STD * 1.01, buffers=buffers), inputs=pictures())
    except torchgraft.MappingError:
        return  # nothing of the module's is a mean or a variance of Keras
    assert not wrong.verified


def test_ids_that_keras_takes_as_floats_are_given_as_integers() -> None:
    ids = keras.Input((6,), name="ids")
    embedded = layers.GlobalAveragePooling1D()(layers.Embedding(9, 5)(ids))
    keras_model = randomised(keras.Model(ids, layers.Dense(3)(embedded)))

    class Ids(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.fc = nn.Embedding(9, 5), nn.Linear(5, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.table(x).mean(1))

    inputs = (np.arange(30).reshape(5, 6) % 9).astype("float32")
    conversion = torchgraft.convert(keras_model, Ids(), inputs=inputs)
    assert conversion.verified
    assert conversion.fit.inputs["x"].dtype == "int64"


def test_another_preprocessing_than_keras_is_an_error() -> None:
    conversion = torchgraft.convert(
        model(layers.Rescaling(1 / 255, name="scale")), Net(lambda x: x / 127.5 - 1), inputs=pictures()
    )
    assert not conversion.verified


def test_the_printed_lines_are_a_config_that_does_the_same_again() -> None:
    keras_model = model(layers.Rescaling(1 / 255, name="scale"))
    found = torchgraft.convert(keras_model, Net(), inputs=pictures())
    lines = YAML(typ="safe").load("\n".join(found.fit.config_lines()))["fit"]
    assert lines == {
        "inputs": {"pixel_values": {"value": "scale", "layout": "n h w c -> n c h w"}},
        "outputs": {next(iter(found.fit.outputs)): {"place": "logits", "activation": "softmax"}},
        "options": {"use_cache": False},
    }
    again = torchgraft.convert(keras_model, Net(), inputs=pictures(), fit=lines)
    assert again.verified
    assert again.fit == found.fit
    assert {reason.partition(" to its caller")[0] for reason in found.comparison.not_compared.values()} == {
        "the module leaves it"
    }
    assert found.comparison_json()["fit"] == lines


@pytest.mark.parametrize(
    "wrong",
    [
        {"inputs": {"pixel_values": "image"}},
        {"inputs": {"pixel_values": {"layout": "n h w c -> n c w h"}}},
        {"outputs": {"OUT": {"activation": "sigmoid"}}},
        {"outputs": {"OUT": {"place": "features"}}},
    ],
)
def test_what_is_stated_wrongly_is_contradicted_with_the_line_that_is_right(wrong: dict[str, Any]) -> None:
    keras_model = model(layers.Rescaling(1 / 255, name="scale"))
    found = torchgraft.convert(keras_model, Net(), inputs=pictures())
    name = next(iter(found.fit.outputs))
    stated = {
        group: {name if key == "OUT" else key: value for key, value in entry.items()} for group, entry in wrong.items()
    }
    conversion = torchgraft.convert(keras_model, Net(), inputs=pictures(), fit=stated)
    assert not conversion.verified
    right = [line.strip() for line in found.fit.config_lines() if line.startswith("    ")]
    assert any(line in finding.fix for line in right for finding in conversion.findings if finding.severity == "error")


@pytest.mark.parametrize(
    "fit", [{"input": {}}, {"inputs": {"x": {"layot": "n c"}}}, {"outputs": {"x": {"activation": "sofmax"}}}, 3]
)
def test_what_no_config_takes_is_a_usage_error(fit: Any) -> None:
    with pytest.raises(torchgraft.UsageError, match="fit"):
        torchgraft.convert(model(), Net(), inputs=pictures(), fit=fit)


def test_a_stateful_sequence_network_may_have_its_samples_second() -> None:
    keras_model = randomised(
        keras.Sequential([keras.Input((7, 3)), layers.LSTM(4, return_sequences=True), layers.Dense(2)])
    )

    class TimeFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.out = nn.LSTM(3, 4), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.rnn(x)[0])

    conversion = torchgraft.convert(keras_model, TimeFirst(), inputs=inputs_for(keras_model, 5))
    assert conversion.verified
    assert conversion.fit.inputs["x"].layout == "n t c -> t n c"
    assert [fit.layout for fit in conversion.fit.outputs.values()] == ["t n c -> n t c"]
    assert "samples on its second axis" in str(conversion.findings[0])


class Masked(nn.Module):
    """Attention over the steps that are no padding; ``key_padding_mask`` is True for what is."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.out = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        return self.out(self.attention(x, x, x, key_padding_mask=padding, need_weights=False)[0])


class Kept(Masked):
    def forward(self, x: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        return super().forward(x, ~kept)


def masked_model(dtype: str) -> keras.Model:
    x, mask = keras.Input((6, 8), name="series"), keras.Input((6,), dtype=dtype, name="kept")
    seen = layers.Reshape((1, 6), name="keys")(mask)
    y = layers.MultiHeadAttention(2, 4, name="attention")(x, x, attention_mask=seen)
    return randomised(keras.Model([x, mask], layers.Dense(3, name="out")(y)))


@pytest.mark.parametrize(
    ("module", "line"),
    [(Masked, "padding: {value: kept, dtype: bool, inverted: true}"), (Kept, "kept: {value: kept, dtype: bool}")],
)
def test_a_mask_of_what_is_padding_is_fed_with_the_inverse_of_keras(module: type[nn.Module], line: str) -> None:
    keras_model = masked_model("int32")
    steps = np.arange(6) < np.array([5, 4, 3, 2])[:, None]
    inputs = {**inputs_for(keras_model, 4), "kept": steps.astype("int32")}
    found = torchgraft.convert(keras_model, module(), inputs=inputs)
    assert found.verified, [str(finding) for finding in found.findings]
    lines = found.fit.config_lines()
    assert line in [each.strip() for each in lines]
    stated = YAML(typ="safe").load("\n".join(lines))["fit"]
    assert torchgraft.convert(keras_model, module(), inputs=inputs, fit=stated).fit == found.fit
    for name, entry in stated["inputs"].items():
        if entry["value"] == "kept":
            stated["inputs"][name] = {**entry, "inverted": not entry.get("inverted", False)}
    wrong = torchgraft.convert(keras_model, module(), inputs=inputs, fit=stated)
    assert not wrong.verified
    assert any(line in finding.fix for finding in wrong.findings)
