"""The Plan: every key of the user's state_dict with the Recipe that makes it, and what was left over and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import parse
from .expressions import Variable
from .left_over import LeftOver
from .moves import Array, Shape
from .plan_json import FORMAT, once, plan_fields
from .proof import faults_of
from .recipe import Recipe


class PlanError(ValueError):
    """A Plan that does not prove what a Plan must, data that is no Plan, or arrays that a Plan does not fit."""


@dataclass(frozen=True)
class Plan:
    """Where every tensor of a state_dict comes from.

    Construction proves it, or raises ``PlanError`` with every fault: each key is made or left over with a reason,
    each variable of the model is used or left over with a reason, nothing is both, shapes are right, tied keys
    have equal recipes.

    Example: a Dense(2 → 3) with a bias onto ``nn.Linear(2, 3)`` called ``head``.

        >>> from torchgraft.stages.plan import LeftOver, Plan, Recipe, Transpose, Variable
        >>> kernel, bias = Variable("dense/kernel", (2, 3)), Variable("dense/bias", (3,))
        >>> plan = Plan(
        ...     recipes={
        ...         "head.weight": Recipe(kernel).then(Transpose((1, 0))).because("values: input equals that of dense"),
        ...         "head.bias": Recipe(bias, ("values: input equals that of dense",)),
        ...     },
        ...     variables={
        ...         "dense/kernel": kernel,
        ...         "dense/bias": bias,
        ...         "dropout/seed": Variable("dropout/seed", (2,), "uint32"),
        ...     },
        ...     shapes={"head.weight": (3, 2), "head.bias": (3,), "steps": ()},
        ...     unused=(LeftOver("dropout/seed", (2,), "the state of a random generator, not a weight"),),
        ...     unmatched=(LeftOver("steps", (), "a counter, stays as it is"),),
        ... )
        >>> for key in plan.recipes:
        ...     print(key, "←", plan[key])
        head.weight ← dense/kernel · transpose(1, 0)
        head.bias ← dense/bias
        >>> arrays = {
        ...     "dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
        ...     "dense/bias": np.ones(3, np.float32),
        ...     "dropout/seed": np.zeros(2, np.uint32),
        ... }
        >>> state = plan.apply(arrays)
        >>> state["head.weight"].tolist()
        [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
        >>> plan.restore(state)["dense/kernel"].tolist()
        [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
        >>> sorted(plan.restore(state, into=arrays))
        ['dense/bias', 'dense/kernel', 'dropout/seed']
        >>> Plan.from_json(plan.to_json()) == plan
        True
        >>> Plan(recipes={}, variables={"dense/kernel": kernel}, shapes={"head.weight": (3, 2)})
        Traceback (most recent call last):
        torchgraft.stages.plan.plan.PlanError: the plan does not hold:
          key head.weight is neither made nor left over
          variable dense/kernel is neither used nor left over

    Attributes:
        recipes: key → Recipe, in the order of the state_dict.
        variables: path → Variable, all those of the Keras model.
        shapes: key → shape that the module's state_dict has for it.
        unused: variables that no key takes, each with its reason.
        unmatched: keys that stay as the module has them, each with its reason.
        ties: groups of keys that are one tensor in the module.
    """

    recipes: Mapping[str, Recipe]
    variables: Mapping[str, Variable]
    shapes: Mapping[str, Shape]
    unused: tuple[LeftOver, ...] = ()
    unmatched: tuple[LeftOver, ...] = ()
    ties: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        _refuse("the plan does not hold", faults_of(self))

    def __getitem__(self, key: str) -> Recipe:
        return self.recipes[key]

    def __len__(self) -> int:
        return len(self.recipes)

    @property
    def arithmetic(self) -> dict[str, str]:
        """Key → formula, of the keys that are computed and not only moved: they have no way back."""
        return {
            key: f"{recipe}, computed in {formulas[0].dtype} (relative {formulas[0].tolerance:.1g})"
            for key, recipe in self.recipes.items()
            if (formulas := recipe.arithmetic)
        }

    def apply(self, variables: Mapping[str, Array]) -> dict[str, Array]:
        """The state_dict as arrays: key → array, bit-equal to its sources but for ``arithmetic``.

        See ``Recipe.apply`` about memory.

        Args:
            variables: path → array, those of a model of the same architecture, all of them.

        Raises:
            PlanError: a variable is missing, or unknown, or has another shape or dtype than the Plan was made for.
        """
        _refuse("the plan does not fit these variables", _misfits(variables, self.variables))
        return {key: recipe.apply(variables) for key, recipe in self.recipes.items()}

    def view(self, variables: Mapping[str, Array]) -> dict[str, Array]:
        """What ``apply`` gives, to be read only: over the variables' memory where it can be (see ``Recipe.view``)."""
        _refuse("the plan does not fit these variables", _misfits(variables, self.variables))
        return {key: recipe.view(variables) for key, recipe in self.recipes.items()}

    def restore(self, state: Mapping[str, Array], into: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """The way back: path → array, from a state_dict.

        Args:
            state: key → array; keys that the Plan leaves as they are may be missing.
            into: path → array; variables that no key takes are copied from it. Without it they are left out.

        Raises:
            PlanError: a key is missing, or unknown, or has another shape or dtype than its recipe makes; a variable
                is covered only in part; two keys disagree about an element; a weight that the Plan made from a
                stated constant has other values now, for which Keras has no variable; a key is computed (every such
                key is named: what it was made from is lost); ``into`` does not fit.
        """
        made = {key: Variable(key, recipe.shape, recipe.dtype) for key, recipe in self.recipes.items()}
        known = {key: array for key, array in state.items() if key in made or key not in self.shapes}
        _refuse("the plan does not fit this state_dict", _misfits(known, made))
        restored = self._restored(state)
        if into is not None:
            unused = {left.name: self.variables[left.name] for left in self.unused}
            held = {path: array for path, array in into.items() if path in unused}
            _refuse("the plan does not fit the variables to restore into", _misfits(held, unused))
            restored.update((path, np.array(array)) for path, array in held.items())
        return {path: restored[path] for path in self.variables if path in restored}

    def _restored(self, state: Mapping[str, Array]) -> dict[str, Array]:
        """Path → array of every variable that a key takes, put together from all keys that take it."""
        found: dict[str, Array] = {}

        def write(variable: Variable, array: Array) -> None:
            path = variable.path
            found[path] = _overlay(path, found[path], array) if path in found else array

        faults: list[str] = []
        for key, recipe in self.recipes.items():
            try:
                with parse.within(f"key {key}"):
                    recipe.expression.restore(state[key], write)
            except ValueError as fault:
                faults.append(str(fault))
        faults += [f"variable {path}: only a part of it is there" for path in found if np.ma.is_masked(found[path])]
        _refuse("the state_dict has no way back", faults)
        return {path: np.asarray(np.ma.getdata(array), order="C") for path, array in found.items()}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; ``Plan.from_json`` reads them."""
        return {
            "format": FORMAT,
            "keys": {
                key: {"shape": list(shape), **(self.recipes[key].to_json() if key in self.recipes else {})}
                for key, shape in self.shapes.items()
            },
            "variables": {
                path: {"shape": list(variable.shape), "dtype": variable.dtype}
                for path, variable in self.variables.items()
            },
            "unused": [left.to_json() for left in self.unused],
            "unmatched": [left.to_json() for left in self.unmatched],
            "ties": [list(tie) for tie in self.ties],
        }

    @classmethod
    def from_json(cls, data: object) -> Plan:
        """The inverse of ``to_json``.

        Raises:
            PlanError: the data is no Plan of this format, or one that does not hold.
        """
        try:
            fields = plan_fields(data)
        except ValueError as fault:
            raise PlanError(f"this is no plan: {fault}") from fault
        except RecursionError as fault:
            raise PlanError("this is no plan: its recipes are nested too deep") from fault
        return cls(**fields)

    def save(self, path: str | Path) -> None:
        """Write the Plan as JSON."""
        Path(path).write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a Plan that ``save`` wrote.

        Raises:
            PlanError: the file is no JSON, names something twice, or is no Plan that holds; the message names the file.
            OSError: the file cannot be read.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=once)
            return cls.from_json(data)
        except RecursionError as fault:
            raise PlanError(f"{path}: this is no plan: it is nested too deep") from fault
        except PlanError as fault:
            raise PlanError(f"{path}: {fault}") from fault
        except ValueError as fault:
            raise PlanError(f"{path}: this is no plan: {fault}") from fault


def _refuse(what: str, faults: list[str]) -> None:
    if faults:
        raise PlanError("\n  ".join((f"{what}:", *faults)))


def _misfits(arrays: Mapping[str, Array], expected: Mapping[str, Variable]) -> list[str]:
    """One line for each array that is missing, unknown, or of another shape or dtype than ``expected``."""
    return [*_differences(arrays, expected), *(f"{name} is unknown to the plan" for name in arrays.keys() - expected)]


def _differences(arrays: Mapping[str, Array], expected: Mapping[str, Variable]) -> Iterator[str]:
    for name, variable in expected.items():
        if name not in arrays:
            yield f"{name} is missing"
        elif arrays[name].shape != variable.shape:
            yield f"{name} has shape {variable.shape} in the plan, received {arrays[name].shape}"
        elif arrays[name].dtype.name != variable.dtype:
            yield f"{name} has dtype {variable.dtype} in the plan, received {arrays[name].dtype.name}"


def _overlay(path: str, first: Array, second: Array) -> Array:
    """One array from two that may each know only a part of it; ValueError where both know an element and differ."""
    known_first, known_second = ~np.ma.getmaskarray(first), ~np.ma.getmaskarray(second)
    both = known_first & known_second
    ours, theirs = np.ma.getdata(first), np.ma.getdata(second)
    if ours[both].tobytes() != theirs[both].tobytes():
        raise ValueError(f"an earlier key holds other values for variable {path}")
    return np.ma.array(np.where(known_first, ours, theirs), mask=~(known_first | known_second))
