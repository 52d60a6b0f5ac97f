"""Arrays as torch takes them, and their types."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import nn

from ..plan import Array

HALF = ("float16", "bfloat16")


def as_tensor(array: Array) -> torch.Tensor:
    """The array as torch takes it: integers as int64, which is what ``nn.Embedding`` and indexing want.

    Half precision becomes float32, which holds every value of it: that is what the graphs compute in.
    """
    if np.issubdtype(array.dtype, np.integer):
        array = array.astype(np.int64)
    elif array.dtype.name in HALF:
        array = array.astype(np.float32)
    return torch.from_numpy(np.array(array, order="C"))  # a module may call view: it gets what torch would make


def exact_tensor(array: Array, *, own: bool = True) -> torch.Tensor:
    """The array as a tensor, bit by bit; also bfloat16, which numpy has from ml_dtypes.

    ``own``: in memory of its own, C-contiguous; else it shares the array's, as that is laid out (no negative strides).
    """
    held = np.array(array, order="C", copy=True) if own else array
    with warnings.catch_warnings():
        # Keras' own memory, which whoever shares it only reads.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        if held.dtype.name == "bfloat16":
            return torch.from_numpy(held.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(held)


def packed(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor, C-contiguous and alone in its memory, as a file of tensors wants it; a copy only where it is not."""
    whole = tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor.detach() if tensor.is_contiguous() and whole else tensor.detach().clone().contiguous()


def numpy_dtype(dtype: torch.dtype) -> str:
    """``torch.bfloat16`` → "bfloat16"."""
    return str(dtype).removeprefix("torch.")


def floating_dtype(module: nn.Module) -> torch.dtype:
    """Of the first floating tensor that the module holds; float32 for one without any."""
    held = (tensor.dtype for tensor in module.state_dict().values() if tensor.is_floating_point())
    return next(held, torch.float32)


def in_dtype(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A floating tensor in another type; integers and booleans as they are."""
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
