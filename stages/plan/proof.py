"""What a Plan proves at its construction: every fault, each one line, all of them at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from .recipe import Recipe

if TYPE_CHECKING:
    from .left_over import LeftOver
    from .plan import Plan


def faults_of(plan: Plan) -> list[str]:
    """One line for each thing that does not hold.

    1. Each key of the module is made or left over, not both, in the module's shape; no other key is.
    2. Each variable of the model is used or left over, not both, in the model's shape and dtype; no other variable is.
    3. What is left over is so once, and has a reason.
    4. Tied keys have equal recipes, or are left over together. (Compared only where 1 to 3 hold.)
    """
    faults = [*_of_recipes(plan), *_of_keys(plan), *_of_variables(plan), *_of_left_over(plan)]
    return faults or [*_of_ties(plan)]


def _of_recipes(plan: Plan) -> Iterator[str]:
    for key, recipe in plan.recipes.items():
        try:
            shape, _ = recipe.shape, recipe.dtype
        except ValueError as fault:
            yield f"key {key} cannot be made: {fault}"
        else:
            if key in plan.shapes and shape != plan.shapes[key]:
                yield f"key {key} has shape {plan.shapes[key]}, its recipe makes {shape}"


def _of_keys(plan: Plan) -> Iterator[str]:
    unmatched = {left.name: left for left in plan.unmatched}
    for key, shape in plan.shapes.items():
        if key in plan.recipes and key in unmatched:
            yield f"key {key} is both made and left over"
        elif key not in plan.recipes and key not in unmatched:
            yield f"key {key} is neither made nor left over"
        elif key in unmatched and unmatched[key].shape != shape:
            yield f"key {key} has shape {shape}, it is left over as {unmatched[key].shape}"
    for key in dict.fromkeys((*plan.recipes, *unmatched)):
        if key not in plan.shapes:
            yield f"key {key} is not in the module's state_dict"


def _of_variables(plan: Plan) -> Iterator[str]:
    taken = dict.fromkeys(variable for recipe in plan.recipes.values() for variable in recipe.variables)
    used = {variable.path for variable in taken}
    unused = {left.name: left for left in plan.unused}
    for path, variable in plan.variables.items():
        if variable.path != path:
            yield f"variable {path} is recorded under the path {variable.path}"
        if path in used and path in unused:
            yield f"variable {path} is both used and left over"
        elif path not in used and path not in unused:
            yield f"variable {path} is neither used nor left over"
        elif path in unused and unused[path].shape != variable.shape:
            yield f"variable {path} has shape {variable.shape}, it is left over as {unused[path].shape}"
    for variable in taken:
        model = plan.variables.get(variable.path, variable)
        if variable.shape != model.shape:
            yield f"variable {variable.path} has shape {model.shape}, a recipe takes it as {variable.shape}"
        if variable.dtype != model.dtype:
            yield f"variable {variable.path} has dtype {model.dtype}, a recipe takes it as {variable.dtype}"
    for path in dict.fromkeys((*(variable.path for variable in taken), *unused)):
        if path not in plan.variables:
            yield f"variable {path} is not in the Keras model"


def _of_left_over(plan: Plan) -> Iterator[str]:
    for what, group in (("variable", plan.unused), ("key", plan.unmatched)):
        yield from _twice(what, group)
        for left in group:
            if not left.reason.strip():
                yield f"{what} {left.name} is left over without a reason"


def _twice(what: str, group: Iterable[LeftOver]) -> Iterator[str]:
    for name, times in Counter(left.name for left in group).items():
        if times > 1:
            yield f"{what} {name} is left over {times} times"


def _of_ties(plan: Plan) -> Iterator[str]:
    for tie in plan.ties:
        unknown = [key for key in tie if key not in plan.shapes]
        made: list[tuple[str, Recipe]] = [(key, plan.recipes[key]) for key in tie if key in plan.recipes]
        if unknown:
            yield f"keys {', '.join(tie)} are tied, {', '.join(unknown)} is not in the module's state_dict"
        elif 0 < len(made) < len(tie):
            yield f"keys {', '.join(tie)} are one tensor, only {', '.join(key for key, _ in made)} is made"
        for key, recipe in made[1:]:
            if not made[0][1].equals(recipe):
                yield f"keys {made[0][0]} and {key} are one tensor, their recipes make two different ones"
