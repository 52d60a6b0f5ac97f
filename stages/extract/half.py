"""A module in float16 or bfloat16 for a Keras model in float32: weights that are rounded are no longer Keras'.

The module is aligned as float32, so that what would overflow can be told by name; it is refused in any case, because
what it computes with is not what was proven.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from ..errors import DifferenceError, UnsupportedError
from ..plan import Array
from ..torch_graph import working_copy

HALF = (torch.float16, torch.bfloat16)


def halved_keys(module: nn.Module, variables: Mapping[str, Array]) -> dict[str, torch.dtype]:
    """Key → dtype, of the keys in half precision; none where Keras is in that precision, too."""
    theirs = {array.dtype.name for array in variables.values()}
    found = {key: tensor.dtype for key, tensor in module.state_dict().items() if tensor.dtype in HALF}
    return {} if {str(dtype).removeprefix("torch.") for dtype in found.values()} <= theirs else found


def widened(module: nn.Module) -> nn.Module:
    """A copy in float32."""
    return working_copy(module).float()


def refuse_halved(halved: Mapping[str, torch.dtype], state: Mapping[str, Array], module: str) -> None:
    """Refuse the module, with the values that its precision cannot hold.

    Raises:
        DifferenceError: some overflow; how many, and of which keys.
        UnsupportedError: none does.
    """
    over = {key: count for key, dtype in halved.items() if key in state and (count := _overflows(state[key], dtype))}
    name = " and ".join(sorted({str(dtype).removeprefix("torch.") for dtype in halved.values()}))
    if over:
        raise DifferenceError(
            f"{sum(over.values())} values of {len(over)} tensors overflow {name}",
            where=module,
            fix="keep these layers in float32, or use bfloat16, which has float32's range",
            details=tuple(
                f"  {key}: {count} of {state[key].size} values, the largest {np.abs(state[key]).max():.6g}; "
                f"{halved[key]} ends at {torch.finfo(halved[key]).max:.6g}"
                for key, count in over.items()
            ),
        )
    raise UnsupportedError(
        f"{len(halved)} keys are {name}, Keras has float32: rounded weights are not Keras'",
        where=module,
        fix="give torchgraft the module in Keras' dtype (module.float()), load the state_dict, and cast it afterwards; "
        "no value overflows",
    )


def _overflows(array: Array, dtype: torch.dtype) -> int:
    if not np.issubdtype(array.dtype, np.floating):
        return 0
    cast = torch.from_numpy(np.ascontiguousarray(array)).to(dtype)
    return int((~torch.isfinite(cast)).sum() - (~torch.isfinite(torch.from_numpy(array))).sum())
