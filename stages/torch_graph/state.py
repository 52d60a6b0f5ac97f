"""A state put into a working copy of a module."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


def held_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Key → the parameter or buffer itself; what else a state_dict may hold is left out."""
    state = module.state_dict(keep_vars=True)
    return {key: tensor for key, tensor in state.items() if isinstance(tensor, torch.Tensor)}


def in_own_memory(module: nn.Module) -> None:
    """Give every parameter and buffer memory of its own, contiguous: training must not change what it was made from."""
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)


def put_state(twin: nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Give the parameters and buffers of ``twin``, a working copy, the values of ``state``; the others keep theirs.

    The objects stay the same, so that every reference to them holds: a list of weights, TorchScript. (What
    ``torch.func.functional_call`` does reaches attributes alone.) Buffers are copied: a forward may write into them.
    """
    for key, tensor in held_tensors(twin).items():
        if key in state:
            tensor.data = state[key] if isinstance(tensor, nn.Parameter) else state[key].clone()
