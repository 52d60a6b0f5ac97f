"""What the module gives for each Keras output: found by values, applied, and never where a fault would hide."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import nn
from torch_pairs import artifacts, extract, images, randomized
from torchgraft.stages.base import Extraction, Job, Silent
from torchgraft.stages.extract import Extract
from torchgraft.stages.fit import Fit, OutputFit

X = images(4, 6)


def classifier(*last: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 5), *last)


class Scales(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 255.0 - 1.0


class Returns(nn.Module):
    """A classifier that returns its logits as ``make`` says."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.net, self.make = classifier(), make

    def forward(self, x: torch.Tensor) -> Any:
        return self.make(self.net(x), self.net[0](x))


@dataclass
class Result:
    logits: torch.Tensor
    hidden: tuple[torch.Tensor, ...] | None = None


def fits(extraction: Extraction) -> dict[str, OutputFit]:
    return dict(extraction.fit.outputs)


def severities(extraction: Extraction) -> list[str]:
    return [finding.severity for finding in extraction.findings]


@pytest.mark.parametrize(
    ("last", "name"),
    [
        (nn.Softmax(-1), "softmax"),
        (nn.Sigmoid(), "sigmoid"),
        (nn.Tanh(), "tanh"),
        (nn.LogSoftmax(-1), "log_softmax"),
        (nn.ReLU(), "relu"),
        (nn.Softplus(), "softplus"),
        (nn.GELU(), "gelu"),
    ],
)
def test_an_activation_that_keras_ends_in_and_the_module_does_not_is_found(last: nn.Module, name: str) -> None:
    extraction = extract(randomized(classifier(last)), classifier(), x=X)
    assert fits(extraction)["output0"].activation == name
    assert severities(extraction) == ["note"]
    assert f"before {name}" in extraction.findings[0].cause


@pytest.mark.parametrize(("last", "name"), [(nn.Softmax(-1), "softmax"), (nn.Sigmoid(), "sigmoid")])
def test_an_activation_that_the_module_ends_in_and_keras_does_not_is_found(last: nn.Module, name: str) -> None:
    extraction = extract(randomized(classifier()), classifier(last), x=X)
    assert fits(extraction)["output0"] == OutputFit("", keras_activation=name)
    assert severities(extraction) == ["note"]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (nn.Softmax(-1), nn.Sigmoid()),
        (nn.Sigmoid(), nn.Tanh()),
        (nn.ReLU(), nn.ReLU6()),  # equal on small values
        (nn.Softmax(-1), nn.Softmax(0)),
    ],
)
def test_another_activation_is_an_error_and_no_fit(theirs: nn.Module, ours: nn.Module) -> None:
    extraction = extract(randomized(classifier(theirs)), classifier(ours), x=X)
    assert "error" in severities(extraction)
    assert fits(extraction)["output0"].activation is None


def test_a_cutting_activation_at_the_end_of_the_module_alone_is_an_error() -> None:
    assert "error" in severities(extract(randomized(classifier()), classifier(nn.ReLU()), x=X))


def test_what_follows_a_keras_layer_without_a_weight_is_left_to_keras() -> None:
    extraction = extract(randomized(classifier(Scales())), classifier(), x=X)
    assert fits(extraction)["output0"] == OutputFit("", value="2")
    assert severities(extraction) == ["note"]
    assert "error" in severities(extract(randomized(classifier(Scales())), classifier(nn.Tanh()), x=X))


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda logits, hidden: logits, ""),
        (lambda logits, hidden: {"hidden": hidden, "loss": None, "logits": logits}, "logits"),
        (lambda logits, hidden: (None, [hidden, logits]), "1.1"),
        (lambda logits, hidden: Result(logits, (hidden,)), "logits"),
        (lambda logits, hidden: Result(hidden, (logits,)), "hidden.0"),
    ],
)
@pytest.mark.parametrize("last", [None, nn.Softmax(-1)], ids=["logits", "softmax"])
def test_the_output_is_found_in_whatever_forward_returns(make: Any, place: str, last: nn.Module | None) -> None:
    extraction = extract(randomized(classifier(*([last] if last else []))), Returns(make), x=X)
    assert fits(extraction)["output0"].place == place
    assert fits(extraction)["output0"].activation == ("softmax" if last else None)
    assert "error" not in severities(extraction)


@pytest.mark.parametrize(
    ("turn", "layout"),
    [
        (lambda y: y, "n c h w -> n h w c"),
        (lambda y: y.permute(0, 2, 3, 1), "n h w c -> n h w c"),
        (lambda y: y.flatten(2).mT, "n (h w) c -> n h w c"),
        (lambda y: y.flatten(1), "n (c h w) -> n h w c"),
    ],
)
def test_the_layout_of_a_map_is_found(turn: Any, layout: str) -> None:
    class Turned(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return turn(super().forward(x))

    reference = randomized(nn.Sequential(nn.Conv2d(3, 4, 3)))
    extraction = extract(reference, Turned(nn.Conv2d(3, 4, 3)), x=images(3, 7, 6, 3))
    assert fits(extraction)["output0"].layout == layout
    assert not extraction.findings


@pytest.mark.parametrize("turn", [lambda y: y.mT, lambda y: y.flip(1), lambda y: y.flatten(2).mT.flip(1)])
def test_another_order_is_an_error(turn: Any) -> None:
    class Turned(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return turn(super().forward(x))

    reference = randomized(nn.Sequential(nn.Conv2d(3, 4, 3)))
    assert "error" in severities(extract(reference, Turned(nn.Conv2d(3, 4, 3)), x=images(3, 7, 7, 3)))


@pytest.mark.parametrize("turn", [lambda y: y[:, 0], lambda y: y[..., None], lambda y: y[:, None]])
def test_an_axis_of_length_one_may_be_there_or_not(turn: Any) -> None:
    class Turned(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return turn(super().forward(x))

    extraction = extract(randomized(nn.Sequential(nn.Linear(6, 1))), Turned(nn.Linear(6, 1)), x=X)
    assert not extraction.findings


def test_one_tensor_may_be_two_outputs_of_keras_with_an_activation_between() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = classifier()

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits = self.net(x)
            return logits, logits.softmax(-1)

    extraction = extract(randomized(Both()), classifier(), x=X)
    assert fits(extraction) == {"output0": OutputFit(""), "output1": OutputFit("", activation="softmax")}


def stated(reference: nn.Module, module: nn.Module, **outputs: OutputFit) -> Extraction:
    found = artifacts(randomized(reference), module, {"x": X})
    found.add(replace(found[Job], fit=Fit(outputs=outputs)))
    return Extract().run(found, Silent())


def test_a_stated_fit_that_holds_is_taken() -> None:
    makes = {"a": lambda y: y, "b": lambda y: y.clone()}
    module = Returns(lambda logits, hidden: {name: make(logits) for name, make in makes.items()})
    extraction = stated(classifier(nn.Softmax(-1)), module, output0=OutputFit("b", activation="softmax"))
    assert fits(extraction)["output0"] == OutputFit("b", activation="softmax")
    assert severities(extraction) == ["note"]


@pytest.mark.parametrize("wrong", [OutputFit(activation="sigmoid"), OutputFit(activation="linear"), OutputFit("0")])
def test_a_stated_fit_that_does_not_hold_is_contradicted_with_what_does(wrong: OutputFit) -> None:
    module = Returns(lambda logits, hidden: (hidden, logits))
    extraction = stated(classifier(nn.Softmax(-1)), module, output0=wrong)
    (finding,) = [finding for finding in extraction.findings if finding.severity == "error"]
    assert "config states" in finding.cause
    assert "activation: softmax" in finding.fix
