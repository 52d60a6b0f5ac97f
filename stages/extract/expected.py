"""Where each Keras output is expected among the module's outputs, and what may stand there for it.

A choice between equal candidates that puts another value there is taken back. What stands there need not be the
output itself: the value before Keras' last activation does as well, and so does the output with one more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..base import Port
from ..fit import OutputFit
from ..fit.activations import activated
from ..fit.names import ORDER_KEEPING
from ..torch_graph import Reading
from .fingerprint import fingerprint, matching
from .probe import Probe
from .reference import Reference


@dataclass(frozen=True)
class Expected:
    """One Keras output.

    Attributes:
        place: its position among the module's outputs, as is stated, else by its name, else by its position; None where
            nothing tells.
        marks: fingerprints of what may stand there.
        names: values of the reference that the output is made from by glue alone, nearest first, itself among them.
        end: the value of the reference that is stated to be given in its place, with trained layers behind it; "" for
            none.
        weight: how much it counts that it stands there: what is stated goes before what is likely.
    """

    place: int | None
    marks: tuple[npt.NDArray[np.float64], ...]
    names: tuple[str, ...]
    end: str = ""
    weight: int = 1

    def is_among(self, marks: Sequence[npt.NDArray[np.float64]]) -> bool:
        """Whether it stands where it is expected, among the fingerprints of the module's outputs."""
        found = {position for mark in self.marks for position in matching(mark, marks)}
        return bool(found) if self.place is None else self.place in found


def expected_outputs(
    reference: Reference,
    probe: Probe,
    ports: Sequence[Port],
    places: Sequence[str],
    stated: Mapping[str, OutputFit],
) -> tuple[Expected, ...]:
    """Each Keras output; ``places`` are those of the module's outputs in what forward returns."""
    found = []
    keys = [place.rpartition(".")[2] for place in places]
    for position, (port, value) in enumerate(zip(ports, probe.outputs, strict=True)):
        likely = position if len(ports) == len(places) else None
        said = stated.get(port.name, OutputFit())
        place = keys.index(port.name) if port.name in keys else likely
        place = places.index(said.place) if said.place in places else place
        names = tuple(before(reference.reading, probe, value))
        laid = torch.from_numpy(np.ascontiguousarray(port.to_keras(value.numpy())))
        marks = [fingerprint(value), *(probe.marks[name] for name in names if name in probe.marks)]
        if value.is_floating_point():
            marks += [fingerprint(activated(name, laid)) for name in ORDER_KEEPING]
        end = reference.places.get(said.value or "", "")
        end = end if end in probe.marks and end not in names else ""
        marks = [probe.marks[end]] if end else marks
        found.append(Expected(place, tuple(marks), names, end, 2 if said != OutputFit() else 1))
    return tuple(found)


def before(reading: Reading, probe: Probe, output: torch.Tensor) -> list[str]:
    """The values that ``output`` is made from by glue alone, nearest first."""
    names = list(probe.marks)
    waiting = [names[position] for position in matching(fingerprint(output), list(probe.marks.values()))]
    found: dict[str, None] = {}
    while waiting:
        current = waiting.pop(0)
        if current not in found:
            found[current] = None
            glue = reading.glue.get(current)
            waiting += glue.reads if glue and not glue.parameters else ()
    return list(found)
