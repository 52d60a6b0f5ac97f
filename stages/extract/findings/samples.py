"""A layer of torch's mixes the samples, for it takes them on its second axis, and is given them on the first.

``nn.MultiheadAttention`` and the recurrent layers have ``batch_first=False`` where nothing is said: it fails nowhere.
"""

from __future__ import annotations

import torch
from torch import nn

from ...base import Finding
from .departed import Departed


def samples(departed: Departed) -> Finding | None:
    """What to pass; None where the layer at the departure is given its samples where it takes them."""
    place = departed.place.partition(" (")[0]
    context = departed.context
    module = dict(context.found.module.named_modules()).get(place)
    if module is None or getattr(module, "batch_first", True) or not _given_first(departed, module):
        return None
    cause = f"{place} takes the samples on its second axis (batch_first=False), and is given them on the first"
    return departed.finding(cause, f"pass batch_first=True to {place}, or to the layer that makes it", place=place)


def _given_first(departed: Departed, module: nn.Module) -> bool:
    """Whether one run shows as many samples on the first axis of what it is given, and not on the second."""
    found, shapes = departed.context.found, list[torch.Size]()
    hook = module.register_forward_pre_hook(lambda _, given: shapes.extend(each.shape for each in given[:1]))
    try:
        with torch.no_grad():
            found.module(*found.inputs)
    finally:
        hook.remove()
    count = len(next(iter(found.reference.samples.values())))
    return bool(shapes) and shapes[0][0] == count != shapes[0][1]
