"""A plan's JSON carried out again, by nothing of torchgraft's: what a key's tensor must be, from the Keras variables.

Each step is told by what numpy does, as stages/plan says of it in words. Arithmetic is one rounded IEEE operation on
whole arrays, so that it, too, can be asked for bit by bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FORMULAS = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a / b": lambda a, b: a / b,
    "cast(a)": lambda a: a,
}


def recomputed(expression: Mapping[str, Any], variables: Mapping[str, Array]) -> Array:
    """The tensor that an expression of plan.json makes."""
    if "variable" in expression:
        return variables[expression["variable"]]
    if "fill" in expression:
        return np.full(expression["shape"], expression["fill"], dtype=expression["dtype"])
    if "join" in expression:
        return np.concatenate([recomputed(part, variables) for part in expression["join"]], expression["axis"])
    if "formula" in expression:
        operands = (recomputed(each, variables).astype(expression["dtype"]) for each in expression["of"])
        return FORMULAS[expression["formula"]](*operands)
    source = recomputed(expression["of"], variables)
    if "part" in expression:
        start, stop = expression["part"]
        return np.take(source, range(start, stop), expression["axis"])
    return _moved(expression, source)


def _moved(step: Mapping[str, Any], source: Array) -> Array:
    if step["move"] == "transpose":
        return np.transpose(source, step["perm"])
    if step["move"] == "reshape":
        return np.reshape(source, step["target"])
    if step["move"] == "flip":
        return np.flip(source, step["axis"])
    assert step["move"] == "reorder", step
    order = step.get("order")
    if order is None:
        order = np.arange(np.prod(step["block"])).reshape(step["block"]).transpose(step["perm"]).reshape(-1)
    return np.take(source, order, step["axis"])


def is_arithmetic(expression: Mapping[str, Any]) -> bool:
    """Whether anything was computed on the way, not only moved."""
    if "formula" in expression:
        return True
    inner = expression.get("join") or ([expression["of"]] if "of" in expression else [])
    return any(is_arithmetic(each) for each in inner)
