"""A forward of any kind, as one that takes tensors and gives tensors."""

from __future__ import annotations

import copy
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import fx, nn
from torchgraft.stages.torch_graph import Call, adapted, outputs_by_place, read, working_copy

A, B = torch.arange(6.0).reshape(2, 3), torch.ones(2, 3)
Pair = namedtuple("Pair", "first second")


@dataclass
class Result:
    logits: torch.Tensor
    extra: Any = None


class Takes(nn.Module):
    """Weights of one's own, so that a copy can be told from the original."""

    def __init__(self, forward: Any) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((3,), 2.0))
        self.run = forward


class Positional(Takes):
    def forward(self, a, b):
        return self.run(a * self.scale, b)


class Keywords(Takes):
    def forward(self, a=None, *, b=None, flag=True):
        return self.run(a * self.scale, b if flag else b * 100)


class Variadic(Takes):
    def forward(self, *tensors):
        return self.run(tensors[0] * self.scale, tensors[1])


class Container(Takes):
    def forward(self, inputs):
        first, second = inputs.values() if isinstance(inputs, dict) else inputs
        return self.run(first * self.scale, second)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (Positional, ("a", "b")),
        (Keywords, ("a", "b")),
        (Variadic, ("tensors.0", "tensors.1")),
        (Container, ("inputs.a", "inputs.b")),
        (Container, ("inputs.0", "inputs.1")),
    ],
)
def test_arguments_of_every_kind_are_given(kind: type[Takes], arguments: tuple[str, ...]) -> None:
    module = adapted(kind(torch.sub), Call(arguments))
    assert torch.equal(outputs_by_place(module, [A, B])[""], A * 2 - B)


def test_options_are_passed() -> None:
    module = adapted(Keywords(torch.sub), Call(("a", "b"), {"flag": False}))
    assert torch.equal(outputs_by_place(module, [A, B])[""], A * 2 - 100)


@pytest.mark.parametrize(
    ("make", "places"),
    [
        (lambda a, b: a, [""]),
        (lambda a, b: (a, b), ["0", "1"]),
        (lambda a, b: [a, None, [b]], ["0", "2.0"]),
        (lambda a, b: {"logits": a, "loss": None, "aux": (b,)}, ["logits", "aux.0"]),
        (Pair, ["first", "second"]),
        (lambda a, b: Result(a, {"x": b}), ["logits", "extra.x"]),
        (lambda a, b: Result(a, object()), ["logits"]),
    ],
)
def test_results_of_every_kind_are_found_under_their_places(make: Any, places: list[str]) -> None:
    module = adapted(Positional(make), Call(("a", "b")))
    assert list(outputs_by_place(module, [A, B])) == places


def test_an_adapted_module_is_read_as_a_graph_whatever_it_returns() -> None:
    module = adapted(Positional(lambda a, b: Result(a + b, {"x": None, "y": b * 2})), Call(("a", "b")))
    reading = read(module, [A, B])
    assert reading.how == "a recorded graph"
    assert {place for place in reading.places.values() if place.startswith("input ")} == {"input a", "input b"}
    sums, doubled = reading.run([A, B], module.state_dict())
    assert torch.equal(sums, A * 2 + B)
    assert torch.equal(doubled, B * 2)


@pytest.mark.parametrize("again", [copy.deepcopy, working_copy])
def test_a_copy_of_an_adapted_module_calls_itself(again: Any) -> None:
    module = adapted(Positional(torch.sub), Call(("a", "b")))
    twin = again(module)
    with torch.no_grad():
        twin.scale.copy_(torch.full((3,), 5.0)) if again is copy.deepcopy else None
        twin.scale = nn.Parameter(torch.full((3,), 5.0))
    assert torch.equal(outputs_by_place(twin, [A, B])[""], A * 5 - B)
    assert torch.equal(outputs_by_place(module, [A, B])[""], A * 2 - B)


def test_a_graph_module_keeps_its_call_when_it_is_copied() -> None:
    class Plain(nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"out": a - b}

    module = adapted(fx.symbolic_trace(Plain()), Call(("b", "a")))
    assert torch.equal(outputs_by_place(working_copy(module), [A, B])["out"], B - A)
