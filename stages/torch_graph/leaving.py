"""What leaves torch while a module runs: from there on Python may decide by values what is called next.

A module whose calls depend on no value makes the same calls on any input of these shapes: its recorded graph is it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

#: Methods that hand a tensor's memory to Python without a call that a dispatch mode would see.
_HANDING_OUT = (
    *("numpy", "tolist", "__array__", "__dlpack__", "data_ptr", "storage", "untyped_storage", "typed_storage"),
    *("__reduce_ex__", "__deepcopy__"),
)
#: Calls with a result as large as the values say, though no tag of theirs tells.
_SIZED_BY_VALUES = ("aten.where.default", "aten.nonzero_numpy.default", "aten.tensor_split.tensor_indices_or_sections")


class Departures(TorchFunctionMode):
    """While it is entered, ``seen`` gathers the methods that hand out values."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in _HANDING_OUT:
            self.seen.append(f"Tensor.{name}")
        return func(*args, **(kwargs or {}))


def depends_on_values(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], made: Any) -> bool:
    """Whether what a call gives to Python, a number or a shape, is made of a tensor's values."""
    leaves = pytree.tree_leaves(made)
    if torch.Tag.data_dependent_output in func.tags or not all(isinstance(leaf, torch.Tensor) for leaf in leaves):
        return True
    if func is torch.ops.aten.index.Tensor:
        return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
    if func is torch.ops.aten.one_hot.default:
        return bool((args[1] if len(args) > 1 else kwargs.get("num_classes", -1)) < 0)
    return torch.Tag.dynamic_output_shape in func.tags or str(func) in _SIZED_BY_VALUES
