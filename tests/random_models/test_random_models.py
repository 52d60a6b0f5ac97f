"""Drawn models onto twins written from the same description, and those that once failed, each under what it showed."""

from __future__ import annotations

from dataclasses import replace

import keras
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from keras_models import inputs_for
from torchgraft.stages.errors import DifferenceError

from .convert import converted, differences, faults, is_still
from .description import Architecture, Step
from .strategy import architectures

UNTIMED = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=25, derandomize=True, **UNTIMED)
@given(architectures(largest=6))
def test_a_drawn_model_is_grafted_onto_its_twin(drawn: Architecture) -> None:
    keras.backend.clear_session()
    assert faults(drawn) == []


@pytest.mark.long
@settings(max_examples=500, print_blob=True, **UNTIMED)
@given(architectures())
def test_500_drawn_models_are_grafted_onto_their_twins(drawn: Architecture) -> None:
    keras.backend.clear_session()
    assert faults(drawn) == []


PLAIN = {"padding": "valid", "use_bias": False, "activation": "linear"}
POOL = {"pool_size": (1,), "strides": (1,)}
FOUND = {
    "an embedding's series that is repeated stays channels-last": Architecture(
        inputs=(((8,), "int32"),),
        steps=(
            Step("Embedding", {"input_dim": 8, "output_dim": 5}, (0,)),
            Step("UpSampling1D", {"size": 3}, (1,)),
        ),
        outputs=(2,),
    ),
    "the first operation's numbers were those of the second input": Architecture(
        inputs=(((9,), "float32"), ((4,), "float32")),
        steps=(
            Step("LayerNormalization", {"epsilon": 1e-5}, (1,)),
            Step("Dense", {"units": 1, "use_bias": False, "activation": "linear"}, (0,)),
        ),
        outputs=(2, 3),
    ),
    "equal layers on one input go by the order of the model's layers": Architecture(
        inputs=(((7,), "int32"),),
        steps=tuple(Step("Embedding", {"input_dim": 5, "output_dim": 2}, (0,)) for _ in range(7)),
        outputs=tuple(range(1, 8)),
    ),
    "an embedding reads its ids in another order of axes": Architecture(
        inputs=(((8,), "int32"), ((8,), "int32")),
        steps=tuple(Step("Embedding", {"input_dim": 5, "output_dim": 2}, (place,)) for place in (1, 0, 0)),
        outputs=(2, 3, 4),
    ),
    "a PReLU by channel is no arithmetic": Architecture(
        inputs=(((3, 6, 2), "float32"),), steps=(Step("PReLU", {"shared_axes": [1, 2]}, (0,)),), outputs=(1,)
    ),
    "a ReLU of numbers that are all positive under the probes": Architecture(
        inputs=(((3,), "int32"),),
        steps=(
            Step("Embedding", {"input_dim": 5, "output_dim": 3}, (0,)),
            Step("Add", {}, (1, 1)),
            Step("GlobalAveragePooling1D", {"keepdims": True}, (2,)),
            Step("GlobalMaxPooling1D", {"keepdims": False}, (1,)),
            Step("Concatenate", {"axis": 1}, (3, 1)),
            Step("Activation", {"activation": "relu"}, (4,)),
        ),
        outputs=(5, 6),
    ),
    "a model without weights that gives nothing but zeros": Architecture(
        inputs=(((3, 3, 2), "float32"),), steps=(Step("Subtract", {}, (0, 0)),), outputs=(1,)
    ),
    "an order of features passes through a LayerNormalization": Architecture(
        inputs=(((3, 2), "float32"),),
        steps=(
            Step(
                "DepthwiseConv1D",
                {"kernel_size": (1,), "strides": (1,), "padding": "valid", **PLAIN, "depth_multiplier": 2},
                (0,),
            ),
            Step("Flatten", {}, (0,)),
            Step("LayerNormalization", {"epsilon": 1e-3}, (2,)),
        ),
        outputs=(1, 3),
    ),
    "an interpolation has the channels first": Architecture(
        inputs=(((8, 5, 2), "float32"),),
        steps=(Step("UpSampling2D", {"size": (3, 2), "interpolation": "bilinear"}, (0,)),),
        outputs=(1,),
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_once_failed_is_grafted(name: str) -> None:
    assert faults(FOUND[name]) == []


def test_equal_layers_keep_the_order_of_the_outputs() -> None:
    embedding = Step("Embedding", {"input_dim": 5, "output_dim": 2}, (0,))
    pooled = Step("Model", {"steps": (Step("MaxPooling1D", {**POOL, "padding": "valid"}, (0,)),)}, (4,))
    drawn = Architecture(
        inputs=(((3,), "int32"),),
        steps=(embedding, Step("BatchNormalization", {"epsilon": 1e-3}, (1,)), *[embedding] * 6, pooled),
        outputs=(2, 3, 5, 6, 7, 8, 9),
    )
    assert faults(drawn) == []


def test_a_corrupted_key_is_seen() -> None:
    drawn = FOUND["the first operation's numbers were those of the second input"]
    model, twin, conversion = converted(drawn)
    twin.load_state_dict({key: tensor + 1 for key, tensor in conversion.state_dict.items()})
    assert differences(twin, model, inputs_for(model, 3)) != []


def test_a_twin_has_no_weight_of_keras_before() -> None:
    drawn = FOUND["a PReLU by channel is no arithmetic"]
    _, twin, conversion = converted(drawn)
    assert all(not torch.equal(tensor, conversion.state_dict[key]) for key, tensor in twin.state_dict().items())


def test_a_model_that_gives_the_same_for_every_sample_is_refused_and_another_is_not_excused() -> None:
    dense = Step("Dense", {"units": 1, "use_bias": False, "activation": "linear"}, (0,))
    still = Architecture(inputs=(((4,), "float32"),), steps=(dense, Step("Subtract", {}, (1, 1))), outputs=(2,))
    assert is_still(still)
    with pytest.raises(DifferenceError, match="weak probe"):
        converted(still)
    assert faults(still) == []
    assert not is_still(replace(still, outputs=(1,)))
