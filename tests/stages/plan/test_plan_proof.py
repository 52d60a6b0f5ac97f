"""A Plan that does not hold cannot be made; its message names every fault."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from torchgraft.stages.plan import (
    Fill,
    Flip,
    Joined,
    LeftOver,
    Moved,
    Part,
    Plan,
    PlanError,
    Recipe,
    Transpose,
    Variable,
)

KERNEL, BIAS, SEED = Variable("fc/kernel", (2, 3)), Variable("fc/bias", (3,)), Variable("drop/seed", (2,), "uint32")
WEIGHT = Recipe(KERNEL).then(Transpose((1, 0)))
GOOD = {
    "recipes": {"weight": WEIGHT, "bias": Recipe(BIAS)},
    "variables": {"fc/kernel": KERNEL, "fc/bias": BIAS, "drop/seed": SEED},
    "shapes": {"weight": (3, 2), "bias": (3,), "steps": ()},
    "unused": (LeftOver("drop/seed", (2,), "no weight"),),
    "unmatched": (LeftOver("steps", (), "a counter"),),
}


def faults(**changes) -> list[str]:
    """The lines of the message after its head."""
    with pytest.raises(PlanError) as caught:
        Plan(**(GOOD | changes))
    head, *lines = str(caught.value).split("\n  ")
    assert head == "the plan does not hold:"
    return lines


def test_a_plan_that_holds_is_made():
    plan = Plan(**GOOD)
    assert len(plan) == 2
    assert plan["weight"] is WEIGHT


def test_a_key_that_nothing_makes():
    assert faults(unmatched=()) == ["key steps is neither made nor left over"]


def test_a_key_that_is_made_and_left_over():
    twice = (*GOOD["unmatched"], LeftOver("bias", (3,), "stays"))
    assert faults(unmatched=twice) == ["key bias is both made and left over"]


def test_a_key_that_is_left_over_twice():
    assert faults(unmatched=GOOD["unmatched"] * 2) == ["key steps is left over 2 times"]


def test_a_key_that_the_module_does_not_have():
    shapes = {key: shape for key, shape in GOOD["shapes"].items() if key != "bias"}
    assert faults(shapes=shapes) == ["key bias is not in the module's state_dict"]
    assert faults(unmatched=(*GOOD["unmatched"], LeftOver("gone", (), "stays"))) == [
        "key gone is not in the module's state_dict"
    ]


def test_a_recipe_that_makes_another_shape():
    recipes = GOOD["recipes"] | {"weight": Recipe(KERNEL)}
    assert faults(recipes=recipes) == ["key weight has shape (3, 2), its recipe makes (2, 3)"]


def test_a_key_that_is_left_over_in_another_shape():
    assert faults(unmatched=(LeftOver("steps", (1,), "stays"),)) == ["key steps has shape (), it is left over as (1,)"]


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        (Moved(Transpose((1, 0)), BIAS), "Transpose: perm (1, 0) does not fit an array of shape (3,)"),
        (Part(0, 1, 4, BIAS), "Part: 1:4 on axis 0 does not fit shape (3,)"),
        (Joined(0, (BIAS, Fill(0, (1,), "int64"))), "Joined: dtypes ['float32', 'int64'] differ"),
    ],
)
def test_a_recipe_that_does_not_fit_together(expression, reason):
    assert faults(recipes=GOOD["recipes"] | {"bias": Recipe(expression)}) == [f"key bias cannot be made: {reason}"]


def test_a_variable_that_nobody_takes():
    assert faults(unused=()) == ["variable drop/seed is neither used nor left over"]


def test_a_variable_that_is_used_and_left_over():
    twice = (*GOOD["unused"], LeftOver("fc/bias", (3,), "no weight"))
    assert faults(unused=twice) == ["variable fc/bias is both used and left over"]


def test_a_variable_that_is_left_over_twice():
    assert faults(unused=GOOD["unused"] * 2) == ["variable drop/seed is left over 2 times"]


def test_a_variable_that_the_model_does_not_have():
    variables = {path: variable for path, variable in GOOD["variables"].items() if path != "fc/bias"}
    assert faults(variables=variables) == ["variable fc/bias is not in the Keras model"]
    assert faults(unused=(*GOOD["unused"], LeftOver("gone", (), "no weight"))) == [
        "variable gone is not in the Keras model"
    ]


def test_a_variable_that_a_recipe_takes_in_another_shape_or_dtype_also_where_a_later_one_takes_it_right():
    shaped = Recipe(Variable("fc/bias", (1, 3))).then()
    halved = Recipe(replace(KERNEL, dtype="float16")).then(Transpose((1, 0)))
    recipes = {"weight": halved, "row": shaped, "bias": Recipe(BIAS), "weight2": WEIGHT}
    shapes = GOOD["shapes"] | {"row": (1, 3), "weight2": (3, 2)}
    assert faults(recipes=recipes, shapes=shapes) == [
        "variable fc/kernel has dtype float32, a recipe takes it as float16",
        "variable fc/bias has shape (3,), a recipe takes it as (1, 3)",
    ]


def test_a_variable_that_is_left_over_in_another_shape():
    assert faults(unused=(LeftOver("drop/seed", (3,), "no weight"),)) == [
        "variable drop/seed has shape (2,), it is left over as (3,)"
    ]


def test_a_variable_that_is_recorded_under_another_path():
    variables = GOOD["variables"] | {"drop/seed": Variable("seed", (2,), "uint32")}
    assert faults(variables=variables) == ["variable drop/seed is recorded under the path seed"]


@pytest.mark.parametrize("reason", ["", " "])
def test_leaving_over_without_a_reason(reason):
    assert faults(unused=(LeftOver("drop/seed", (2,), reason),), unmatched=(LeftOver("steps", (), reason),)) == [
        "variable drop/seed is left over without a reason",
        "key steps is left over without a reason",
    ]


TIED = {
    "recipes": GOOD["recipes"] | {"head": WEIGHT},
    "shapes": GOOD["shapes"] | {"head": (3, 2)},
}


def test_tied_keys_with_equal_recipes_written_differently_hold():
    pieces = Joined(1, (Part(1, 0, 1, KERNEL), Part(1, 1, 3, KERNEL)))
    recipes = TIED["recipes"] | {"head": Recipe(Moved(Transpose((1, 0)), pieces))}
    assert Plan(**(GOOD | TIED | {"recipes": recipes, "ties": (("weight", "head"),)})).ties


def test_tied_keys_that_are_both_left_over_hold():
    unmatched = (*GOOD["unmatched"], LeftOver("count", (), "a counter"))
    assert Plan(
        **(GOOD | {"shapes": GOOD["shapes"] | {"count": ()}, "unmatched": unmatched, "ties": (("steps", "count"),)})
    )


def test_tied_keys_with_different_recipes():
    recipes = TIED["recipes"] | {"head": WEIGHT.then(Flip(0))}
    assert faults(**(TIED | {"recipes": recipes, "ties": (("weight", "head"),)})) == [
        "keys weight and head are one tensor, their recipes make two different ones"
    ]


def test_tied_keys_of_which_one_is_left_over():
    shapes = GOOD["shapes"] | {"head": (3, 2)}
    unmatched = (*GOOD["unmatched"], LeftOver("head", (3, 2), "stays"))
    assert faults(shapes=shapes, unmatched=unmatched, ties=(("weight", "head"),)) == [
        "keys weight, head are one tensor, only weight is made"
    ]


def test_tied_keys_that_the_module_does_not_have():
    assert faults(ties=(("weight", "gone"),)) == ["keys weight, gone are tied, gone is not in the module's state_dict"]


def test_all_faults_stand_in_one_message():
    found = faults(
        recipes={"weight": Recipe(KERNEL), "gone": Recipe(BIAS)}, unused=(), unmatched=(LeftOver("steps", (), ""),)
    )
    assert found == [
        "key weight has shape (3, 2), its recipe makes (2, 3)",
        "key bias is neither made nor left over",
        "key gone is not in the module's state_dict",
        "variable drop/seed is neither used nor left over",
        "key steps is left over without a reason",
    ]
    assert all(re.match(r"(key|variable) \S+ ", line) for line in found)
