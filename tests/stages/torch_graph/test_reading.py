"""A module as operations and glue: canonical forms, and both ways of reading."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional
from torch_pairs import randomized
from torchgraft.stages.plan import Reshape, Transpose, apply_moves
from torchgraft.stages.torch_graph import ForwardError, Op, OpCall, Reading, read, working_copy
from torchgraft.stages.torch_graph.recorded import RecordedReading
from torchgraft.stages.torch_graph.recorder import record
from torchgraft.stages.torch_graph.session import WhatIf


def recorded(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Reading:
    return RecordedReading(record(working_copy(module), inputs))


BOTH = pytest.mark.parametrize("reader", [read, recorded], ids=["replayed", "recorded"])
Reader = Callable[[nn.Module, tuple[torch.Tensor, ...]], Reading]


def only_op(module: nn.Module, *inputs: torch.Tensor, reader: Reader = read) -> Op:
    (op,) = reader(module, inputs).ops.values()
    return op


def pictures(channels: int = 4, size: int = 9) -> torch.Tensor:
    return torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(0)) - 0.5


NETS = {
    "convolution": (nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2), pictures()),
    "same": (nn.Conv2d(4, 6, (3, 4), padding="same"), pictures()),
    "reflect": (nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), pictures()),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), pictures()),
    "1×1": (nn.Conv2d(4, 6, 1), pictures()),
    "batch norm": (nn.BatchNorm2d(4), pictures()),
    "group norm": (nn.GroupNorm(2, 4), pictures()),
    "layer norm": (nn.LayerNorm((9, 9)), pictures()),
    "prelu": (nn.PReLU(4), pictures()),
    "linear": (nn.Linear(9, 5), pictures()),
    "embedding": (nn.Embedding(7, 5), torch.arange(6).reshape(2, 3)),
    "1-D": (nn.Conv1d(4, 6, 3, padding=1), pictures()[..., 0]),
}


@BOTH
@pytest.mark.parametrize("name", list(NETS))
def test_a_reading_computes_what_the_module_computes(name: str, reader: Reader) -> None:
    module, value = NETS[name]
    module = randomized(module)
    reading = reader(module, (value,))
    with torch.no_grad():
        expected = module(value)
    (made,) = reading.run([value], module.state_dict())
    assert torch.equal(made, expected)
    zeroed = {key: tensor * 0 for key, tensor in module.state_dict().items()}
    (made,) = reading.run([value], zeroed)
    assert not torch.equal(made, expected)


@pytest.mark.parametrize("name", list(NETS))
def test_both_ways_of_reading_give_the_same_canonical_operation(name: str) -> None:
    module, value = NETS[name]
    exported, recording = only_op(module, value), only_op(module, value, reader=recorded)
    assert exported.signature == recording.signature
    assert exported.feature_axis == recording.feature_axis
    assert torch.equal(exported.canonical_input(value), recording.canonical_input(value))


@BOTH
def test_an_operations_output_can_be_replaced(reader: Reader) -> None:
    module = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    x = torch.ones(2, 6)
    reading = reader(module, (x,))
    seen: dict[str, torch.Tensor] = {}

    def replace(call: OpCall) -> torch.Tensor:
        seen[call.op.place] = call.value
        return torch.full(call.output_shape, -2.0) if call.op.place == "0" else call.value[:, :3] - 1

    (made,) = reading.run([x], module.state_dict(), replace)
    assert torch.equal(seen["2"], torch.zeros(2, 5))  # the ReLU between them was run
    assert torch.equal(made, torch.full((2, 3), -1.0))


@pytest.mark.parametrize(
    "padded",
    [
        nn.Conv2d(4, 6, 3, padding=1),
        nn.Conv2d(4, 6, 3, padding="same"),
        nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(4, 6, 3)),
    ],
    ids=["number", "same", "module"],
)
def test_padding_is_one_however_it_is_written(padded: nn.Module) -> None:
    value = pictures()
    reading = read(padded, (value,))
    read_value = {}

    def keep(call: OpCall) -> torch.Tensor:
        read_value["it"] = call.op.canonical_input(call.value)
        return call.compute()

    reading.run([value], padded.state_dict(), keep)
    assert torch.equal(read_value["it"], functional.pad(value, (1, 1, 1, 1)))


def test_what_the_kernel_never_touches_is_cropped() -> None:
    op = only_op(nn.Conv2d(4, 6, 3, stride=2), pictures(size=10))
    assert tuple(op.canonical_input(pictures(size=10)).shape) == (2, 4, 9, 9)


def test_a_1_by_1_convolution_is_linear_and_a_padded_or_grouped_one_is_not() -> None:
    op = only_op(nn.Conv2d(4, 6, 1), pictures())
    assert (op.kind, op.slots["weight"].shape) == ("linear", (6, 4))
    assert op.slots["weight"].moves == (Reshape((6, 4, 1, 1), (6, 4)),)
    assert op.signature == only_op(nn.Linear(4, 6), torch.rand(3, 4)).signature
    assert only_op(nn.Conv2d(4, 6, 1, stride=2), pictures()).hyper == {"stride": (2, 2)}
    for other in (nn.Conv2d(4, 6, 1, groups=2), nn.Conv2d(4, 6, 1, padding=1)):
        assert only_op(other, pictures()).kind == "conv2d"


class ByHand(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.rand(6, 5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.w


class Turned(ByHand):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, self.w.permute(1, 0).reshape(5, 3, 2).reshape(5, 6))


@pytest.mark.parametrize("kind", [ByHand, Turned])
def test_the_moves_of_a_slot_make_its_canonical_form(kind: type[ByHand]) -> None:
    module, x = kind(), torch.rand(3, 6)
    op = only_op(module, x)
    assert op.kind == "linear"
    canonical = torch.from_numpy(apply_moves(op.slots["weight"].moves, module.w.detach().numpy()))
    assert torch.equal(functional.linear(x, canonical), module(x).detach())
    assert Transpose((1, 0)) in op.slots["weight"].moves


def test_a_parameter_that_enters_glue_is_an_op_of_its_own() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.variance = nn.Parameter(torch.rand(1, 6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / torch.sqrt(self.variance)

    x = torch.rand(3, 6)
    reading = read(Scaled(), (x,))
    ((name, op),) = reading.ops.items()
    assert (op.kind, op.slots["value"].key, op.slots["value"].shape) == ("parameter", "variance", (6,))
    assert [glue.parameters for glue in reading.glue.values()] == [(name,)]
    (made,) = reading.run([x], {"variance": torch.ones(1, 6)}, lambda call: torch.full(call.output_shape, 4.0))
    torch.testing.assert_close(made, x / 2)


def test_reading_says_where_things_are_and_what_is_between_them() -> None:
    module = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    reading = read(module, (torch.rand(2, 6),))
    first, second = reading.ops.values()
    assert (first.place, second.place) == ("0", "2")
    assert second.sources == {first.name}
    assert reading.glue[second.reads].operator == "relu"
    assert reading.places[second.reads] == "1 (relu)"
    assert reading.results["1"] == second.reads


def test_reading_leaves_the_module_as_it_was() -> None:
    module = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.Dropout()).train()
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    read(module, (pictures(),))
    assert module.training
    assert all(child.training for child in module)
    assert all(torch.equal(tensor, before[key]) for key, tensor in module.state_dict().items())
    assert not any(child._forward_hooks for child in module.modules())


def test_a_forward_that_fails_is_said_with_the_shapes() -> None:
    with pytest.raises(ForwardError, match=r"\(2, 4, 9, 9\)"):
        read(nn.Conv2d(3, 6, 3), (pictures(),))


def test_a_module_that_cannot_be_copied_is_refused() -> None:
    module = nn.Linear(6, 5)
    module.lock = open(__file__)  # noqa: SIM115, PTH123 - a handle that deepcopy refuses
    try:
        with pytest.raises(Exception, match="cannot be copied") as failure:
            read(module, (torch.rand(2, 6),))
        assert failure.value.exit_code == 5
    finally:
        module.lock.close()


def test_a_bias_added_by_hand_is_the_linear_operations_own() -> None:
    class Added(ByHand):
        def __init__(self) -> None:
            super().__init__()
            self.b = nn.Parameter(torch.rand(5))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (super().forward(x) + self.b).tanh()

    module, x = Added(), torch.rand(3, 6)
    reading = read(module, (x,))
    (op,) = reading.ops.values()
    assert (op.kind, set(op.slots)) == ("linear", {"weight", "bias"})
    (made,) = reading.run([x], dict(module.state_dict()))
    torch.testing.assert_close(made, module(x))


def test_what_would_follow_from_another_output_is_found_again_through_the_glue_between() -> None:
    module = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    x = torch.rand(2, 6)
    reading = read(module, (x,))
    first, second, third = reading.ops
    given = {first: torch.rand(2, 5), second: torch.rand(2, 4), third: torch.rand(2, 3)}
    other = -given[first]
    session = reading.start([x], dict(module.state_dict()))
    assert session is not None
    read_in_the_run: list[torch.Tensor] = []

    def at_op(call: OpCall) -> torch.Tensor:
        if call.op.name == third:
            trial = WhatIf(session, given.get, {first: other})
            assert trial.next_op() == second
            torch.testing.assert_close(trial.value(reading.ops[second].reads), other.relu())
            trial.put(second, given[second] * 2)
            assert trial.next_op() == third
            torch.testing.assert_close(trial.value(reading.ops[third].reads), (given[second] * 2).tanh())
            assert trial.next_op() is None
            trial.commit()
            read_in_the_run.append(session.values[call.op.reads])
        return given[call.op.name]

    with torch.no_grad():
        session.run(at_op, lambda name, value: None)
    torch.testing.assert_close(read_in_the_run[0], (given[second] * 2).tanh())


class Written(nn.Module):
    """Writes in place, through views and into a buffer, and has constants of its own; no value leaves torch."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 4)
        self.register_buffer("seen", torch.zeros(()), persistent=False)
        self.offsets = torch.arange(5) / 10

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += 1
        x = self.a(x).add_(self.offsets + torch.tensor([0.5])).relu_()
        x[:, :2] *= 2
        return self.b(x * 2 if x.shape[0] > 1 else x)


