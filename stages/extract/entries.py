"""Whether the operations that read the module's inputs read what operations of the reference read.

The cheapest evidence that the module is fed as Keras is. The run ends with the last of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import torch

from ..torch_graph import CONVOLUTIONS, Op, OpCall, Reading, State, chain
from .fingerprint import fingerprint, matching
from .pairs import ways_together
from .preprocessing import is_elementwise
from .probe import Probe, ProbedOp


class _Seen(Exception):  # noqa: N818 - no error: the run may end here
    """All of them have been called."""


def entry_ops(reading: Reading) -> list[Op]:
    """The operations that read nothing but inputs, through glue alone; none where the reading does not know.

    Glue that a parameter enters gives what the module's own weights say, and tells nothing.
    """
    inputs = {name for name, place in reading.places.items() if place.startswith("input ")}
    return [
        op for op in reading.ops.values() if op.sources and op.sources <= inputs and not _weighted(reading, op.reads)
    ]


def _weighted(reading: Reading, name: str) -> bool:
    """Whether a parameter enters the glue that makes a value."""
    return any(reading.glue[each].parameters for each in chain(reading, name))


def entries(reading: Reading, inputs: Sequence[torch.Tensor], state: State, probe: Probe) -> tuple[int, int]:
    """(how many of the entry operations read what one of the reference reads, in any order; how many there are)."""
    waiting = {op.name for op in entry_ops(reading)}
    total, right = len(waiting), 0
    if not waiting:
        return 0, 0
    alike = {
        simple: [probed for probed in probe.ops.values() if is_elementwise(probed.op) is simple]
        for simple in (True, False)
    }  # what a Normalization subtracts from is not what a convolution reads

    def at_op(call: OpCall) -> torch.Tensor:
        nonlocal right
        if call.op.name in waiting:
            waiting.discard(call.op.name)
            read = call.op.canonical_input(call.value)
            right += any(
                all(_reads(call.op, part, alike[is_elementwise(call.op)]) for part in parts)
                for _, parts in ((0, [read]), *ways_together(read))
            )
            if not waiting:
                raise _Seen
        return call.compute()

    with suppress(_Seen):
        reading.run(inputs, state, at_op)
    return right, total


def _reads(op: Op, value: torch.Tensor, alike: Sequence[ProbedOp]) -> bool:
    """Whether an operation of the reference reads these numbers, for as many samples: zeros add nothing to a sum."""
    convolves = op.kind in CONVOLUTIONS
    near = [each for each in alike if not convolves or each.read.shape[:1] == value.shape[:1]]
    return bool(matching(fingerprint(value), [each.mark for each in near], counted=not convolves))
