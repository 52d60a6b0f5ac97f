"""A state put into a working copy of a module."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from ..errors import UsageError
from ..plan import Array, Shape
from .tensors import exact_tensor, numpy_dtype


def held_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Key → the parameter or buffer itself; what else a state_dict may hold is left out."""
    state = module.state_dict(keep_vars=True)
    return {key: tensor for key, tensor in state.items() if isinstance(tensor, torch.Tensor)}


def put_into(module: nn.Module, state: Mapping[str, Array], shapes: Mapping[str, Shape]) -> None:
    """Copy ``state`` into a module's own parameters and buffers, one after the other.

    Args:
        module: is changed.
        state: key → array; what it lacks of ``shapes`` stays.
        shapes: every key that the module has to have.

    Raises:
        UsageError: the module has other keys, shapes or dtypes; nothing is changed then.
    """
    held = held_tensors(module)
    wrong = [f"{key}: only one side has it" for key in sorted(held.keys() ^ shapes.keys())]
    for key in state.keys() & held.keys():
        ours, theirs = (tuple(held[key].shape), numpy_dtype(held[key].dtype)), (state[key].shape, state[key].dtype.name)
        wrong += [f"{key}: {ours[1]} {ours[0]}, given {theirs[1]} {theirs[0]}"] if ours != theirs else []
    if wrong:
        raise UsageError(
            f"{len(wrong)} keys do not fit, first {wrong[0]}",
            where=type(module).__name__,
            fix="give the module that was converted, or one that is built as it was",
            details=tuple(wrong[1:]),
        )
    with torch.no_grad():
        for key, array in state.items():
            held[key].copy_(exact_tensor(array, own=False))


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
