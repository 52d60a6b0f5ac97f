"""How the module takes its inputs, where that is not what PyTorch usually has.

1. A feature map (rank 4 or more) is given with channels last, as Keras has it.
"""

from __future__ import annotations

from collections.abc import Iterable

from ...base import Finding
from .context import Context


def layouts(context: Context) -> Iterable[Finding]:
    """A note for each such input: whoever runs the module must feed it so."""
    for port in context.reference.ports:
        if len(port.shape) >= 4 and not context.found.fit.moves[port.name]:
            yield Finding(
                severity="note",
                place=f"input {port.name}",
                layer=port.name,
                cause=f"the module was given {port.name} with channels last, as Keras has it: {port.shape}",
                fix="feed it so, or permute in forward if your data has channels first",
            )
