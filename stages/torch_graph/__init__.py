"""A PyTorch module as a graph of parameterised operations that can be run and looked into."""

from .op import CONVOLUTIONS, NEUTRAL, NORMALISATIONS, Op, Slot
from .read import ForwardError, read, user_forward, working_copy
from .reading import AtOp, Glue, OpCall, Reading, State
from .tensors import as_tensor

__all__ = [
    "CONVOLUTIONS",
    "NEUTRAL",
    "NORMALISATIONS",
    "AtOp",
    "ForwardError",
    "Glue",
    "Op",
    "OpCall",
    "Reading",
    "Slot",
    "State",
    "as_tensor",
    "read",
    "user_forward",
    "working_copy",
]
