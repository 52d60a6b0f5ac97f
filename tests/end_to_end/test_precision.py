"""Keras in one precision, the module in another: a cast says so, what would overflow is refused, else bits are kept."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import torch
import torchgraft
from keras import layers
from keras_models import randomised
from torch import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=1e-3)
        self.head = nn.Linear(36 * 4, 3)

    def forward(self, x):
        x = torch.relu(self.bn(self.conv(x)))
        return self.head(x.permute(0, 2, 3, 1).flatten(1))


def network(policy: str) -> keras.Model:
    stack = [
        keras.Input((8, 8, 3), name="image"),
        layers.Conv2D(4, 3, dtype=policy, name="conv"),
        layers.BatchNormalization(dtype=policy, name="bn"),
        layers.ReLU(dtype=policy, name="act"),
        layers.Flatten(dtype=policy, name="flat"),
        layers.Dense(3, dtype=policy, name="head"),
    ]
    return randomised(keras.Sequential(stack))


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


EXACT = [
    ("mixed_float16", torch.float32),
    ("mixed_bfloat16", torch.float32),
    ("float16", torch.float16),
    ("bfloat16", torch.bfloat16),
    ("float64", torch.float64),
]


@pytest.mark.parametrize(("policy", "dtype"), EXACT)
def test_weights_of_one_type_arrive_bit_by_bit(policy, dtype, tmp_path):
    model = network(policy)
    conversion = torchgraft.convert(model, Net().to(dtype))
    assert conversion.verified, conversion.comparison.first_difference or conversion.findings
    assert not conversion.plan.arithmetic
    state = conversion.state_dict
    assert state["head.bias"].dtype == dtype
    bias = np.asarray(model.get_layer("head").bias)
    assert bits(state["head.bias"]) == bias.tobytes()
    Net().to(dtype).load_state_dict(state, strict=True)
    conversion.save(tmp_path / "run")  # reads both files back and compares every bit
    restored = conversion.plan.restore(conversion.artifacts[torchgraft_extraction()].state)
    assert restored["head/bias"].tobytes() == bias.tobytes()


def torchgraft_extraction():
    from torchgraft.stages.base import Extraction

    return Extraction


CAST = [
    ("float32", torch.bfloat16, "bfloat16"),
    ("float32", torch.float16, "float16"),
    ("float16", torch.float32, "float32"),
    ("float64", torch.float32, "float32"),
    ("float32", torch.float64, "float64"),
]


@pytest.mark.parametrize(("policy", "dtype", "name"), CAST)
def test_a_cast_is_a_marked_step_of_the_recipe_and_the_module_runs_in_its_own_type(policy, dtype, name):
    model = network(policy)
    conversion = torchgraft.convert(model, Net().to(dtype))
    assert conversion.verified, conversion.comparison.first_difference or conversion.findings
    assert set(conversion.plan.arithmetic) == {
        key for key in conversion.plan.recipes if not key.endswith("num_batches_tracked")
    }
    assert f"cast(head/bias, {name})" in str(conversion.plan["head.bias"])
    bias = np.asarray(model.get_layer("head").bias)
    assert bits(conversion.state_dict["head.bias"]) == bits(torch.from_numpy(bias).to(dtype))


@pytest.mark.parametrize("value", [7e4, -1e38])
def test_row_36_what_the_module_cannot_hold_is_refused_with_its_count_and_key(value):
    model = network("float32")
    kernel = np.array(model.get_layer("head").kernel)
    kernel[3, 1] = value
    model.get_layer("head").kernel.assign(kernel)
    with pytest.raises(torchgraft.DifferenceError, match=r"1 values of 1 tensors overflow float16[\s\S]*head\.weight"):
        torchgraft.convert(model, Net().half())


def test_row_43_float64_weights_that_float32_cannot_hold_are_refused():
    model = network("float64")
    kernel = np.array(model.get_layer("head").kernel)
    kernel[3, 1] = 1e60
    model.get_layer("head").kernel.assign(kernel)
    with pytest.raises(torchgraft.TorchgraftError) as raised:
        torchgraft.convert(model, Net())
    assert raised.value.exit_code == 7


def test_row_41_denormals_pass_within_the_tolerance_bit_by_bit():
    model = network("float32")
    bias = np.array([1e-40, -3e-39, 0.5], "float32")
    model.get_layer("head").bias.assign(bias)
    conversion = torchgraft.convert(model, Net())
    assert conversion.verified
    assert bits(conversion.state_dict["head.bias"]) == bias.tobytes()


def words() -> keras.Model:
    ids = keras.Input((5,), dtype="int32", name="ids")
    x = layers.Flatten(name="flat")(layers.Embedding(11, 8, name="table")(ids))
    model = randomised(keras.Model(ids, layers.Dense(3, name="head")(x)))
    model.quantize("int8")
    return model


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(11, 8), nn.Linear(40, 3)

    def forward(self, ids):
        return self.head(self.table(ids).flatten(1))


def test_int8_is_dequantised_onto_a_float_module_by_its_formula():
    model = words()
    conversion = torchgraft.convert(model, Words())
    assert conversion.verified, conversion.comparison.first_difference
    assert set(conversion.plan.arithmetic) == {"table.weight", "head.weight"}
    assert "head/kernel / head/kernel_scale" in str(conversion.plan["head.weight"]).replace(" · transpose(1, 0)", "")


def test_a_module_that_departs_is_told_in_half_precision_too():
    """The negative twin: another epsilon, which float16 outputs alone would hardly show."""
    module = Net()
    module.bn.eps = 0.5
    conversion = torchgraft.convert(network("mixed_float16"), module)
    assert not conversion.verified
    assert any("eps" in str(finding) for finding in conversion.findings)


def still_verified(model: keras.Model, module: nn.Module, share: float) -> bool:
    """Whether stage 6 verifies a state_dict one of whose weights is off by ``share`` of the largest of its tensor."""
    from dataclasses import replace

    from torchgraft.stages.base import Artifacts, Extraction, Job, Silent
    from torchgraft.stages.compare import Compare
    from torchgraft.stages.precision import derived_tolerance

    conversion = torchgraft.convert(model, module)
    assert conversion.verified
    extraction = conversion.artifacts[Extraction]
    key = next(key for key in reversed(extraction.state) if extraction.state[key].ndim > 1)
    weight = np.array(extraction.state[key])
    weight[0, 0] += share * np.abs(weight).max()
    job = replace(conversion.artifacts[Job], tolerance=derived_tolerance(model, module))
    again = Artifacts(job)
    for kind, artifact in conversion.artifacts._kept.items():
        if kind not in (Job, Extraction):
            again.add(artifact)
    again.add(replace(extraction, state={**extraction.state, key: weight}))
    return bool(Compare().run(again, Silent()).verified)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "mixed_float16"])
def test_a_weight_that_is_off_by_a_hundredth_is_seen_although_keras_computes_coarsely(policy):
    """1e-2 of the largest weight is less than bfloat16's own roundings of four layers: ONNX Runtime tells."""
    assert still_verified(network(policy), Net(), 0.0)
    assert not still_verified(network(policy), Net(), 1e-2)


def test_a_weight_that_is_off_by_a_hundredth_is_seen_although_keras_computes_on_int8():
    assert still_verified(words(), Words(), 0.0)
    assert not still_verified(words(), Words(), 1e-2)
