"""The Plan: every key of the user's state_dict with the Recipe that makes it, and what was left over and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .moves import Array, Shape
from .recipe import Recipe, Variable

FORMAT = 1


class PlanError(ValueError):
    """A Plan that does not prove what a Plan must, or an input that it cannot be applied to."""


@dataclass(frozen=True)
class LeftOver:
    """A Keras variable, or a key, that takes no part, and the reason."""

    name: str
    shape: Shape
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "shape": list(self.shape), "reason": self.reason}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LeftOver:
        return cls(data["name"], tuple(data["shape"]), data["reason"])


@dataclass(frozen=True)
class Plan:
    """Where every tensor of a state_dict comes from.

    Construction proves it, or raises ``PlanError``: each key is made exactly once, each variable of the model
    is used or left over with a reason, no variable is both, shapes are right, tied keys have equal recipes.

    Example: a Dense(2 → 3) onto ``nn.Linear(2, 3)`` called ``head``.

        >>> kernel = Variable("dense/kernel", (2, 3))
        >>> plan = Plan(
        ...     recipes={"head.weight": Recipe(kernel).then(Transpose((1, 0)), ...)},
        ...     variables={"dense/kernel": kernel},
        ...     shapes={"head.weight": (3, 2)},
        ... )
        >>> plan.apply({"dense/kernel": array})["head.weight"].shape
        (3, 2)

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
    ties: tuple[tuple[str, ...], ...] = field(default=())

    def __post_init__(self) -> None:
        faults = [*self._faults_of_keys(), *self._faults_of_variables(), *self._faults_of_ties()]
        if faults:
            raise PlanError("the plan does not hold:\n  " + "\n  ".join(faults))

    def _faults_of_keys(self) -> Iterable[str]:
        unmatched = {left.name for left in self.unmatched}
        for key, shape in self.shapes.items():
            if (key in self.recipes) == (key in unmatched):
                yield f"key {key} is {'both made and left over' if key in unmatched else 'neither made nor left over'}"
            elif key in self.recipes and self.recipes[key].shape != shape:
                yield f"key {key} has shape {shape}, its recipe makes {self.recipes[key].shape}"
        for key in (*self.recipes, *unmatched):
            if key not in self.shapes:
                yield f"key {key} is not in the module's state_dict"

    def _faults_of_variables(self) -> Iterable[str]:
        used = {variable.path: variable for recipe in self.recipes.values() for variable in recipe.variables}
        unused = {left.name for left in self.unused}
        for path, variable in self.variables.items():
            if (path in used) == (path in unused):
                yield f"variable {path} is {'both used and left over' if path in unused else 'neither used nor left over'}"
            elif path in used and used[path].shape != variable.shape:
                yield f"variable {path} has shape {variable.shape}, a recipe takes it as {used[path].shape}"
        for path in (*used, *unused):
            if path not in self.variables:
                yield f"variable {path} is not in the Keras model"
        for left in (*self.unused, *self.unmatched):
            if not left.reason:
                yield f"{left.name} is left over without a reason"

    def _faults_of_ties(self) -> Iterable[str]:
        for first, *others in self.ties:
            for other in others:
                if first in self.recipes and other in self.recipes:
                    if not self.recipes[first].equals(self.recipes[other]):
                        yield f"keys {first} and {other} are one tensor, their recipes make two different ones"

    def __getitem__(self, key: str) -> Recipe:
        return self.recipes[key]

    def __len__(self) -> int:
        return len(self.recipes)

    def apply(self, variables: Mapping[str, Array]) -> dict[str, Array]:
        """The state_dict as arrays: key → array, bit-equal to its sources.

        Raises:
            PlanError: a variable is missing or has another shape than the Plan was made for.
        """
        missing = sorted(path for path in self.variables if path not in variables)
        wrong = [
            f"{path}: {variable.shape} in the plan, {variables[path].shape} received"
            for path, variable in self.variables.items()
            if path in variables and variables[path].shape != variable.shape
        ]
        if missing or wrong:
            raise PlanError("the plan does not fit these variables:\n  " + "\n  ".join([*missing, *wrong]))
        return {key: recipe.apply(variables) for key, recipe in self.recipes.items()}

    def restore(self, state: Mapping[str, Array], into: Mapping[str, Array] | None = None) -> dict[str, Array]:
        """The way back: path → array, from a state_dict. Variables that no key takes are copied from ``into``.

        Raises:
            PlanError: a key is missing, a variable is covered only in part, or two keys disagree about an element.
        """
        missing = sorted(key for key in self.recipes if key not in state)
        if missing:
            raise PlanError("the state_dict lacks:\n  " + "\n  ".join(missing))
        found: dict[str, Array] = {}

        def write(variable: Variable, array: Array) -> None:
            if variable.path in found:
                found[variable.path] = _overlay(variable.path, found[variable.path], array)
            else:
                found[variable.path] = array

        for key, recipe in self.recipes.items():
            recipe.expression.restore(state[key], write)
        partial = sorted(path for path, array in found.items() if np.ma.is_masked(array))
        if partial:
            raise PlanError("only a part of these variables is in the state_dict:\n  " + "\n  ".join(partial))
        restored = {path: np.ascontiguousarray(np.ma.getdata(array)) for path, array in found.items()}
        return {path: restored[path] if path in restored else np.array((into or {})[path]) for path in self._restorable(into)}

    def _restorable(self, into: Mapping[str, Array] | None) -> list[str]:
        unused = {left.name for left in self.unused}
        return [path for path in self.variables if path not in unused or (into is not None and path in into)]

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "keys": {
                key: {"shape": list(shape), **(self.recipes[key].to_json() if key in self.recipes else {})}
                for key, shape in self.shapes.items()
            },
            "variables": {path: variable.to_json() for path, variable in self.variables.items()},
            "unused": [left.to_json() for left in self.unused],
            "unmatched": [left.to_json() for left in self.unmatched],
            "ties": [list(tie) for tie in self.ties],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """The inverse of ``to_json``.

        Raises:
            PlanError: the data is no Plan of this format, or one that does not hold.
        """
        if data.get("format") != FORMAT:
            raise PlanError(f"this is no plan of format {FORMAT}: received format {data.get('format')!r}")
        return cls(
            recipes={key: Recipe.from_json(entry) for key, entry in data["keys"].items() if "expression" in entry},
            variables={
                path: Variable(path, tuple(entry["shape"]), entry["dtype"]) for path, entry in data["variables"].items()
            },
            shapes={key: tuple(entry["shape"]) for key, entry in data["keys"].items()},
            unused=tuple(LeftOver.from_json(left) for left in data["unused"]),
            unmatched=tuple(LeftOver.from_json(left) for left in data["unmatched"]),
            ties=tuple(tuple(tie) for tie in data["ties"]),
        )

    def save(self, path: str | Path) -> None:
        """Write the Plan as JSON."""
        Path(path).write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """Read a Plan that ``save`` wrote."""
        return cls.from_json(json.loads(Path(path).read_text(encoding="utf-8")))


def _overlay(path: str, first: Array, second: Array) -> Array:
    """One array from two that may each know only a part of it; PlanError where both know an element and differ."""
    known_first, known_second = ~np.ma.getmaskarray(first), ~np.ma.getmaskarray(second)
    both = known_first & known_second
    ours, theirs = np.ma.getdata(first), np.ma.getdata(second)
    if ours[both].tobytes() != theirs[both].tobytes():
        raise PlanError(f"variable {path}: two keys of the state_dict hold different values for it")
    return np.ma.array(np.where(known_first, ours, theirs), mask=~(known_first | known_second))
