"""A module in another floating type than Keras: aligned in the reference's, delivered in its own by a marked cast.

What is rounded is no longer bit-equal to Keras: the Recipe says so (``Computed``, "cast(a)"), and the module is
compared as it stands, in its own type. What the type cannot hold is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ..errors import DifferenceError, UnsupportedError
from ..plan import Array, Computed, Expression, Fill, Joined, Moved, Part, Plan, Recipe
from ..torch_graph import floating_dtype, numpy_dtype, working_copy


@contextmanager
def computing_in(dtype: torch.dtype) -> Iterator[None]:
    """What torch makes without being told a type (the numbers of a probe) is of this one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def in_dtype_of(module: nn.Module, reference: nn.Module) -> nn.Module:
    """The module, or a copy of it in the reference's floating type where its parameters have another one."""
    wanted = floating_dtype(reference)
    own = {parameter.dtype for parameter in module.parameters() if parameter.is_floating_point()}
    return module if own <= {wanted} else working_copy(module).to(wanted)


def in_own_dtypes(plan: Plan, module: nn.Module) -> Plan:
    """The Plan with a cast, marked as arithmetic, for every key that the module has in another floating type.

    Raises:
        UnsupportedError: numbers for integers, or the other way round.
    """
    recipes, wrong = {}, []
    held = module.state_dict()
    for key, recipe in plan.recipes.items():
        tensor = held[key]
        wanted = numpy_dtype(tensor.dtype)
        if wanted == recipe.dtype:
            recipes[key] = recipe
        elif tensor.is_floating_point() and "float" in recipe.dtype:
            made = Recipe(_cast(recipe.expression, wanted), recipe.evidence)
            recipes[key] = made.because(f"dtype: the module has {wanted}") if made.arithmetic else made
        else:
            wrong.append(f"{key}: {wanted}, Keras has {recipe.dtype}")
    if wrong:
        raise UnsupportedError(
            f"{len(wrong)} keys have another dtype than their Keras variable",
            where=type(module).__name__,
            fix="give torchgraft the module in Keras' dtype, and cast it afterwards",
            details=tuple(wrong[:20]),
        )
    return plan if recipes == plan.recipes else replace(plan, recipes=recipes)


def _cast(expression: Expression, wanted: str) -> Expression:
    """The cast at the leaves. A variable that was only widened for the reference is taken as it is."""
    if expression.dtype == wanted:
        return expression
    if isinstance(expression, Fill):
        return replace(expression, dtype=wanted)
    if isinstance(expression, Joined):
        return replace(expression, parts=tuple(_cast(part, wanted) for part in expression.parts))
    if isinstance(expression, Moved | Part):
        return replace(expression, source=_cast(expression.source, wanted))
    if isinstance(expression, Computed) and expression.formula == "cast(a)":
        return _cast(expression.operands[0], wanted)
    return Computed("cast(a)", (expression,), wanted)


def refuse_overflow(plan: Plan, variables: Mapping[str, Array], state: Mapping[str, Array], module: str) -> None:
    """Refuse what the module's type cannot hold.

    Raises:
        DifferenceError: values that are finite in Keras and not so in the state; how many, and of which keys.
    """
    lines, count = [], 0
    for key, recipe in plan.recipes.items():
        casts = [each for each in recipe.arithmetic if each.formula == "cast(a)"]
        array = state[key]
        if not casts or np.isfinite(array).all():
            continue
        over = int(array.size - np.count_nonzero(np.isfinite(array)))
        largest = max(float(np.abs(each.operands[0].apply(variables)).max()) for each in casts)
        limit = torch.finfo(getattr(torch, array.dtype.name)).max
        lines.append(
            f"  {key}: {over} of {array.size} values, the largest {largest:.6g}; {array.dtype.name} ends at {limit:.6g}"
        )
        count += over
    if lines:
        names = " and ".join(sorted({state[line.split(":")[0].strip()].dtype.name for line in lines}))
        raise DifferenceError(
            f"{count} values of {len(lines)} tensors overflow {names}",
            where=module,
            fix="keep these layers in float32, or use bfloat16, which has float32's range",
            details=tuple(lines),
        )