class Sized(Written):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x[x.sum(1) > 0]))


class Listed(Written):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x) * sum(x[0].tolist()))


class Counted(Written):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x) * functional.one_hot(x.argmax(1)).shape[1])


@pytest.mark.parametrize("kind", [Sized, Listed, Counted])
def test_a_recording_tells_that_values_have_left_torch(kind: type[nn.Module]) -> None:
    assert record(kind(), [torch.rand(3, 6)]).left
    assert not record(Written(), [torch.rand(3, 6)]).left


@pytest.mark.parametrize("kind", [Written, Listed, Counted])
def test_a_module_is_a_graph_where_no_value_decides_what_it_calls(kind: type[nn.Module]) -> None:
    """Either way it computes what the module does on other inputs with other weights."""
    x = torch.rand(3, 6, generator=torch.Generator().manual_seed(0)) - 0.4
    reading = read(randomized(kind()), (x,))
    assert (reading.how == "a recorded graph") == (kind is Written)
    other, values = randomized(kind(), seed=1), x.flip(0, 1) * 3
    for _ in range(2):  # what the first run has written is not there in the second
        (made,) = reading.run([values], other.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(made, kind.forward(copy.deepcopy(other), values.clone()))


def test_inputs_stand_in_the_order_of_the_signature() -> None:
    class Two(nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
            return right - left

    reading = read(Two(), (torch.rand(2), torch.rand(2)))
    assert list(reading.places)[:2] == ["left", "right"]


class SkipsMasks(nn.Module):
    """Leaves a mask out where it hides nothing, but not while it is traced, as transformers does."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if not isinstance(mask, FakeTensor) and bool(mask.all()):
            return x
        return x.masked_fill(~mask, -9.0)


def test_what_branches_on_values_but_where_it_is_traced_is_read_by_torch_export() -> None:
    x, hidden = torch.rand(2, 6), torch.arange(6).expand(2, 6) < 4
    reading = read(SkipsMasks(), (x, torch.ones(2, 6, dtype=torch.bool)))
    assert reading.how == "torch.export"
    (made,) = reading.run([x, hidden], {})
    assert torch.equal(made, x.masked_fill(~hidden, -9.0))
