"""Reading the JSON of a Plan. What it says is checked here; whether it holds is for the Plan to prove."""

from __future__ import annotations

from typing import Any

from . import parse
from .expressions import variable_from_json
from .left_over import LeftOver
from .recipe import Recipe

FORMAT = 1


def plan_fields(data: object) -> dict[str, Any]:
    """What a Plan is made of, from its JSON; ValueError that says where the data is none."""
    found = parse.record(data, "a plan").get("format")
    if isinstance(found, bool) or found != FORMAT:
        raise ValueError(f"its format is {found!r}, known is {FORMAT}")
    plan = parse.record(data, "a plan", "format", "keys", "variables", "unused", "unmatched", "ties")
    recipes, shapes, variables = {}, {}, {}
    for key, entry in parse.record(plan["keys"], "keys").items():
        with parse.within(f"key {key}"):
            fields = dict(parse.record(entry, "key"))
            shapes[key] = parse.shape(fields.pop("shape", None))
            if fields:
                recipes[key] = Recipe.from_json(fields)
    for path, entry in parse.record(plan["variables"], "variables").items():
        with parse.within(f"variable {path}"):
            fields = {"variable": path, **parse.record(entry, "variable", "shape", "dtype")}
            variables[path] = variable_from_json(fields)
    return {
        "recipes": recipes,
        "variables": variables,
        "shapes": shapes,
        "unused": tuple(LeftOver.from_json(left) for left in parse.items(plan["unused"], "unused")),
        "unmatched": tuple(LeftOver.from_json(left) for left in parse.items(plan["unmatched"], "unmatched")),
        "ties": tuple(parse.texts(tie, "tie") for tie in parse.items(plan["ties"], "ties")),
    }


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names are all different; ValueError where one is there twice."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice in one object")
    return fields
