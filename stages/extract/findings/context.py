"""What a checker may look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ...base import Port
from ...torch_graph import Op, Reading
from ..align import Alignment
from ..probe import Probe


@dataclass(frozen=True)
class Context:
    """One extraction, as far as it has come.

    Attributes:
        alignment: the pairs.
        reference / target: both readings.
        probe: the reference under the probe.
        layer_of: the Keras layer of a reference op.
        outputs: the Keras outputs' ports.
        guessed: names of the outputs that were found by position alone.
        given: the module's outputs under the probe.
    """

    alignment: Alignment
    reference: Reading
    target: Reading
    probe: Probe
    layer_of: Callable[[Op], str]
    outputs: Sequence[Port]
    guessed: Sequence[str]
    given: Sequence[torch.Tensor]

    @property
    def marks(self) -> Mapping[str, npt.NDArray[np.float64]]:
        return self.probe.marks


def glue_before(reading: Reading, name: str) -> list[str]:
    """Operator names on the way back from the value ``name`` to the nearest ops, nearest first, each value once."""
    found: list[str] = []
    waiting, seen = [name], set()
    while waiting:
        current = waiting.pop(0)
        if current in seen or current not in reading.glue:
            continue
        seen.add(current)
        operator, parents = reading.glue[current]
        found.append(operator)
        waiting += parents
    return found
