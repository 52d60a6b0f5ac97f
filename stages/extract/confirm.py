"""A second probe, with numbers spread wider: what was one on the first need not be one on all values.

ReLU and ReLU6, or a hard sigmoid and a straight line, are the same function on small numbers. The alignment found on
the first probe is run again on the second, and whatever then differs is kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..torch_graph import OpCall, fed, kept
from .fingerprint import fingerprint
from .pairs import reads_as
from .probe import WIDE, Probe
from .reference import Reference
from .search import Found, fed_values


@dataclass(frozen=True)
class Confirmation:
    """The second probe.

    Attributes:
        probe: the reference under it, without what its ops read and give.
        outputs: the module's outputs under it.
        kept: the module's values that were asked for.
        marks: name of every value of the module → fingerprint, and ``probe`` has them likewise; empty where all is
            confirmed.
        unconfirmed: names of the target's ops that read other values than their counterpart now.
    """

    probe: Probe
    outputs: list[torch.Tensor]
    kept: dict[str, torch.Tensor]
    marks: dict[str, npt.NDArray[np.float64]]
    unconfirmed: frozenset[str]


def confirm(reference: Reference, found: Found, keep: set[str]) -> Confirmation:
    """Run both modules again under the alignment found; ``keep`` names the values of the user's module to be kept.

    Fingerprints, as dear as all the rest, are made in a further run where something is not confirmed.
    """
    second = _run(reference, found, keep, marked=False)
    if not second.unconfirmed:
        return second
    del second  # its values are as many as those to come
    return _run(reference, found, keep, marked=True)


def _run(reference: Reference, found: Found, keep: set[str], *, marked: bool) -> Confirmation:
    probed = reference.probed(found.reading, WIDE, found.probe.rows, marked=marked)
    replay = found.alignment.replay(probed)
    unconfirmed: set[str] = set()

    def at_op(call: OpCall) -> torch.Tensor:
        pair = found.alignment.pairs.get(call.op.name)
        if pair is not None and pair.by_values:
            read = call.op.canonical_input(call.value)
            if not reads_as(call.op, pair.match, read, probed):
                unconfirmed.add(call.op.name)
        return replay(call)

    values: dict[str, torch.Tensor] = {}
    marks: dict[str, npt.NDArray[np.float64]] = {}

    def watch(name: str, value: torch.Tensor) -> None:
        if marked:
            marks[name] = fingerprint(value)
        if name in keep:
            values[name] = kept(found.reading, value)

    inputs = fed(found.trial.inputs, fed_values(reference, probed, WIDE, found.fronts))
    outputs = found.reading.run(inputs, found.state, at_op, watch)
    return Confirmation(probed.without_ops(), outputs, values, marks, frozenset(unconfirmed))
