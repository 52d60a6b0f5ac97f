"""A Plan survives its file; a file that is none is refused with what was wrong."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchgraft.stages.plan import (
    Fill,
    Joined,
    LeftOver,
    Part,
    Plan,
    PlanError,
    Recipe,
    Reorder,
    Reshape,
    Transpose,
    Variable,
)

from .strategies import expressions

KERNEL, SEED = Variable("fc/kernel", (2, 4)), Variable("drop/seed", (2,), "uint32")
WEIGHT = Recipe(KERNEL).then(Reorder(1, (2, 2), (1, 0)), Transpose((1, 0))).because("values: equal on 2 probes")


@pytest.fixture
def plan() -> Plan:
    """A Plan with every kind of expression, something left over on both sides, and a tie."""
    padded = Recipe(Joined(1, (Part(1, 0, 1, KERNEL), Fill(0, (2, 1))))).then(Reshape((2, 2), (4,)))
    return Plan(
        recipes={"weight": WEIGHT, "head": WEIGHT.because("tied"), "padded": padded},
        variables={"fc/kernel": KERNEL, "drop/seed": SEED},
        shapes={"weight": (4, 2), "steps": (), "head": (4, 2), "padded": (4,)},
        unused=(LeftOver("drop/seed", (2,), "no weight"),),
        unmatched=(LeftOver("steps", (), "a counter"),),
        ties=(("weight", "head"),),
    )


def test_the_file_brings_the_same_plan_back(plan, tmp_path):
    plan.save(tmp_path / "plan.json")
    back = Plan.load(tmp_path / "plan.json")
    assert back == plan
    assert list(back.shapes) == list(plan.shapes)
    assert [recipe.evidence for recipe in back.recipes.values()] == [
        recipe.evidence for recipe in plan.recipes.values()
    ]
    back.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "plan.json").read_bytes()


@given(st.lists(expressions(), max_size=3))
def test_json_brings_any_plan_back(several):
    recipes = {f"key{i}": Recipe(expression) for i, expression in enumerate(several)}
    variables = {variable.path: variable for recipe in recipes.values() for variable in recipe.variables}
    plan = Plan(recipes, variables, {key: recipe.shape for key, recipe in recipes.items()})
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def refusal(data) -> str:
    with pytest.raises(PlanError) as caught:
        Plan.from_json(data)
    return str(caught.value)


@pytest.mark.parametrize("data", [None, [], 1, "plan", True])
def test_what_is_no_object_is_no_plan(data):
    assert refusal(data) == f"this is no plan: a plan must be an object, received {data!r}"


@pytest.mark.parametrize("found", [0, 2, "1", None, True])
def test_another_format_is_named(plan, found):
    assert refusal(plan.to_json() | {"format": found}) == f"this is no plan: its format is {found!r}, known is 1"


def paths_in(data, path=()):
    """Where every value of some JSON stands, the containers among them."""
    yield path
    if isinstance(data, (dict, list)):
        for name, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from paths_in(value, (*path, name))


def replaced(data, path, value):
    """A copy of the data with another value at ``path``."""
    data = copy.deepcopy(data)
    place = data
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return data


MAY_BE_ANYTHING_OF_ITS_TYPE = {"reason", "fill", "evidence", "dtype"}  # dtype: that of a variable that nobody takes


@pytest.mark.parametrize("other", [None, {}, [], "text", 1.5, True, -1, 7, {"a": 1}, [None]], ids=str)
def test_another_value_anywhere_is_a_plan_error_or_a_valid_plan(plan, other):
    data = plan.to_json()
    for path in paths_in(data):
        if not path or json.dumps(changed := replaced(data, path, other)) == json.dumps(data):
            continue
        try:
            back = Plan.from_json(changed)
        except PlanError:
            continue
        assert path[-1] in MAY_BE_ANYTHING_OF_ITS_TYPE or path[:-1][-1:] == ("evidence",) or path[0] == "ties", path
        assert Plan.from_json(json.loads(json.dumps(back.to_json()))) == back


def test_a_missing_field_anywhere_is_a_plan_error(plan):
    data = plan.to_json()
    for path in paths_in(data):
        named_by_the_user = path[:-1] in (("keys",), ("variables",))
        if path and isinstance(path[-1], str) and not named_by_the_user:
            missing = copy.deepcopy(data)
            place = missing
            for name in path[:-1]:
                place = place[name]
            del place[path[-1]]
            refusal(missing)


def test_an_unknown_field_anywhere_is_a_plan_error(plan):
    data = plan.to_json()
    for path in paths_in(data):
        place = data
        for name in path:
            place = place[name]
        if isinstance(place, dict):
            refusal(replaced({"whole": data}, ("whole", *path, "unknown"), 1)["whole"])


def test_the_message_says_where(plan):
    data = plan.to_json()
    assert refusal(replaced(data, ("keys", "weight", "expression", "perm"), [1, "0"])) == (
        "this is no plan: key weight: transpose perm must be an integer, received '0'"
    )
    assert refusal(replaced(data, ("variables", "drop/seed", "shape"), [-2])) == (
        "this is no plan: variable drop/seed: shape must not be negative, received [-2]"
    )


def test_a_plan_that_does_not_hold_is_refused_as_one(plan):
    found = refusal(replaced(plan.to_json(), ("unused",), []))
    assert found == "the plan does not hold:\n  variable drop/seed is neither used nor left over"


def test_recipes_nested_too_deep_are_refused(plan):
    deep = {"fill": 0, "shape": [1], "dtype": "float32"}
    for _ in range(100_000):
        deep = {"move": "flip", "axis": 0, "of": deep}
    data = plan.to_json()
    data["keys"]["weight"]["expression"] = deep
    assert refusal(data) == "this is no plan: its recipes are nested too deep"
    while "of" in deep:  # taken apart by hand: an interpreter frees it by recursion
        deep = deep.pop("of")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "this is no plan: Expecting value"),
        (b"{", "this is no plan: Expecting property name"),
        (b"\x80\x02", "this is no plan: 'utf-8' codec"),
        (b'{"format": 1, "format": 1}', "this is no plan: 'format' is there twice in one object"),
        (b"[" * 100_000, "this is no plan: it is nested too deep"),
        (b"[]", "this is no plan: a plan must be an object"),
        (b'{"format": 1}', "this is no plan: a plan must have the fields format, keys, variables"),
    ],
    ids=["empty", "cut off", "binary", "twice", "deep", "array", "fields"],
)
def test_a_file_that_is_no_plan_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(PlanError) as caught:
        Plan.load(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_key_that_stands_twice_in_the_file_is_refused(plan, tmp_path):
    path = tmp_path / "plan.json"
    plan.save(path)
    path.write_text(path.read_text().replace('"padded": {', '"weight": {'))
    with pytest.raises(PlanError, match="'weight' is there twice in one object"):
        Plan.load(path)
