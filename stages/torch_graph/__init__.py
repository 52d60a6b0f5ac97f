"""A PyTorch module as a graph of parameterised operations that can be run and looked into."""

from .between import Surroundings
from .call import Call, adapted
from .fitted import call_of_fit, fed, given, outputs_by_place
from .op import CONVOLUTIONS, MOVEMENTS, NEUTRAL, NORMALISATIONS, PARAMETER, TRANSPOSED, Op, Section, Slot
from .read import ForwardError, read, user_forward, working_copy
from .reading import AtOp, Glue, OpCall, Reading, State, chain, kept
from .rows import Rows, rows_read
from .session import Session, WhatIf
from .state import in_own_memory, put_into
from .tensors import as_tensor, exact_tensor, floating_dtype, in_dtype, numpy_dtype, packed

__all__ = [
    "CONVOLUTIONS",
    "MOVEMENTS",
    "NEUTRAL",
    "NORMALISATIONS",
    "PARAMETER",
    "TRANSPOSED",
    "AtOp",
    "Call",
    "ForwardError",
    "Glue",
    "Op",
    "OpCall",
    "Reading",
    "Rows",
    "Section",
    "Session",
    "Slot",
    "State",
    "Surroundings",
    "WhatIf",
    "adapted",
    "as_tensor",
    "call_of_fit",
    "chain",
    "exact_tensor",
    "fed",
    "floating_dtype",
    "given",
    "in_dtype",
    "in_own_memory",
    "kept",
    "numpy_dtype",
    "outputs_by_place",
    "packed",
    "put_into",
    "read",
    "rows_read",
    "user_forward",
    "working_copy",
]
