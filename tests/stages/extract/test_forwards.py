"""Forwards that branch, draw, count, write or fail: run again, refused with what to do, and left as they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch_pairs import assert_grafted, extract, images, randomized
from torchgraft.stages.errors import DifferenceError, MappingError, UnsupportedError


class Counting(nn.Module):
    """Counts its calls, writes to a buffer, and branches on data."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.calls = nn.Linear(6, 5), nn.Linear(5, 4), 0
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.seen += 1
        x = self.a(x)
        if float(x.sum().detach()) > 1e9:
            x = x * 2
        return self.b(torch.relu(x))


def test_a_forward_that_branches_on_data_is_read_and_left_as_it_was() -> None:
    reference = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
    module = Counting().train()
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    extraction = extract(randomized(reference), module, x=images(4, 6))
    assert extraction.reading.how == "a recorded path"
    assert str(extraction.plan["b.weight"]) == "2/weight"
    assert module.training
    assert (module.calls, float(module.seen)) == (0, 0.0)
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())
    assert not any(child._forward_hooks for child in module.modules())


def test_a_parameter_that_a_branching_forward_reads_itself_is_placed() -> None:
    class Own(Counting):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * self.gain

    class Gained(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.scale = nn.Linear(6, 5), nn.Linear(5, 4), nn.Parameter(torch.ones(4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.a(x).relu()) * self.scale

    plan = extract(randomized(Gained()), Own(), x=images(4, 6)).plan
    assert {key: str(recipe) for key, recipe in plan.recipes.items()} == {
        "gain": "scale",
        **{key: key.replace(".", "/") for key in ("a.weight", "a.bias", "b.weight", "b.bias")},
    }


def test_a_module_that_cannot_be_read_is_refused_with_what_to_do() -> None:
    class Graduates(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                x = x.clone().requires_grad_()
                return torch.autograd.grad(self.a(x).square().sum(), x)[0]

    with pytest.raises(UnsupportedError, match="without autograd") as failure:
        extract(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)), Graduates(), x=images(4, 6))
    assert failure.value.exit_code == 5
    assert "does not require grad" in str(failure.value)


def test_a_forward_that_draws_random_numbers_is_refused() -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(x) + torch.rand(5)

    with pytest.raises(DifferenceError, match="not deterministic"):
        extract(nn.Sequential(nn.Linear(6, 5)), Noisy(), x=images(4, 6))


def test_a_forward_that_fails_says_on_what() -> None:
    with pytest.raises(MappingError, match=r"forward fails on inputs of shape \(3, 6\)"):
        extract(nn.Sequential(nn.Linear(6, 5)), nn.Sequential(nn.Linear(7, 5)), x=images(4, 6))


def test_a_forward_that_changes_what_it_computes_with_is_refused() -> None:
    class Drifts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(6, 5)
            self.register_buffer("shift", torch.zeros(5), persistent=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.shift += 1
            return self.a(x) + self.shift

    with pytest.raises(DifferenceError, match="not deterministic"):
        extract(nn.Sequential(nn.Linear(6, 5)), Drifts(), x=images(4, 6))


@pytest.mark.parametrize("raises", ["raise ValueError('no')", "import sys; sys.exit(3)", "assert False"])
def test_what_a_forward_raises_is_told_with_its_line(tmp_path: Path, raises: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(f"def forward(x):\n    {raises}\n", encoding="utf-8")
    namespace: dict[str, Any] = {}
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), namespace)

    class Fails(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = namespace["forward"](x)
            return made

    with pytest.raises(MappingError, match=r"mine\.py:2") as failure:
        extract(nn.Sequential(nn.Linear(6, 5)), Fails(6, 5), x=images(4, 6))
    assert failure.value.exit_code == 6


def test_a_counting_buffer_of_the_users_is_left_as_it_was() -> None:
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 5)
            self.register_buffer("calls", torch.zeros(()), persistent=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return self.fc(x)

    module = Counts()
    extract(nn.Sequential(nn.Linear(6, 5)), module, x=images(4, 6))
    assert float(module.calls) == 0


class Branches(nn.Module):
    """Two branches of one shape and four gates: what follows tells them apart."""

    def __init__(self, called: str = "pq", gates: str = "abcd", check: str = "") -> None:
        super().__init__()
        self.called, self.gates, self.check = called, gates, check
        self.branches = nn.ModuleList(nn.Linear(6, 8) for _ in called)
        self.out = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = {name: self.branches[position](x) for position, name in enumerate(self.called)}
        x = made["p"].relu() + made["q"].tanh()
        if self.check == "decides":
            assert not np.isnan(x.detach().numpy()).any()
        if self.check == "comes back":
            x = torch.from_numpy(x.detach().numpy() * 1.0)
        part = {name: x[:, 2 * position : 2 * position + 2] for position, name in enumerate(self.gates)}
        return self.out(torch.cat([part["a"] * part["b"].sigmoid(), part["c"] - part["d"].exp()], 1))


def test_choices_are_taken_back_in_a_module_that_checks_its_values() -> None:
    assert_grafted(randomized(Branches()), Branches("qp", "dabc", "decides"), x=images(4, 6))


def test_a_module_that_can_only_be_run_as_a_whole_is_said_to_be_one_where_it_departs() -> None:
    extraction = extract(randomized(Branches()), Branches("qp", "dabc", "comes back"), x=images(4, 6))
    assert any(finding.severity == "error" for finding in extraction.findings)
    (told,) = (finding for finding in extraction.findings if "come back" in finding.cause)
    assert "Tensor.numpy" in told.cause
    assert "hints" in told.fix
    whole = extract(randomized(Branches()), Branches(check="comes back"), x=images(4, 6))
    assert not [finding for finding in whole.findings if "come back" in finding.cause]
