"""The grafted state_dict as the tensors that the module is run with.

Few weights are copied, so that each tensor lies in memory as torch lays it. Many are not: a kernel that only had to be
transposed is then Keras' own memory with its strides exchanged. Its values are the same, and hardly a module looks at
strides. One that does (``self.weight.view(…)``) fails so, or gives other values: it is then run on copies after all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch

from ..base import Comparison, Extraction
from ..torch_graph import exact_tensor

State: TypeAlias = dict[str, torch.Tensor]
#: So many bytes are copied without a second thought.
COPIED_BYTES = 64 * 2**20


def compared_as_laid(compared: Callable[[State], Comparison], extraction: Extraction) -> Comparison:
    """What ``compared`` says of the state: without copies where that verifies it, else with them."""
    shared = {key: exact_tensor(array, own=False) for key, array in extraction.state.items()}
    strided = [tensor for tensor in shared.values() if not tensor.is_contiguous()]
    if sum(tensor.numel() * tensor.element_size() for tensor in strided) > COPIED_BYTES:
        try:
            comparison = compared(shared)
        except Exception:  # noqa: BLE001 - whatever the user's forward raises; it is raised again below, where it stays
            comparison = None
        if comparison is not None and comparison.verified:
            return comparison
    return compared({key: tensor.contiguous() for key, tensor in shared.items()})
