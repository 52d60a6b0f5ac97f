"""The user's forward, run: whether it takes what it is given, what it returns, and whether it returns it again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..errors import DifferenceError
from ..torch_graph import Call, adapted, outputs_by_place, user_forward, working_copy


def places_of(module: nn.Module, call: Call, inputs: Sequence[torch.Tensor]) -> list[str]:
    """The place of each of the module's outputs in what forward returns.

    Run one copy twice under two seeds: a forward that draws random numbers in eval mode, or that changes what it
    computes with, can prove nothing.

    Raises:
        ForwardError: it fails on these inputs.
        DifferenceError: the two runs differ.
    """
    results = []
    twin = adapted(working_copy(module), call)
    for seed in (0, 1):
        with torch.no_grad(), torch.random.fork_rng(devices=[]), user_forward(module, inputs):
            torch.manual_seed(seed)
            made = outputs_by_place(twin, [value.clone() for value in inputs])
        results.append({place: tensor.clone() for place, tensor in made.items()})
    first, second = results
    if first.keys() != second.keys() or not all(_same(first[place], second[place]) for place in first):
        raise DifferenceError(
            "forward is not deterministic in eval mode: two runs on the same inputs differ",
            where=type(module).__name__,
            fix="use torch.nn.Dropout, and guard random numbers and changes of state by `if self.training`",
        )
    return list(first)


def _same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    return torch.equal(ours.nan_to_num(), theirs.nan_to_num())
