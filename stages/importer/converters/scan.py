"""Scan → a module that runs its step once for each place along the time, in Python.

The step is a module of its own, made from the node's body (bodies.py): its parameters are there once, and
``torch.export`` sees each step's operations. What the body reaches outside comes as further inputs, the same each step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from .base import Converter, Source


class Result(nn.Module):
    """One of several results under a module of its own, by whose name it is found again in a traced graph."""

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return value.clone()


class Scan(nn.Module):
    """(carried, scanned, reached) → (carried after the last step, outputs of all steps), each a tensor.

    Args:
        axes: the time's axis of each scanned value.
        backwards: for each scanned value, whether it is read from its end.
        stacked: the time's axis of each stacked output.
        carried: how many values are carried.
    """

    step: nn.Module

    def __init__(self, axes: Sequence[int], backwards: Sequence[bool], stacked: Sequence[int], carried: int) -> None:
        super().__init__()
        self.axes, self.backwards, self.stacked, self.carried = tuple(axes), tuple(backwards), tuple(stacked), carried
        self.results = nn.ModuleList(Result() for _ in range(carried + len(stacked)))

    def forward(self, *values: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        carried, scanned = list(values[: self.carried]), values[self.carried : self.carried + len(self.axes)]
        reached = values[self.carried + len(self.axes) :]
        steps = scanned[0].shape[self.axes[0]]
        columns: list[list[torch.Tensor]] = [[] for _ in self.stacked]
        for time in range(steps):
            given = [
                value.select(axis, steps - 1 - time if backwards else time)
                for value, axis, backwards in zip(scanned, self.axes, self.backwards, strict=True)
            ]
            made = self.step(*carried, *given, *reached)
            made = made if isinstance(made, tuple) else (made,)
            carried = list(made[: self.carried])
            for column, value in zip(columns, made[self.carried :], strict=True):
                column.append(value)
        stacks = [torch.stack(column, axis) for column, axis in zip(columns, self.stacked, strict=True)]
        found = tuple(result(value) for result, value in zip(self.results, [*carried, *stacks], strict=True))
        return found[0] if len(found) == 1 else found

    def extra_repr(self) -> str:
        return f"axes={self.axes}, backwards={self.backwards}, carried={self.carried}"


def _scan(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    axes = source.attributes["scan_input_axes"]
    return Scan(
        axes,
        [bool(way) for way in source.attributes["scan_input_directions"]],
        source.attributes["scan_output_axes"],
        source.attributes["carried"],
    )


SCAN = Converter(("Scan",), _scan, data=None)
