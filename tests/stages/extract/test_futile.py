"""When taking choices back cannot change which numbers an operation reads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchgraft.stages.extract.futile import Futile, futile, is_shifted
from torchgraft.stages.extract.pairs import Match
from torchgraft.stages.extract.probe import ProbedOp
from torchgraft.stages.torch_graph import Reading, read

Forward = Callable[["Branches", torch.Tensor], torch.Tensor]
ALL, NONE, ORDERS = Futile(orders=True, exchanges=True), Futile(), Futile(orders=True)


class Branches(nn.Module):
    """Two equal convolutions, what ``forward`` makes of them, and a third that reads it."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)
        self.last, self.also = nn.LazyConv2d(5, 1), nn.LazyConv2d(5, 1)
        self._forward = forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._forward(self, x)


def reading(forward: Forward) -> Reading:
    module, image = Branches(forward), torch.rand(2, 3, 6, 6)
    module(image)
    module.also = module.also if module.also.in_channels else nn.Identity()  # not every forward calls it
    return read(module, (image,))


def behind(how: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Forward:
    return lambda self, x: self.last(how(self.one(x), self.other(x)))


def judged(ours: Forward, theirs: Forward) -> Futile:
    """Of the ``last`` of ``ours``, the branches placed in their order."""
    target, reference = reading(ours), reading(theirs)
    ops = {op.place: op for op in reference.ops.values()}
    places = {op.place: op for op in target.ops.values()}
    placed = {places[name].name: Match((ops[name],)) for name in ("one", "other")}
    left = [op for place, op in ops.items() if place in ("last", "also")]
    return futile(places["last"], placed, target, reference, left)


def pooled(x: torch.Tensor, *, counted: bool = False) -> torch.Tensor:
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=counted)


def turned(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (lambda a, b: pooled(torch.cat([a, b], 1), counted=True), lambda a, b: pooled(torch.cat([a, b], 1)), ALL),
        (lambda a, b: torch.cat([a, b], 1).relu(), lambda a, b: torch.cat([a, b], 1).tanh(), ALL),
        (lambda a, b: turned(torch.cat([a, b], 1)), lambda a, b: torch.cat([a, b], 1).tanh(), ALL),
        (lambda a, b: torch.cat([a.relu(), b], 1), lambda a, b: torch.cat([a, b.relu()], 1), ORDERS),
        (lambda a, b: a.relu() + b, lambda a, b: a + b.relu(), ORDERS),
        (lambda a, b: a.softmax(1) + b, lambda a, b: a + b.softmax(1), NONE),
        (lambda a, b: pooled(turned(a) + b), lambda a, b: (a + b).tanh(), NONE),
        (lambda a, b: a.relu(), lambda a, b: b.tanh() + a, NONE),
    ],
    ids=[
        *("a setting of all", "a function of all", "a layout of all", "one of two joined", "one of two added"),
        *("channels mixed", "pooled in a layout that is not known", "other sources"),
    ],
)
def test_what_can_be_mended_by_another_choice_follows_from_the_glue(
    ours: Callable[..., torch.Tensor], theirs: Callable[..., torch.Tensor], expected: Futile
) -> None:
    assert judged(behind(ours), behind(theirs)) == expected


def test_equal_ops_may_be_exchanged_where_another_one_left_has_other_glue_and_does_not_come_after() -> None:
    def towers(self: Branches, x: torch.Tensor) -> torch.Tensor:
        return self.last(F.max_pool2d(self.one(x), 2)) + self.also(F.avg_pool2d(self.other(x), 2))

    def chain(self: Branches, x: torch.Tensor) -> torch.Tensor:
        return self.also(self.last(F.max_pool2d(torch.cat([self.one(x), self.other(x)], 1), 2)))

    def averaged(self: Branches, x: torch.Tensor) -> torch.Tensor:
        return self.also(self.last(F.avg_pool2d(torch.cat([self.one(x), self.other(x)], 1), 2)))

    exchanged = lambda self, x: self.last(F.avg_pool2d(self.one(x), 2)) + self.also(F.max_pool2d(self.other(x), 2))  # noqa: E731
    assert judged(exchanged, towers) == ORDERS
    assert judged(averaged, chain) == ALL


@pytest.mark.parametrize(("pad", "expected"), [((0, 1, 0, 1), True), ((1, 0, 1, 0), True), (None, False)])
def test_padding_at_other_edges_leaves_each_feature_in_its_place(pad: tuple[int, ...] | None, expected: bool) -> None:
    image = torch.rand(2, 3, 6, 6)
    here, there = (F.pad(image, (1, 0, 1, 0)), F.pad(image, pad) if pad else F.pad(image.flip(1), (1, 0, 1, 0)))
    (op,) = read(nn.Conv2d(3, 4, 3), (here,)).ops.values()
    assert is_shifted(op, here, ProbedOp(op, there, there, torch.zeros(0).numpy())) is expected
    (linear,) = read(nn.Linear(3, 4), (torch.rand(2, 3),)).ops.values()
    same = torch.rand(2, 3)
    assert not is_shifted(linear, same, ProbedOp(linear, same, same, torch.zeros(0).numpy()))
