"""Arrays as torch takes them."""

from __future__ import annotations

import numpy as np
import torch

from ..plan import Array


def as_tensor(array: Array) -> torch.Tensor:
    """The array as torch takes it: integers as int64, which is what ``nn.Embedding`` and indexing want."""
    if np.issubdtype(array.dtype, np.integer):
        array = array.astype(np.int64)
    return torch.from_numpy(np.array(array, order="C"))  # a module may call view: it gets what torch would make
