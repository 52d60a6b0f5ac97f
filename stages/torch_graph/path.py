"""A module whose values leave torch, but only to decide what is called: the calls of one run, as a graph.

Checks for NaN, logs by numpy, ``if x.mean().item() > 0``, ``for step in range(int(lengths.max()))``: no number comes
back from Python into what is computed. Along the path that the recorded run took such a module is a graph like any
other, and can be looked back into. Whether a number comes back is tried: the graph and the module, with all weights and
floating inputs a little changed, give the same.

What computes with numbers that were outside (``x / x.max().item()``), or is as large as they say (``x[x > 0]``), is
left to ``RecordedReading``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import torch

from .reading import FAITHFUL, AtOp, State, Watch, compute, ignore
from .recorder import Calls, Recording, execute
from .replayed import ReplayedReading

#: How much weights and inputs are changed, relative, until the module takes the path of the recorded run.
CHANGES = (0.3, 0.03, 0.003)
#: How far the graph may then be from the module: of what the change made of its outputs (a number that came back would
#: make as much of it as it counts), and of the outputs, for rounding.
APART, ROUNDING = 1e-4, 1e-6


class PathReading(ReplayedReading):
    """See ``Reading``."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        graph = replace(recording, graph=copy.deepcopy(recording.graph)).as_graph()
        super().__init__(replace(graph, how="a recorded path"))

    def run(
        self, inputs: Sequence[torch.Tensor], state: State, at_op: AtOp = compute, watch: Watch = ignore
    ) -> list[torch.Tensor]:
        """Where the module does its own work, and takes another path on these inputs, nothing is watched."""
        if at_op is not compute:
            return super().run(inputs, state, at_op, watch)
        whole = self._whole(inputs, state)
        limits = [FAITHFUL * _size(value) for value in whole]
        return super().run(inputs, state, watch=watch) if self._gives(whole, limits, inputs, state) else whole

    def is_the_module(self, inputs: Sequence[torch.Tensor], state: State) -> bool:
        """Whether no number comes back from Python; False, too, where every change leads to another path."""
        before = self._whole(inputs, state)
        return any(self._gives_when_changed(change, before, inputs, state) for change in CHANGES)

    def _gives_when_changed(
        self, change: float, before: Sequence[torch.Tensor], inputs: Sequence[torch.Tensor], state: State
    ) -> bool:
        generator = torch.Generator().manual_seed(0)
        inputs = [_changed(value, change, generator) for value in inputs]
        state = {key: _changed(value, change, generator) for key, value in state.items()}
        with suppress(Exception):  # a check of the module's own may raise on such values
            whole = self._whole(inputs, state)
            moved = list(map(_distance, whole, before))
            limits = [APART * far + ROUNDING * _size(value) for far, value in zip(moved, whole, strict=True)]
            return any(moved) and all(map(math.isfinite, moved)) and self._gives(whole, limits, inputs, state)
        return False

    def _whole(self, inputs: Sequence[torch.Tensor], state: State) -> list[torch.Tensor]:
        """What the module itself gives."""
        calls = Calls(self._recording.stack, lambda _site, func, args, kwargs: func(*args, **kwargs))
        made = execute(self._recording.module, tuple(value.clone() for value in inputs), state, calls)
        return [value.clone() for value in made]

    def _gives(
        self,
        wanted: Sequence[torch.Tensor],
        limits: Sequence[float],
        inputs: Sequence[torch.Tensor],
        state: State,
    ) -> bool:
        """Whether the graph gives ``wanted``, each up to its limit."""
        made = super().run(inputs, state)
        near = (_distance(one, other) <= limit for one, other, limit in zip(made, wanted, limits, strict=False))
        return len(made) == len(wanted) and all(near)


def _changed(value: torch.Tensor, change: float, generator: torch.Generator) -> torch.Tensor:
    if not value.is_floating_point():
        return value
    drawn = torch.rand(value.shape, generator=generator)
    return value * (1 + change * drawn).to(value.dtype)


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference; infinite where the shapes differ, or where one is NaN and the other is not."""
    if one.shape != other.shape:
        return math.inf
    apart = (one.double() - other.double()).abs().nan_to_num(math.inf)
    both = one.isnan() & other.isnan()
    return float(apart.masked_fill(both, 0).max()) if apart.numel() else 0.0


def _size(value: torch.Tensor) -> float:
    return float(value.double().abs().nan_to_num(0.0, 0.0, 0.0).max()) if value.numel() else 0.0
