"""A module whose calls depend on values: its path, or a run as a whole; and that the user's is left as it was."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.export.graph_signature import InputKind
from torch.nn import functional
from torch_pairs import randomized
from torchgraft.stages.errors import DifferenceError, MappingError, UnsupportedError
from torchgraft.stages.torch_graph import OpCall, Reading, read, working_copy
from torchgraft.stages.torch_graph.graph import GraphParts, read_graph


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 4)
        self.gain = nn.Parameter(torch.ones(5))


class BranchesOnData(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.a(x)
        return self.b(torch.relu(x) if bool((x.sum() > 0).detach()) else x * 2) * 1.0


class TakesItem(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        largest = x.abs().max().item()
        return self.b(self.a(x) / (largest if largest > 0 else 1.0))


class UsesNumpy(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.from_numpy(np.tanh(self.a(x).detach().numpy())))


class Loops(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = [self.a(row) * self.gain for row in x if float(row.detach().sum()) > -1e9]
        return self.b(torch.stack(rows))


class Lists(Base):
    """Its weights stand in a list, too: what is read must be the tensors of the state that is run."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = [self.a.weight, self.a.bias]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.linear(x, *self.weights)
        return self.b(x * (1 if float(x.detach().sum()) < 1e9 else 2))


class WritesInPlace(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.a(x)
        seen = x
        x *= self.gain
        x.relu_()
        return self.b(seen if float(x.detach().sum()) < 1e9 else x)


class ReturnsMuch(Base):
    def forward(self, x: torch.Tensor) -> dict[str, object]:
        first, second = self.a(x).chunk(2, 1)
        norm = first.norm().item()
        return {"out": self.b(torch.cat([second, first], 1)), "norm": norm, "first": first if norm < 1e9 else second}


class AsLargeAsValuesSay(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.a(x)
        return self.b(x[x.sum(1) > -1e9] * self.gain)


#: What leaves torch decides what is called; it comes back as a number, or as a size.
DECIDES = (BranchesOnData, Loops, Lists, WritesInPlace, ReturnsMuch)
COMES_BACK = (TakesItem, UsesNumpy, AsLargeAsValuesSay)
KINDS = (*DECIDES, *COMES_BACK)
X = torch.rand(3, 6, generator=torch.Generator().manual_seed(0)) - 0.3


def outputs(module: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        made = module(x.clone())
    return [value for value in made.values() if isinstance(value, torch.Tensor)] if isinstance(made, dict) else [made]


@pytest.mark.parametrize("kind", KINDS)
def test_what_lets_values_out_of_torch_is_a_path_or_is_run_again(kind: type[Base]) -> None:
    module = randomized(kind())
    reading = read(module, (X,))
    assert reading.how == ("a recorded path" if kind in DECIDES else "a recorded run")
    assert {"a.weight", "b.weight"} <= {slot.key for op in reading.ops.values() for slot in op.slots.values()}
    for mine, theirs in zip(reading.run([X], module.state_dict()), outputs(module, X), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_it_runs_with_the_state_and_the_inputs_that_are_given(kind: type[Base]) -> None:
    """Also what goes through ``.item()`` or numpy, or was kept in a list: nothing of the recorded run stays in it."""
    reading = read(randomized(kind()), (X,))
    other, x = randomized(kind(), seed=1), X * 3 - 1
    for mine, theirs in zip(reading.run([x], other.state_dict()), outputs(other, x), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_operation_gives_can_be_replaced(kind: type[Base]) -> None:
    module = randomized(kind())
    reading = read(module, (X,))
    whole = reading.run([X], module.state_dict())

    def halved(call: OpCall) -> torch.Tensor:
        return call.compute() * (0.5 if call.op.place == "b" else 1.0)

    torch.testing.assert_close(reading.run([X], module.state_dict(), halved)[0], whole[0] * 0.5)


class Switches(Base):
    """One function for what is positive in sum, another for what is not."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x).relu() if x.sum().item() > 0 else self.a(x).sigmoid())


def test_a_path_is_watched_only_where_the_module_takes_it() -> None:
    module = randomized(Switches())
    reading = read(module, (X.abs(),))
    for x, taken in ((X.abs() * 2, True), (-X.abs(), False)):
        watched: list[str] = []
        made = reading.run([x], module.state_dict(), watch=lambda name, _value, seen=watched: seen.append(name))  # type: ignore[misc]
        torch.testing.assert_close(made, outputs(module, x))
        assert bool(watched) == taken


@pytest.mark.parametrize("share", [1.0, 0.01])
def test_a_number_that_comes_back_is_seen_where_it_hardly_counts(share: float) -> None:
    class Adds(Base):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.a(x)
            return self.b(x) + share * float(x.detach().numpy().mean())

    assert read(randomized(Adds()), (X,)).how == "a recorded run"


def parts_of(program: torch.export.ExportedProgram) -> GraphParts:
    specs = {spec.arg.name: spec for spec in program.graph_signature.input_specs}
    keys = {name: spec.target for name, spec in specs.items() if spec.kind in (InputKind.PARAMETER, InputKind.BUFFER)}
    constants = {name for name, spec in specs.items() if spec.kind == InputKind.CONSTANT_TENSOR}
    return read_graph(program.graph, keys, constants)


def test_the_vocabulary_is_that_of_export() -> None:
    """Normalisations, convolutions and attention at the grain of a layer, fast paths of torch's own aside."""
    module = randomized(
        nn.Sequential(
            nn.Conv1d(4, 8, 3, padding="same"),
            nn.BatchNorm1d(8),
            nn.TransformerEncoderLayer(12, 2, 16, batch_first=True),
        )
    )
    x = torch.rand(2, 4, 12)
    recorded = read(module, (x,))
    with torch.no_grad():
        exported = parts_of(torch.export.export(working_copy(module), (x,), strict=False))
    described = [
        [
            (op.kind, op.place, {name: (slot.key, slot.moves) for name, slot in op.slots.items()}, dict(op.hyper))
            for op in reading.ops.values()
        ]
        for reading in (recorded, exported)
    ]
    assert described[0] == described[1]
    assert sorted(glue.operator for glue in recorded.glue.values()) == sorted(
        glue.operator for glue in exported.glue.values()
    )


def test_torchscript_is_read() -> None:
    module = torch.jit.script(randomized(nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))))
    reading = read(module, (X,))
    assert [slot.key for op in reading.ops.values() for slot in op.slots.values()] == [
        *("0.weight", "0.bias"),
        *("2.weight", "2.bias"),
    ]


class Meddles(Base):
    """Changes everything that a forward can reach of its own, but its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.calls = nn.BatchNorm1d(6), 0
        self.register_buffer("seen", torch.zeros(2))
        self.register_buffer("hidden", torch.zeros(2), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.seen += 1
        self.hidden += 1
        self.a.weight.requires_grad_(False)
        self.a.bias.grad = torch.ones(5)
        self.register_forward_hook(lambda *_: None)
        torch.rand(3), np.random.rand(3), random.random()
        functional.batch_norm(x, self.norm.running_mean, self.norm.running_var, training=True)
        self.train()
        if float(x.sum().detach()) > 1e9:
            x = x * 2
        return self.b(self.a(x))


def snapshot(module: Meddles) -> dict[str, object]:
    return {
        "state": {key: tensor.clone() for key, tensor in module.state_dict().items()},
        "hidden": module.hidden.clone(),
        "attributes": (module.calls, module.training, len(module._forward_hooks), len(module._forward_pre_hooks)),
        "parameters": [(p.requires_grad, p.grad is None, p.data_ptr(), p._version) for p in module.parameters()],
        "generators": (torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()),
    }


@pytest.mark.parametrize("train", [False, True])
def test_the_users_module_is_left_as_it_was(train: bool) -> None:
    module = Meddles().train(train)
    before = snapshot(module)
    reading: Reading = read(module, (X,))
    reading.run([X], module.state_dict())
    assert reading.how == "a recorded path"
    torch.testing.assert_close(snapshot(module), before, rtol=0, atol=0)


def test_a_module_that_was_meddled_with_would_be_seen() -> None:
    module = Meddles()
    before = snapshot(module)
    module(X)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(snapshot(module), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    "write",
    [
        lambda module: module.a.weight.clamp_(min=0),
        lambda module: module.a.weight.data.clamp_(min=0),
        lambda module: module.a.weight[0].fill_(1),
        lambda module: torch.add(module.a.bias, 1, out=module.a.bias),
    ],
    ids=["method", "data", "view", "out"],
)
def test_a_forward_that_writes_into_its_weights_is_refused_before_it_does(write: Callable[[Base], object]) -> None:
    class Writes(Base):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            write(self)
            return self.b(self.a(x))

    module = Writes()
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(UnsupportedError, match=r"writes into its own parameter a\.") as failure:
        read(module, (X,))
    assert failure.value.exit_code == 5
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())


@pytest.mark.parametrize("draw", [torch.rand, np.random.rand, random.random], ids=["torch", "numpy", "python"])
def test_a_forward_that_draws_random_numbers_is_not_deterministic(draw: Callable[..., object]) -> None:
    class Noisy(Base):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            noise = draw() if draw is random.random else draw(1)
            return self.b(self.a(x)) + torch.as_tensor(noise)

    with pytest.raises(DifferenceError, match="not deterministic"):
        read(Noisy(), (X,))


def test_a_lazy_module_is_told_what_it_lacks() -> None:
    with pytest.raises(MappingError, match=r"no shape yet .*: 0\.weight, 0\.bias"):
        read(nn.Sequential(nn.LazyLinear(4)), (X,))


class Clamps(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.a.weight.clamp_(min=0.0)
        return self.a(x)


def test_what_torchscript_writes_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"writes into its own parameter a\.weight"):
        read(torch.jit.script(Clamps()), (X,))
