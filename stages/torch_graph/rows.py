"""Which rows of its tables a module reads: what flows into every lookup, and whatever else touches them, in one run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from .generators import kept_generators
from .mode import Mode

#: Lookups: name → which argument the positions are; the table is the first (torch's native_functions.yaml).
_LOOKUPS = {"embedding": 1, "index_select": 2}


@dataclass(frozen=True)
class Rows:
    """What one run read of a table.

    Attributes:
        start, stop: the first row that was read, and one behind the last.
        first: the row from which most of what was read counts on, position by position, or which alone was read; None
            where it is neither: words, no positions.
        looked_up: whether all reading was by lookups.
    """

    start: int
    stop: int
    first: int | None
    looked_up: bool


def rows_read(module: nn.Module, inputs: Sequence[torch.Tensor], keys: Collection[str]) -> dict[str, Rows]:
    """Key → the rows that a run of ``module`` reads; without those that it never touches.

    Args:
        module: a working copy.
        inputs: the arguments of its forward.
        keys: of its parameters, tables whose rows run along the first axis with more than one position.
    """
    watching = _Watching({key: module.state_dict(keep_vars=True)[key] for key in keys})
    with torch.no_grad(), kept_generators(), watching:
        module(*(value.clone() for value in inputs))
    return watching.read


class _Watching(Mode):  # type: ignore[no-untyped-call]
    def __init__(self, tables: dict[str, torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._keys: dict[int, list[str]] = {}
        self._tables = tables
        for key, table in tables.items():
            self._keys.setdefault(table.untyped_storage().data_ptr(), []).append(key)
        self.read: dict[str, Rows] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for value in pytree.tree_leaves((args, kwargs)):
            if not isinstance(value, torch.Tensor) or value.layout is not torch.strided or not value.numel():
                continue
            held = value.untyped_storage().data_ptr()
            if held in self._keys and not _is_view(made, held):
                positions = _positions(func.overloadpacket.__name__, args, value)
                for key in self._keys[held]:
                    self._note(key, value, positions)
        return made

    def _note(self, key: str, view: torch.Tensor, positions: torch.Tensor | None) -> None:
        """A call reads ``view``, which shows a part of the table, or only the rows at ``positions`` of it."""
        table = self._tables[key]
        count = next((size for size in table.shape if size > 1), 1)
        size = table.numel() // count
        before = view.storage_offset() - table.storage_offset()
        if not 0 <= before < table.numel():
            return  # another parameter in the same memory
        if positions is None:
            reach = sum((length - 1) * stride for length, stride in zip(view.shape, view.stride(), strict=True))
            start = before // size
            found = Rows(start, (before + reach) // size + 1, start, looked_up=False)
        else:
            found = _looked_up(positions + before // size)
        known = self.read.get(key, found)
        self.read[key] = Rows(
            min(known.start, found.start),
            max(known.stop, found.stop),
            found.first if found.first == known.first else None,
            known.looked_up and found.looked_up,
        )


def _looked_up(positions: torch.Tensor) -> Rows:
    """What a lookup at ``positions`` (samples, positions) reads."""
    start, stop = int(positions.min()), int(positions.max()) + 1
    offsets = positions - torch.arange(positions.shape[1])
    first = int(offsets.mode().values.mode().values)
    counted = stop == start + 1 or 2 * int((offsets == first).sum()) > offsets.numel()
    return Rows(start, stop, (start if stop == start + 1 else first) if counted else None, looked_up=True)


def _is_view(made: Any, held: int) -> bool:
    """Whether a call gives views of the same memory: what is read is read of them."""
    leaves = [leaf for leaf in pytree.tree_leaves(made) if isinstance(leaf, torch.Tensor) and leaf.numel()]
    return bool(leaves) and all(leaf.untyped_storage().data_ptr() == held for leaf in leaves)


def _positions(name: str, args: Sequence[Any], table: torch.Tensor) -> torch.Tensor | None:
    """(samples, positions) that a lookup takes of ``table``; None where the call is no lookup."""
    positions: torch.Tensor
    if name == "index" and args[0] is table and len(args[1]) == 1:
        positions = args[1][0]
    elif name in _LOOKUPS and args[0] is table and (name == "embedding" or args[1] == 0):
        positions = args[_LOOKUPS[name]]
    else:
        return None
    if positions.dtype is torch.bool or not positions.numel():
        return None
    return positions.reshape(-1, positions.shape[-1]) if positions.dim() else positions.reshape(1, 1)
