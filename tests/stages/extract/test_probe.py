"""Random numbers that stand for what operations give, and what is known of them without counting again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torchgraft.stages.extract.fingerprint import fingerprint
from torchgraft.stages.extract.probe import NARROW, STRETCHED, WIDE, Probe, Spread, probe, random_values
from torchgraft.stages.extract.results import MANY, tells_alone
from torchgraft.stages.torch_graph import read

SHAPE = (4, 5, 6)


def probed(marked: bool = True) -> Probe:
    module, x = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)), torch.rand(3, 6)
    options = {"spread": NARROW, "seed": 0, "keep": frozenset(), "constant": frozenset()}
    return probe(read(module, (x,)), [x], module.state_dict(), identity=lambda op: op.name, marked=marked, **options)


@pytest.mark.parametrize("spread", [NARROW, WIDE])
def test_numbers_lie_in_their_spread_but_for_a_tail(spread: Spread) -> None:
    values = random_values(SHAPE, spread, 0).reshape(-1)
    inside = (values >= spread.low) & (values <= spread.high)
    assert int((~inside).sum()) <= -(-len(values) // STRETCHED)
    assert bool(inside.all()) == (spread.tail == 1.0)
    assert not torch.equal(values, random_values(SHAPE, spread, 1).reshape(-1))


def test_the_mark_of_what_an_operation_gives_is_known_and_that_of_a_part_of_it_is_not() -> None:
    made = probed()
    name, first = next(iter(made.ops.items()))
    marks = dict(made.marks)
    made.marks[name] = known = np.array([1.0])  # type: ignore[index]
    assert made.mark_of(first.given) is known
    repeated = first.given[:1].expand_as(first.given)  # as many elements, at the same place in memory
    for other in (first.given.clone(), first.given[:1], repeated):
        np.testing.assert_array_equal(made.mark_of(other), fingerprint(other))
    np.testing.assert_allclose(marks[name], fingerprint(first.given))


def test_marks_are_made_where_they_are_asked_for() -> None:
    assert all(len(each.mark) for each in probed().ops.values())
    bare = probed(marked=False)
    assert not bare.marks
    assert not any(len(each.mark) for each in bare.ops.values())


def test_a_few_numbers_or_infinite_ones_do_not_tell_a_value_alone() -> None:
    many = random_values((MANY,), WIDE, 0)
    assert tells_alone(many)
    assert not tells_alone(many[1:])
    many[0] = float("inf")
    assert not tells_alone(many)
