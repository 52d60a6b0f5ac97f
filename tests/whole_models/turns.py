"""How often a module of PyTorch's puts elements in another order in memory, counted in a run."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary


class Turns(TorchDispatchMode):
    """While it is entered, ``count`` is that of the moving ones; one right behind another counts as one with it."""

    def __init__(self) -> None:
        super().__init__()
        self._chains: Any = WeakIdKeyDictionary()  # what a turn gave → (sizes before, order of axes)
        self._kept: list[torch.Tensor] = []

    @property
    def count(self) -> int:
        return sum(_moves(*chain) for chain in self._chains.values())

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten.transpose.int, torch.ops.aten.permute.default, torch.ops.aten.t.default):
            perm = _perm(func, args)
            sizes, before = self._chains.pop(args[0], (tuple(args[0].shape), tuple(range(args[0].dim()))))
            if not _is_parameter(args[0]):
                self._chains[made] = (sizes, tuple(before[axis] for axis in perm))
                self._kept.append(made)
        return made


def _perm(func: Any, args: tuple[Any, ...]) -> list[int]:
    rank = args[0].dim()
    if func is torch.ops.aten.permute.default:
        return [axis % rank for axis in args[1]]
    first, second = (args[1] % rank, args[2] % rank) if len(args) > 1 else (0, rank - 1)
    perm = list(range(rank))
    perm[first], perm[second] = perm[second], perm[first]
    return perm


def _is_parameter(value: torch.Tensor) -> bool:
    return isinstance(value, torch.nn.Parameter) or value.requires_grad


def _moves(sizes: tuple[int, ...], perm: tuple[int, ...]) -> bool:
    longer = [axis for axis in perm if sizes[axis] != 1]
    return longer != sorted(longer)
