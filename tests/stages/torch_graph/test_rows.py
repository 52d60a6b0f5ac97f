"""Which rows of its tables a run of a module reads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torchgraft.stages.torch_graph import Rows, rows_read

IDS = torch.tensor([[3, 4, 5], [3, 4, 5]])


class Reads(nn.Module):
    """Whatever it is told to do with a table (10, 4)."""

    def __init__(self, how: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], *shape: int) -> None:
        super().__init__()
        self.table, self.how = nn.Parameter(torch.rand(shape or (10, 4))), how

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.how(self.table, ids)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (lambda table, ids: nn.functional.embedding(ids, table), Rows(3, 6, first=3, looked_up=True)),
        (lambda table, ids: table[ids], Rows(3, 6, first=3, looked_up=True)),
        (lambda table, ids: table.index_select(0, ids[0]), Rows(3, 6, first=3, looked_up=True)),
        (lambda table, ids: table[2:][ids - 1], Rows(4, 7, first=4, looked_up=True)),
        (lambda table, ids: table[ids * 0], Rows(0, 1, first=0, looked_up=True)),
        (lambda table, ids: table[ids.flip(1)], Rows(3, 6, first=None, looked_up=True)),
        (lambda table, ids: table[ids] + table[1], Rows(1, 6, first=None, looked_up=False)),
        (lambda table, ids: table[2:5] + ids.T.unsqueeze(-1)[:, 0], Rows(2, 5, first=2, looked_up=False)),
        (lambda table, ids: table.t()[:, 2:5] @ ids[:1].T.float(), Rows(2, 5, first=2, looked_up=False)),
        (lambda table, ids: table.sum() + ids, Rows(0, 10, first=0, looked_up=False)),
    ],
)
def test_rows_are_those_that_calls_address(
    how: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], expected: Rows
) -> None:
    assert rows_read(Reads(how), [IDS], ["table"]) == {"table": expected}


def test_rows_run_along_the_first_axis_with_more_than_one_position() -> None:
    found = rows_read(Reads(lambda table, ids: table[:, 1:4] + ids[0, 0], 1, 10, 4), [IDS], ["table"])
    assert found == {"table": Rows(1, 4, first=1, looked_up=False)}


@pytest.mark.parametrize(
    ("ids", "first"),
    [
        ([[3, 4], [4, 5]], None),  # half and half
        ([[3, 7]], None),
        ([[7, 2, 9], [1, 3, 3]], None),
        ([[2, 3, 4, 5], [2, 3, 1, 1]], 2),  # padding at the end of one sample
        ([[2, 1, 1], [1, 1, 1]], None),
    ],
)
def test_positions_count_on_and_words_do_not(ids: list[list[int]], first: int | None) -> None:
    module = Reads(lambda table, ids: nn.functional.embedding(ids, table))
    assert rows_read(module, [torch.tensor(ids)], ["table"])["table"].first == first


def test_what_is_never_touched_is_left_out() -> None:
    assert rows_read(Reads(lambda _, ids: ids), [IDS], ["table"]) == {}
