"""When two values are one."""

from __future__ import annotations

import pytest
import torch
from torchgraft.stages.extract.arrange import close, moves_between
from torchgraft.stages.extract.fingerprint import fingerprint, matching
from torchgraft.stages.plan import Transpose

SQUARE = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("other", [SQUARE.T, SQUARE[:1].expand(4, 4), SQUARE + 1e-3, SQUARE.to(torch.float64) * 2])
def test_the_same_memory_in_another_order_is_another_value(other: torch.Tensor) -> None:
    assert close(SQUARE, SQUARE)
    assert close(SQUARE, SQUARE.clone())
    assert not close(SQUARE, other)


def test_what_is_not_a_number_is_equal_where_both_are_not() -> None:
    with_nan = SQUARE.clone()
    with_nan[0, 0] = float("nan")
    assert close(with_nan, with_nan.clone())
    assert not close(with_nan, SQUARE)


def test_the_order_that_keeps_the_shape_is_taken_before_a_reshape() -> None:
    value = torch.rand(2, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    assert moves_between(value, value.permute(0, 2, 3, 1)) == (Transpose((0, 2, 3, 1)),)
    assert moves_between(value, value.permute(0, 2, 3, 1) + 1) is None


@pytest.mark.parametrize("turned", [False, True], ids=["as it lies", "with its axes turned"])
@pytest.mark.parametrize("position", [0, 100_000, -1], ids=["first", "in the middle", "last"])
@pytest.mark.parametrize("wrong", [0.5, float("nan"), float("inf")])
def test_one_other_number_anywhere_in_a_large_value_is_seen(turned: bool, position: int, wrong: float) -> None:
    value = torch.rand(3, 50_000, 2)
    other = value.clone()
    assert close(other, value)
    other.view(-1)[position] += wrong
    ours, theirs = (other.permute(2, 0, 1), value.permute(2, 0, 1)) if turned else (other, value)
    assert not close(ours, theirs)
    assert not close(theirs, ours)
    assert not close(ours.contiguous(), theirs)


def test_a_fingerprint_is_of_all_elements_of_a_large_value_in_any_order() -> None:
    value = torch.rand(3, 50_000)
    mark = fingerprint(value)
    assert matching(fingerprint(value.flip(1).T), [mark]) == [0]
    value[2, -1] += 10
    assert matching(fingerprint(value), [mark]) == []
