"""What a call writes into, and the guard that keeps a module's forward from writing into its own weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch._ops import OpOverload
from torch.utils import _pytree as pytree

from ..errors import UnsupportedError
from .mode import Mode


def written_arguments(func: OpOverload, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[torch.Tensor]:
    """The tensors that a call changes, by its ATen schema (``Tensor(a!)``)."""
    for position, argument in enumerate(func._schema.arguments):  # noqa: SLF001 - the only public face of a schema
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[position] if position < len(args) else kwargs.get(argument.name)
            yield from (leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, torch.Tensor))


class UnwrittenWeights(Mode):  # type: ignore[no-untyped-call]
    """While it is on, a call that would write into one of these parameters is refused before it does.

    The weights of a working copy are the user's own memory; and a module whose forward changes its weights computes
    with others than the state_dict that is delivered.
    """

    def __init__(self, parameters: Mapping[str, torch.Tensor], module: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._keys = {tensor.untyped_storage().data_ptr(): key for key, tensor in parameters.items() if tensor.numel()}
        self._module = module
        self.refusal: UnsupportedError | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        for tensor in written_arguments(func, args, kwargs or {}):
            key = self._keys.get(tensor.untyped_storage().data_ptr()) if tensor.numel() else None
            if key is not None:
                name = str(func).removeprefix("aten.")
                self.refusal = UnsupportedError(
                    f"forward writes into its own parameter {key} ({name})",
                    where=self._module,
                    fix="compute with a changed copy; nn.Embedding(max_norm=…) writes: leave max_norm out, scale the "
                    "rows once after loading",
                )
                raise self.refusal
        return func(*args, **(kwargs or {}))
