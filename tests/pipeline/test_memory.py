"""Weights are gigabytes: which stage has memory of its own for them, and which looks at Keras'."""

from __future__ import annotations

import weakref
from dataclasses import replace

import keras
import keras_models
import numpy as np
import pytest
import torch
import torchgraft
from keras import layers
from torch import nn
from torchgraft.stages.base import ExportedGraph, Extraction, ImportedModule
from torchgraft.stages.compare import states
from torchgraft.stages.errors import UsageError
from torchgraft.stages.plan import Recipe
from torchgraft.stages.verify import onnx_run

WIDTH, DEPTH = 64, 6


class Tower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(DEPTH))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x


class Viewing(Tower):
    """Looks at its weights as at what torch lays out: no transposed memory has this view."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            layer.weight.view(-1)
            x = torch.relu(layer(x))
        return x


class Striding(Tower):
    """Computes with its weights' strides: on transposed memory something else, without a word."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x) * layer.weight.stride(1))
        return x


@pytest.fixture(scope="module")
def model() -> keras.Model:
    stack = [layers.Dense(WIDTH, activation="relu") for _ in range(DEPTH)]
    return keras_models.randomised(keras.Sequential([keras.Input((WIDTH,)), *stack]))


def converted(model: keras.Model, module: nn.Module | None) -> torchgraft.Conversion:
    return torchgraft.convert(model, module, inputs=keras_models.inputs_for(model, samples=3))


def shared(conversion: torchgraft.Conversion, array: np.ndarray) -> bool:
    """Whether an array lies in the memory of a Keras variable."""
    held = conversion.artifacts[ExportedGraph].variables.values()
    return any(np.shares_memory(array, variable) for variable in held)


def test_beside_a_module_of_the_users_the_imported_one_and_the_state_are_keras_own_memory(model: keras.Model) -> None:
    conversion = converted(model, Tower())
    assert conversion.verified
    imported = conversion.artifacts[ImportedModule].module.state_dict()
    assert len(imported) == 2 * DEPTH
    assert all(shared(conversion, tensor.numpy()) for tensor in imported.values())
    assert all(shared(conversion, array) for array in conversion.artifacts[Extraction].state.values())


def test_what_is_handed_out_is_not_keras_memory(model: keras.Model) -> None:
    conversion = converted(model, Tower())
    given = [*conversion.state_dict.values(), *conversion.imported.state_dict().values()]
    assert not any(shared(conversion, tensor.numpy()) for tensor in given)
    assert all(tensor.is_contiguous() for tensor in given)
    alone = converted(model, None)
    own = [*alone.imported.state_dict().values(), *alone.state_dict.values()]
    assert alone.imported is alone.artifacts[ImportedModule].module
    assert not any(shared(alone, tensor.numpy()) for tensor in own)


def held_at_most(monkeypatch: pytest.MonkeyPatch, model: keras.Model, module: nn.Module) -> float:
    """The most bytes of arrays made by recipes that are there at one time, in weights of the model."""
    held, most = 0, 0
    apply = Recipe.apply

    def counted(recipe: Recipe, variables: dict[str, np.ndarray]) -> np.ndarray:
        nonlocal held, most
        made = apply(recipe, variables)
        if any(np.shares_memory(made, variables[variable.path]) for variable in recipe.variables):
            return made

        def gone(size: int = made.nbytes) -> None:
            nonlocal held
            held -= size

        held += made.nbytes
        most = max(most, held)
        weakref.finalize(made, gone)
        return made

    with monkeypatch.context() as patch:
        patch.setattr(Recipe, "apply", counted)
        assert converted(model, module).verified
    return most / sum(np.asarray(variable).nbytes for variable in model.weights)


def test_no_stage_holds_all_weights_again(monkeypatch: pytest.MonkeyPatch, model: keras.Model) -> None:
    monkeypatch.setattr(states, "COPIED_BYTES", 0)
    monkeypatch.setattr(onnx_run, "WEIGHT_BYTES", WIDTH * WIDTH * 4)
    assert held_at_most(monkeypatch, model, Tower()) == 0
    monkeypatch.setattr(onnx_run, "WEIGHT_BYTES", 2**30)  # and what the count sees where a stage does
    assert held_at_most(monkeypatch, model, Tower()) > 0.9


@pytest.mark.parametrize("module", [Tower, Viewing, Striding])
def test_a_module_is_verified_on_shared_memory_however_it_looks_at_its_weights(
    monkeypatch: pytest.MonkeyPatch, model: keras.Model, module: type[nn.Module]
) -> None:
    monkeypatch.setattr(states, "COPIED_BYTES", 0)
    contiguous = []
    exact = torch.Tensor.contiguous
    monkeypatch.setattr(torch.Tensor, "contiguous", lambda tensor: contiguous.append(tensor) or exact(tensor))
    conversion = converted(model, module())
    assert conversion.verified, conversion.findings
    assert bool(contiguous) == (module is not Tower)


def test_on_shared_memory_too_a_wrong_weight_is_seen(monkeypatch: pytest.MonkeyPatch, model: keras.Model) -> None:
    monkeypatch.setattr(states, "COPIED_BYTES", 0)
    conversion = converted(model, Tower())
    extraction = conversion.artifacts[Extraction]
    wrong = {**extraction.state, "layers.2.weight": extraction.state["layers.2.weight"] * np.float32(1.01)}
    conversion.artifacts.add(replace(extraction, state=wrong))
    stage = torchgraft.stages.compare.Compare()
    assert not stage.run(conversion.artifacts, torchgraft.stages.base.Silent()).verified


def test_load_into_does_what_load_state_dict_does(model: keras.Model) -> None:
    conversion = converted(model, Tower())
    ours, theirs = Tower(), Tower()
    conversion.load_into(ours)
    theirs.load_state_dict(conversion.state_dict, strict=True)
    for key, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], tensor)
        assert not shared(conversion, ours.state_dict()[key].numpy())


def test_load_into_refuses_another_module_and_changes_nothing(model: keras.Model) -> None:
    conversion = converted(model, Tower())
    module = Tower()
    module.layers[-1] = nn.Linear(WIDTH, WIDTH + 1)
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    with pytest.raises(UsageError, match=r"2 keys do not fit[\s\S]*layers\.5"):
        conversion.load_into(module)
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())


def test_where_the_module_is_nobody_elses_the_state_dict_is_its_own_tensors(model: keras.Model) -> None:
    conversion = converted(model, Tower())
    module = conversion.job.module
    assert not any(
        tensor.data_ptr() == held.data_ptr()
        for tensor, held in zip(conversion.state_dict.values(), module.state_dict().values(), strict=True)
    )
    owner = replace(conversion, owns_module=True)
    for key, tensor in owner.state_dict.items():
        assert tensor.data_ptr() == module.state_dict()[key].data_ptr()
        assert torch.equal(tensor, conversion.state_dict[key])
