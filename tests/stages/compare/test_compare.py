"""Stage 6: what agrees, what does not, and what was not compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch_pairs import artifacts, images, randomized
from torchgraft.stages.base import Artifacts, Comparison, Extraction, Job, NormalizedGraph, Run, Silent, Verification
from torchgraft.stages.compare import Compare
from torchgraft.stages.compare.accuracy import accuracy
from torchgraft.stages.extract import Extract


def reference() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8, eps=1e-3), nn.Tanh(), nn.Linear(8, 3))


def verified_run(model: nn.Module, found: Artifacts) -> Run:
    """What a runtime that agrees with ``model`` would have given, by hooks on its layers."""
    job = found[Job]
    layers: dict[str, np.ndarray] = {}
    hooks = [
        child.register_forward_hook(lambda _m, _i, out, name=name: layers.__setitem__(name, out.numpy()))
        for name, child in model.named_children()
    ]
    ports = found[NormalizedGraph].inputs
    with torch.no_grad():
        model(*(torch.from_numpy(port.from_keras(job.inputs[port.name][: job.probe_samples])) for port in ports))
        for hook in hooks:
            hook.remove()
        whole = model(*(torch.from_numpy(port.from_keras(job.inputs[port.name])) for port in ports))
    return Run({"output0": whole.numpy()}, layers)


def compare(module: nn.Module, samples: int = 7, **changes: object) -> Comparison:
    """The comparison of ``module`` with the reference; ``changes`` are made to the Keras side's Run or to the state."""
    model = randomized(reference())
    found = artifacts(model, module, {"x": images(samples, 6)})
    found.add(replace(found[Job], labels=changes.pop("labels", None)))
    keras = verified_run(model, found)
    run = replace(keras, **{name: value for name, value in changes.items() if name in ("outputs", "layers")})
    found.add(Verification(run, keras, keras, ()))
    extraction = Extract().run(found, Silent())
    if "flip" in changes:
        state = {**extraction.state, changes["flip"]: np.flip(extraction.state[changes["flip"]], 0).copy()}
        extraction = replace(extraction, state=state)
    found.add(extraction)
    return Compare().run(found, Silent())


def test_a_module_that_is_right_is_verified_in_every_layer_and_for_every_pair_of_runtimes() -> None:
    comparison = compare(reference())
    assert comparison.verified
    assert comparison.first_difference is None
    assert {row.name for row in comparison.layers} == {"0", "1", "2", "3"}
    assert {row.runtimes for row in (*comparison.layers, *comparison.outputs)} == {
        ("onnxruntime", "keras"),
        ("torch", "keras"),
        ("torch", "onnxruntime"),
    }
    assert not comparison.not_compared


@pytest.mark.parametrize(("key", "first"), [("0.weight", "0"), ("1.running_var", "1"), ("3.bias", "3")])
def test_a_corrupted_tensor_is_found_at_its_layer(key: str, first: str) -> None:
    comparison = compare(reference(), flip=key)
    assert not comparison.verified
    assert comparison.first_difference is not None
    assert comparison.first_difference.name == first


def test_a_wrong_epsilon_is_an_error_where_it_shows() -> None:
    module = reference()
    module[1].eps = 1e-5
    comparison = compare(module)
    assert not comparison.verified
    assert [finding.severity for finding in comparison.findings] == ["error"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_inf_are_never_a_match_on_either_side(value: float) -> None:
    broken = np.full((7, 3), value, dtype="float32")
    assert not compare(reference(), outputs={"output0": broken}).verified

    class Broken(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * value

    both = compare(Broken(*reference()), outputs={"output0": broken})
    assert not both.verified
    assert both.first_difference is not None


def test_a_layer_that_the_module_does_not_compute_is_reported_as_not_compared() -> None:
    class Departs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(6, 8), nn.BatchNorm1d(8, eps=1e-3), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.c(torch.relu(self.b(self.a(x))))

    comparison = compare(Departs())
    assert not comparison.verified
    assert list(comparison.not_compared) == ["2"]
    assert "computes no value" in comparison.not_compared["2"]


def test_layers_are_compared_on_the_samples_that_stage_3_kept() -> None:
    model = randomized(reference())
    found = artifacts(model, reference(), {"x": images(5, 6)})
    run = verified_run(model, found)
    one = replace(run, layers={name: array[:1] for name, array in run.layers.items()})
    found.add(Verification(one, run, one, ()))
    found.add(Extract().run(found, Silent()))
    assert Compare().run(found, Silent()).verified


def test_a_layer_that_one_runtime_lacks_is_reported_as_not_compared() -> None:
    model = randomized(reference())
    found = artifacts(model, reference(), {"x": images(5, 6)})
    run = verified_run(model, found)
    found.add(Verification(run, run, replace(run, layers={k: a for k, a in run.layers.items() if k != "1"}), ()))
    found.add(Extract().run(found, Silent()))
    assert Compare().run(found, Silent()).not_compared == {"1": "it has no value in onnxruntime"}


def test_a_module_that_reshapes_its_output_is_run_in_whole_batches() -> None:
    class Reshapes(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).reshape(-1, 1, 3)

    comparison = compare(Reshapes(*reference()), samples=8)  # 8 samples in batches of 3: the last one is filled up
    assert comparison.verified


def test_accuracy_is_that_of_each_runtime() -> None:
    model = randomized(reference())
    x = images(7, 6)
    with torch.no_grad():
        labels = model(torch.from_numpy(x)).argmax(1).numpy()
    assert compare(reference(), labels=labels).accuracy == {"keras": 1.0, "onnxruntime": 1.0, "torch": 1.0}
    wrong = compare(reference(), labels=labels, flip="3.weight").accuracy
    assert wrong["keras"] == 1.0
    assert wrong["torch"] < 1.0


def test_accuracy_takes_classes_one_hot_labels_and_a_single_probability() -> None:
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    labels = np.array([1, 1, 1])
    assert accuracy(scores, labels) == pytest.approx(2 / 3)
    assert accuracy(scores, np.eye(2)[labels]) == pytest.approx(2 / 3)
    assert accuracy(scores[:, 1:], labels) == pytest.approx(2 / 3)


def test_the_extraction_is_left_as_it_was() -> None:
    model = randomized(reference())
    module = reference().train()
    found = artifacts(model, module, {"x": images(5, 6)})
    run = verified_run(model, found)
    found.add(Verification(run, run, run, ()))
    found.add(Extract().run(found, Silent()))
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    state = {key: array.copy() for key, array in found[Extraction].state.items()}
    Compare().run(found, Silent())
    assert module.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())
    assert all(np.array_equal(array, state[key]) for key, array in found[Extraction].state.items())
