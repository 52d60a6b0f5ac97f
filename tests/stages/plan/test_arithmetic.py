"""Arithmetic on weights: computed as written, shown, kept in the file, and never taken for a move."""

from __future__ import annotations

import json
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchgraft.stages.plan import Computed, LeftOver, Plan, PlanError, Recipe, Transpose, Variable

from .strategies import computed, expressions

MEAN, BIAS = Variable("bn/mean", (3,)), Variable("conv/bias", (3,))
LESS = Recipe(Computed("a - b", (MEAN, BIAS)))


def values(*recipes: Recipe) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {v.path: rng.uniform(1, 2, v.shape).astype(v.dtype) for recipe in recipes for v in recipe.variables}


@given(computed())
def test_shape_and_dtype_are_those_of_what_it_makes(expression):
    recipe = Recipe(expression)
    with np.errstate(all="ignore"):  # the constants of expressions() hold zeros, and zeros divide
        made = recipe.apply(values(recipe))
    assert (recipe.shape, recipe.dtype) == (made.shape, made.dtype.name)
    assert recipe.arithmetic


@given(computed())
def test_json_brings_the_same_recipe_back(expression):
    recipe = Recipe(expression, ("absorbed",))
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


@given(computed(), st.one_of(computed(), expressions()))
def test_equal_formulas_make_equal_tensors_and_a_move_never_equals_one(first, second):
    one, other = Recipe(first), Recipe(second)
    assert one.equals(one)
    assert one.equals(other) == other.equals(one)
    if one.equals(other):
        arrays = values(one, other)
        with np.errstate(all="ignore"):
            assert np.array_equal(one.apply(arrays), other.apply(arrays), equal_nan=True)
        assert other.arithmetic


@given(st.permutations(range(3)), st.sampled_from(["a + b", "a - b", "a * b", "a / b"]))
def test_moves_go_to_the_operands_and_change_no_value(perm, formula):
    a, b = Variable("a", (2, 3, 4)), Variable("b", (2, 3, 4))
    before, after = Recipe(Computed(formula, (a, b))), Recipe(Computed(formula, (a, b))).then(Transpose(tuple(perm)))
    assert isinstance(after.expression, Computed)
    arrays = values(before)
    assert np.array_equal(after.apply(arrays), before.apply(arrays).transpose(perm))


def test_the_formula_is_shown_and_differs_from_its_mirror_image():
    assert str(LESS) == "(bn/mean - conv/bias)"
    assert not LESS.equals(Recipe(Computed("a - b", (BIAS, MEAN))))
    assert not LESS.equals(Recipe(MEAN))
    with pytest.raises(ValueError, match="no index map"):
        LESS.index_map()


def test_quantised_integers_are_scaled_in_the_results_dtype():
    q, scale = Variable("dense/kernel", (4, 3), "int8"), Variable("dense/scale", (3,))
    arrays = {"dense/kernel": np.arange(-6, 6, dtype=np.int8).reshape(4, 3), "dense/scale": np.float32([3, 7, 11])}
    exact = arrays["dense/kernel"].astype(np.float64) / arrays["dense/scale"].astype(np.float64)
    recipe = Computed("a / b", (q, scale))
    made = recipe.apply(arrays)
    assert made.dtype == np.float32
    assert np.abs(made - exact).max() <= recipe.tolerance * np.abs(exact).max()
    assert recipe.tolerance == 2.0**-24
    assert math.isclose(Computed("cast(a)", (q,), "bfloat16").tolerance, float(ml_dtypes.finfo("bfloat16").eps) / 2)


@pytest.mark.parametrize(
    ("formula", "operands", "dtype", "message"),
    [
        ("a ** b", (MEAN, BIAS), "float32", "unknown formula"),
        ("a + b", (MEAN,), "float32", "takes 2 operands"),
        ("cast(a)", (MEAN, BIAS), "float32", "takes 1 operands"),
        ("cast(a)", (MEAN,), "int8", "floating point"),
    ],
)
def test_what_is_no_formula_is_refused(formula, operands, dtype, message):
    with pytest.raises(ValueError, match=message):
        Computed(formula, operands, dtype)
    data = {"formula": formula, "of": [each.to_json() for each in operands], "dtype": dtype}
    with pytest.raises(ValueError, match=message):
        Recipe.from_json({"expression": data, "evidence": []})


def test_shapes_that_do_not_broadcast_are_refused():
    with pytest.raises(ValueError, match="do not broadcast"):
        _ = Computed("a + b", (MEAN, Variable("other", (4,)))).shape


def test_a_plan_marks_what_is_computed_and_names_it_where_there_is_no_way_back():
    plan = Plan(
        recipes={"mean": LESS, "plain": Recipe(MEAN)},
        variables={"bn/mean": MEAN, "conv/bias": BIAS, "other": BIAS.__class__("other", (3,))},
        shapes={"mean": (3,), "plain": (3,)},
        unused=(LeftOver("other", (3,), "not read"),),
    )
    assert list(plan.arithmetic) == ["mean"]
    assert "(bn/mean - conv/bias)" in plan.arithmetic["mean"]
    state = plan.apply({"bn/mean": np.float32([1, 2, 3]), "conv/bias": np.ones(3, "f"), "other": np.ones(3, "f")})
    assert state["mean"].tolist() == [0, 1, 2]
    with pytest.raises(PlanError, match="key mean: it was computed"):
        plan.restore(state)
    assert Plan.from_json(plan.to_json()) == plan
