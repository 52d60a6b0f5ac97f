"""Layers that are called more than once, keys that are one tensor, and tensors that Keras does not have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch_pairs import extract, images, randomized
from torchgraft.stages.errors import MappingError


def test_a_layer_called_twice_is_one_tensor_twice() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(6, 6)
            self.again = nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.first(self.again(self.first(x).tanh()).relu())

    reference, module = randomized(Twice()), Twice()
    extraction = extract(reference, module, x=images(4, 6))
    assert str(extraction.plan["first.weight"]) == "first/weight"
    assert str(extraction.plan["again.weight"]) == "again/weight"

    class Apart(Twice):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.again(self.first(x).tanh()).relu())

    assert str(extract(reference, Apart(), x=images(4, 6)).plan["last.weight"]) == "first/weight"
    with pytest.raises(MappingError, match=r"of 6 keys|of 6 Keras") as failure:
        extract(randomized(Apart()), Twice(), x=images(4, 6))
    assert "last/weight" in str(failure.value)


def test_tied_keys_share_one_recipe() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(11, 6)
            self.out = nn.Linear(6, 11, bias=False)
            self.out.weight = self.table.weight

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.out(self.table(ids).tanh())

    ids = np.arange(20, dtype="int32").reshape(4, 5) % 11
    plan = extract(randomized(Tied()), Tied(), ids=ids).plan
    assert plan.ties == (("table.weight", "out.weight"),)
    assert plan["table.weight"].equals(plan["out.weight"])

    class Untied(Tied):
        def __init__(self) -> None:
            super().__init__()
            self.out.weight = nn.Parameter(torch.zeros(11, 6))

    with pytest.raises(MappingError, match="is used twice, as table/weight and as out/weight"):
        extract(randomized(Untied()), Tied(), ids=ids)


class Siamese(nn.Module):
    """One encoder on two inputs; its code is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 6))
        self.a, self.b = nn.Linear(6, 2), nn.Linear(6, 3)


class CallsOnce(Siamese):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        code = self.encoder(x)
        return self.a(code), self.b(code)


class CallsTwice(Siamese):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.a(self.encoder(x)), self.b(self.encoder(x))


@pytest.mark.parametrize(("theirs", "ours"), [(CallsOnce, CallsTwice), (CallsTwice, CallsOnce)])
def test_a_shared_layer_may_be_called_more_often_on_one_side(theirs: type[Siamese], ours: type[Siamese]) -> None:
    extraction = extract(randomized(theirs()), ours(), x=images(4, 8))
    assert not extraction.findings
    assert not extraction.unaligned
    assert {key: str(recipe) for key, recipe in extraction.plan.recipes.items()} == {
        key: key.replace(".", "/") for key in ours().state_dict()
    }


def test_what_keras_does_not_store_is_a_stated_constant() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(3, 4, 3, bias=False)
            self.norm = nn.GroupNorm(2, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.conv(x))

    class WithBias(Bare):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(3, 4, 3)

    plan = extract(randomized(Bare()), WithBias(), x=images(3, 9, 3)).plan
    assert str(plan["conv.bias"]) == "fill(0)"
    assert "Keras has no bias" in plan["conv.bias"].evidence[0]
    with pytest.raises(MappingError, match="conv has no bias"):
        extract(randomized(WithBias()), Bare(), x=images(3, 9, 3))


def test_a_constant_buffer_of_the_modules_own_keeps_its_value_and_is_reported() -> None:
    class Subtracts(nn.Module):
        def __init__(self, own: bool) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 5)
            self.own = own
            if own:
                self.register_buffer("shift", torch.full((6,), 0.5))
                self.register_buffer("unread", torch.arange(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(x - (self.shift if self.own else 0.5))

    extraction = extract(randomized(Subtracts(False)), Subtracts(True), x=images(4, 6))
    assert {left.name for left in extraction.plan.unmatched} == {"shift", "unread"}
    assert not extraction.findings
    wrong = Subtracts(True)
    wrong.shift += 1
    assert any(f.severity == "error" for f in extract(randomized(Subtracts(False)), wrong, x=images(4, 6)).findings)


def test_a_running_mean_without_a_counterpart_is_a_fault() -> None:
    module = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, affine=False))
    with pytest.raises(MappingError, match="running_mean"):
        extract(nn.Sequential(nn.Linear(6, 5)), module, x=images(4, 6))
