"""What a caller states of the mapping, and what a conversion leaves untouched."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from keras_models import randomised
from ruamel.yaml import YAML
from torch import nn
from torchgraft import Conversion, DifferenceError, UsageError, convert
from torchgraft.pipeline.explain import explain
from torchgraft.pipeline.summary import summary_of, text_of


def model():
    import keras
    from keras import layers

    rows = [
        layers.Dense(5, activation="relu", name="hidden"),
        layers.Dense(5, name="code"),
        layers.Dense(3, name="out"),
    ]
    return randomised(keras.Sequential([keras.Input((6,), name="x"), *rows]))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(self.b(torch.relu(self.a(x))))


@pytest.fixture(scope="module")
def keras_model():
    return model()


@pytest.fixture(scope="module")
def conversion(keras_model) -> Conversion:
    return convert(keras_model, Net(), samples=4)


def test_hints_that_agree_change_nothing(keras_model, conversion):
    for hints in ({"a": "hidden", "b.weight": "code/kernel"}, conversion.plan):
        again = convert(keras_model, Net(), samples=4, hints=hints)
        assert again.verified
        assert again.plan == conversion.plan
        assert again.partial == ""


def test_the_plan_of_an_earlier_run_is_read_from_its_file(keras_model, conversion, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    conversion.plan.save(tmp_path / "plan.json")
    assert convert(keras_model, Net(), samples=4, hints={"plan": "plan.json"}).verified
    with pytest.raises(UsageError, match=r"nowhere\.json: No such file") as caught:
        convert(keras_model, Net(), samples=4, hints={"plan": "nowhere.json"})
    assert caught.value.where == "hints['plan']"


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"hints": ["a"]}, "received ['a']"),
        ({"hints": {"a": 3}}, "give a torchgraft.Plan, or a dict"),
        ({"hints": {"aa": "hidden"}}, "hints['aa']: the module has no key and no path aa"),
        ({"hints": {"a": "hiden"}}, "the nearest are hidden"),
        ({"allow_unmatched": "head.*"}, "give a list of patterns"),
        ({"allow_unmatched": ["head.*"]}, "the module has no key head.*"),
    ],
)
def test_what_is_stated_wrongly_is_a_usage_error_before_any_work(keras_model, stated, words):
    with pytest.raises(UsageError) as caught:
        convert(keras_model, Net(), samples=4, **stated)
    assert words in str(caught.value)
    assert "In stage" not in str(caught.value)


def test_without_a_module_there_is_nothing_to_state(keras_model):
    with pytest.raises(UsageError, match="none is given"):
        convert(keras_model, hints={"a": "hidden"})


def test_layers_of_ones_own_are_in_the_state_dict_and_not_in_what_the_plan_makes(keras_model):
    class NewHead(Net):
        def __init__(self) -> None:
            super().__init__()
            self.c = nn.Linear(5, 9)

    module = NewHead()
    conversion = convert(keras_model, module, samples=4, allow_unmatched=["c"])
    assert conversion.verified, text_of(summary_of(conversion, "new head"))
    assert "2 keys keep the module's own values (c.weight, c.bias)" in conversion.partial
    assert torch.equal(conversion.state_dict["c.weight"], module.c.weight)
    assert set(conversion.plan.recipes) == {"a.weight", "a.bias", "b.weight", "b.bias"}
    NewHead().load_state_dict(conversion.state_dict, strict=True)


class Departs(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(self.b(torch.tanh(self.a(x))))


def test_a_conversion_that_is_not_verified_is_saved_on_request_and_explained(keras_model, tmp_path):
    departed = convert(keras_model, Departs(), samples=4)
    with pytest.raises(DifferenceError):
        departed.save(tmp_path / "run")
    with pytest.raises(UsageError, match="no such folder"):
        explain(tmp_path / "run", "b.weight")
    departed.save(tmp_path / "run", allow_unverified=True)
    told = explain(tmp_path / "run", "b.weight")
    assert "Evidence: structure" in told
    assert "what it reads is not what Keras layer code reads" in told


def test_the_lines_that_are_printed_of_a_backbone_state_it(keras_model):
    class Backbone(Net):
        def __init__(self) -> None:
            super().__init__()
            del self.c

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(torch.relu(self.a(x)))

    found = convert(keras_model, Backbone(), samples=4)
    assert [finding.severity for finding in found.findings] == ["warning"]
    lines = YAML(typ="safe").load("\n".join(summary_of(found, "backbone").fit))["fit"]
    assert lines["outputs"] == {"output": {"value": "code"}}
    again = convert(keras_model, Backbone(), samples=4, fit=lines)
    assert again.verified
    assert [finding.severity for finding in again.findings] == ["note"]


class Untraceable(Net):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.a(x)
        if float(x.detach().sum()) < 1e9:
            x = torch.from_numpy(np.maximum(x.detach().numpy(), 0))
        return self.c(self.b(x))


@pytest.mark.parametrize("kind", [Untraceable, lambda: torch.jit.script(Net())], ids=["branches, numpy", "torchscript"])
def test_what_cannot_be_traced_is_converted_by_a_recorded_run(keras_model, conversion, kind):
    again = convert(keras_model, kind(), samples=4)
    assert again.verified, text_of(summary_of(again, "untraceable"))
    assert again.plan == conversion.plan


@pytest.mark.parametrize("kind", [Net, Untraceable])
def test_a_conversion_leaves_the_module_and_the_generators_as_they_were(keras_model, kind):
    module = kind().train()
    module.a.weight.requires_grad_(False)
    module.b.bias.grad = torch.ones(5)
    seen: list[int] = []
    module.c.register_forward_hook(lambda *_: seen.append(1) and None)

    def snapshot() -> dict[str, object]:
        return {
            "state": {key: tensor.clone() for key, tensor in module.state_dict().items()},
            "gradients": [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in module.parameters()],
            "hooks": [(len(child._forward_hooks), len(child._forward_pre_hooks)) for child in module.modules()],
            "training": [child.training for child in module.modules()],
            "generators": (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()),
        }

    before = snapshot()
    assert convert(keras_model, module, samples=4).verified
    torch.testing.assert_close(snapshot(), before, rtol=0, atol=0)
