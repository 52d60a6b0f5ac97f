"""What follows the last layer is not what Keras computes there: an output as if an op read it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from ...base import Finding
from ...torch_graph import Op
from ..fingerprint import Marks, fingerprint, matching
from ..pairs import AS_IT_IS, Match, Pair
from .context import Context
from .departure import explained


def ending(context: Context, name: str, place: str) -> Finding | None:
    """The finding on what makes the output ``name`` of Keras; None where no value of the module gives it by itself.

    Args:
        context: the extraction.
        name: of the Keras output.
        place: of the output among the module's.
    """
    ports = [port.name for port in context.outputs]
    ours = _made_by(context.alignment.outputs[context.placed.positions[name]], context.alignment.marks)
    theirs = _made_by(context.found.probe.outputs[ports.index(name)], context.found.probe.marks)
    if not ours or not theirs:
        return None
    ops = (Op(place, "output", where, {}, {}, None, reads) for where, reads in ((place, ours), (name, theirs)))
    target, reference = ops
    return next(explained(context, Pair(target, Match((reference,), AS_IT_IS), False, "")), None)


def _made_by(output: torch.Tensor, marks: Marks) -> str:
    """The name of the value that an output is."""
    names: list[str] = list(marks)
    table: list[npt.NDArray[np.float64]] = list(marks.values())
    found = matching(fingerprint(output), table)
    return names[found[-1]] if found else ""
