"""The user's forward, run once: whether it takes what it is given, and what it returns."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..torch_graph import Call, adapted, outputs_by_place, user_forward, working_copy


def places_of(module: nn.Module, call: Call, inputs: Sequence[torch.Tensor]) -> list[str]:
    """The place of each of the module's outputs in what forward returns.

    Raises:
        ForwardError: it fails on these inputs.
    """
    twin = adapted(working_copy(module), call)
    with torch.no_grad(), user_forward(twin, inputs):
        return list(outputs_by_place(twin, [value.clone() for value in inputs]))
