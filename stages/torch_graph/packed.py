"""Packed sequences as the padded ones that they were packed from, with the lengths of their samples.

``pack_padded_sequence`` sorts the samples by length and takes out what is padding: how large its data is depends on
values. While a module is read, the padded sequence, in the order that its samples had before, stands for it: its data
is (N·T, F) or (T·N, F), and its batch sizes know the lengths. What is done to each row of the data is done to the
padded steps as well, as in Keras under a mask; whoever reads the data otherwise computes something else, which is
noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

_FUNCTIONS = torch._C._VariableFunctions  # noqa: SLF001 - torch._VF, where torch.nn.utils.rnn ends
_SELECTED = "_torchgraft_selected"  # the attribute of a selection that says what it selects from


@dataclass(frozen=True)
class Padding:
    """What is known of a packed sequence.

    Attributes:
        lengths: how many steps each sample has, as the samples stood before.
        order: their places as they are packed; None where they are packed as they stand.
        steps: how many the padded sequence has; the longest sample may have fewer.
        batch_first: whether the samples are axis 0.
    """

    lengths: torch.Tensor
    order: torch.Tensor | None
    steps: int
    batch_first: bool

    def sorted(self, value: torch.Tensor, axis: int) -> torch.Tensor:
        return value if self.order is None else value.index_select(axis, self.order)

    def unsorted(self, value: torch.Tensor, axis: int) -> torch.Tensor:
        return value if self.order is None else value.index_select(axis, self.order.argsort())

    def sequence(self, data: torch.Tensor) -> torch.Tensor:
        """(N·T, F) → (N, T, F), or (T·N, F) → (T, N, F)."""
        sizes = (len(self.lengths), self.steps)
        return data.reshape(*(sizes if self.batch_first else sizes[::-1]), *data.shape[1:])


class BatchSizes(torch.Tensor):
    """The batch sizes of a packed sequence as nobody was shorter: a number read from them is a number of Python's."""

    padding: Padding

    def __getitem__(self, index: Any) -> Any:
        return len(self.padding.lengths) if isinstance(index, int) else super().__getitem__(index)


def pack(sequence: torch.Tensor, lengths: torch.Tensor, batch_first: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """``torch._VF._pack_padded_sequence``: (data, batch sizes)."""
    with _disable_current_modes():  # a look that leaves no trace
        longest = int(lengths.max())
    source, axis, order = getattr(sequence, _SELECTED, (sequence, 0, None))
    if order is None or axis != 1 - batch_first or len(order) != len(lengths):
        source, order = sequence, None
    as_stood = lengths if order is None else lengths.index_select(0, order.argsort())
    padding = Padding(as_stood, order, sequence.shape[int(batch_first)], batch_first)
    sizes = torch.full((longest,), len(lengths)).as_subclass(BatchSizes)
    sizes.padding = padding
    return source.reshape(-1, *source.shape[2:]), sizes


def pad(
    data: torch.Tensor, sizes: torch.Tensor, batch_first: bool, value: float, total: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """``torch._VF._pad_packed_sequence``: (the sequence with ``value`` where a sample has ended, lengths), sorted."""
    if not isinstance(sizes, BatchSizes):
        return _FUNCTIONS._pad_packed_sequence(data, sizes, batch_first, value, total)  # noqa: SLF001
    padding, sequence = sizes.padding, sizes.padding.sequence(data)
    sequence = sequence if padding.batch_first else sequence.transpose(0, 1)
    shown = torch.arange(padding.steps) < padding.lengths.unsqueeze(1)
    made = padding.sorted(torch.where(shown.unsqueeze(-1), sequence, value), 0)
    made = torch.nn.functional.pad(made, (0, 0, 0, total - padding.steps), value=value)  # or cut to ``total``
    return made if batch_first else made.transpose(0, 1), padding.sorted(padding.lengths, 0)


def select(input: torch.Tensor, dim: int, index: torch.Tensor) -> torch.Tensor:  # noqa: A002 - as torch names it
    """``index_select``, which remembers what it selects from: so ``pack_padded_sequence`` sorts its samples."""
    made: torch.Tensor = torch.ops.aten.index_select(input, dim, index)
    setattr(made, _SELECTED, (input, dim, index))
    return made
