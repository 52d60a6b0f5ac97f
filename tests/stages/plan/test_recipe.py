"""A Recipe is what it makes: written, applied, compared, read back."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchgraft.stages.plan import Fill, Flip, Joined, Moved, Part, Recipe, Reorder, Reshape, Transpose, Variable
from torchgraft.stages.plan.expressions import expression_from_json

from .strategies import DTYPES, bits, chains, expressions, same_bits, shapes

KERNEL = Variable("kernel", (2, 6))
BIAS = Variable("bias", (6,))


def arrays_of(*recipes: Recipe):
    """Values for all variables of the recipes, no two elements of them alike."""
    variables = {variable.path: variable for recipe in recipes for variable in recipe.variables}
    start, arrays = 2, {}
    for path, variable in sorted(variables.items()):
        size = math.prod(variable.shape)
        arrays[path] = np.arange(start, start + size, dtype=np.float32).reshape(variable.shape)
        start += size
    return arrays


@given(expressions())
def test_shape_and_dtype_are_those_of_what_it_makes(expression):
    recipe = Recipe(expression)
    made = recipe.apply(arrays_of(recipe))
    assert (recipe.shape, recipe.dtype) == (made.shape, made.dtype.name)
    assert made.flags.c_contiguous


@given(expressions())
def test_json_brings_the_same_recipe_back_with_its_evidence(expression):
    recipe = Recipe(expression, ("values: equal on 2 probes", "names: conv1"))
    back = Recipe.from_json(json.loads(json.dumps(recipe.to_json())))
    assert back == recipe
    assert back.evidence == recipe.evidence


@given(expressions())
def test_the_index_map_tells_which_element_of_which_variable_stands_where(expression):
    recipe = Recipe(expression)
    arrays = arrays_of(recipe)
    paths, index = recipe.index_map()
    elements = np.concatenate([*(arrays[path].ravel() for path in paths), [0]]).astype(np.float32)
    made, stated = recipe.apply(arrays), index == -1
    assert index.shape == recipe.shape
    assert np.array_equal(elements[index][~stated], made[~stated])
    assert set(np.unique(made[stated])) <= {0, 0.5, 1}  # what expressions() states; variables begin at 2


@given(expressions(), expressions())
def test_recipes_are_equal_exactly_where_they_make_the_same_tensor(first, second):
    one, other = Recipe(first), Recipe(second)
    arrays = arrays_of(one, other)
    assert one.equals(one)
    assert one.equals(other) == other.equals(one) == same_bits(one.apply(arrays), other.apply(arrays))


@given(shapes.flatmap(lambda shape: st.tuples(st.just(shape), chains(shape))))
def test_a_recipe_equals_itself_written_move_by_move(shape_and_moves):
    shape, moves = shape_and_moves
    written = Variable("kernel", shape)
    for move in moves:
        written = Moved(move, written)
    assert Recipe(written).equals(Recipe(Variable("kernel", shape)).then(*moves))


def joined(*parts, axis=0):
    return Recipe(Joined(axis, parts))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Recipe(KERNEL), joined(Part(1, 0, 2, KERNEL), Part(1, 2, 6, KERNEL), axis=1)),
        (Recipe(BIAS), Recipe(Part(0, 0, 6, joined(BIAS, Variable("beta", (3,))).expression))),
        (
            joined(BIAS, Variable("beta", (6,))),
            joined(Variable("beta", (6,)), BIAS).then(Reorder(0, order=(*range(6, 12), *range(6)))),
        ),
        (Recipe(BIAS).then(Flip(0)), Recipe(BIAS).then(Reorder(0, order=(5, 4, 3, 2, 1, 0)))),
        (
            Recipe(Variable("k", (4,))).then(Reorder(0, (2, 2), (1, 0))),
            Recipe(Variable("k", (4,))).then(Reshape((4,), (2, 2)), Transpose((1, 0)), Reshape((2, 2), (4,))),
        ),
        (Recipe(Fill(0, (3,))), joined(Fill(0, (1,)), Fill(0, (2,)))),
        (Recipe(Fill(1, ())), Recipe(Fill(1.0, ()))),
    ],
    ids=["parts joined", "part of joined", "other order", "flip", "block", "fill in pieces", "1 and 1.0"],
)
def test_equal_recipes_that_are_written_differently(first, second):
    assert first != second or first.expression == second.expression
    assert first.equals(second)
    assert second.equals(first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Recipe(BIAS), Recipe(Variable("beta", (6,)))),
        (Recipe(BIAS), Recipe(BIAS).then(Flip(0))),
        (Recipe(BIAS), Recipe(BIAS).then(Reshape((6,), (1, 6)))),
        (Recipe(BIAS), Recipe(Variable("bias", (6,), "float16"))),
        (Recipe(Part(0, 0, 3, BIAS)), Recipe(Part(0, 3, 6, BIAS))),
        (Recipe(Variable("k", (2, 2))), Recipe(Variable("k", (4,))).then(Reshape((4,), (2, 2)))),
        (Recipe(Fill(0, (2,))), Recipe(Fill(1, (2,)))),
        (Recipe(Fill(0.0, (2,))), Recipe(Fill(-0.0, (2,)))),
        (Recipe(Fill(0, (2,))), Recipe(Fill(0, (2,), "int64"))),
        (Recipe(Fill(0, (2,))), Recipe(Variable("zeros", (2,)))),
        (joined(BIAS, Fill(0, (1,))), joined(BIAS, Fill(1, (1,)))),
        (joined(Fill(0, (1,)), Fill(1, (1,))), joined(Fill(1, (1,)), Fill(0, (1,)))),
    ],
    ids=[
        *("path", "order", "shape", "dtype", "part", "variable's shape", "fill", "sign of zero", "fill's dtype"),
        *("fill and variable", "joined fill", "order of fills"),
    ],
)
def test_recipes_that_differ(first, second):
    assert not first.equals(second)
    assert not second.equals(first)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_scalar_stays_a_scalar_of_every_dtype(dtype):
    scalar = bits((), dtype)
    assert same_bits(Recipe(Variable("count", (), dtype.name)).apply({"count": scalar}), scalar)
    assert Recipe(Fill(0, (), dtype.name)).apply({}).shape == ()


def test_evidence_is_kept_in_order_and_through_moves():
    recipe = Recipe(KERNEL, ("values: equal",)).because("names: fc").then(Transpose((1, 0)))
    assert recipe.evidence == ("values: equal", "names: fc")
    assert recipe == Recipe(KERNEL).then(Transpose((1, 0)))


def test_a_person_can_read_it():
    recipe = joined(
        Part(1, 0, 3, KERNEL),
        Moved(Reorder(1, (3, 2), (1, 0)), KERNEL),
        Moved(Reorder(0, order=(1, 0)), KERNEL),
        axis=1,
    ).then(Transpose((1, 0)), Flip(0), Reshape((15, 2), (30,)))
    assert str(recipe) == (
        "join(axis=1; kernel · part(0:3, axis=1), kernel · reorder(axis=1, (3, 2) by (1, 0)), "
        "kernel · reorder(axis=0, 2 positions)) · flip(1) · transpose(1, 0) · reshape(30,)"
    )
    assert str(Recipe(Fill(0.5, (2,)))) == "fill(0.5)"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (Part(1, 4, 7, KERNEL), r"Part: 4:7 on axis 1 does not fit shape \(2, 6\)"),
        (Part(1, 2, 2, KERNEL), r"Part: 2:2 on axis 1"),
        (Part(-1, 0, 2, KERNEL), r"Part: 0:2 on axis -1 does not fit shape \(2, 6\)"),
        (Part(2, 0, 1, KERNEL), r"Part: 0:1 on axis 2 does not fit shape \(2, 6\)"),
        (Joined(0, ()), r"Joined: shapes \[\] do not all have an axis 0"),
        (Joined(1, (KERNEL, BIAS)), r"Joined: shapes \[\(2, 6\), \(6,\)\] do not all have an axis 1"),
        (Joined(0, (KERNEL, Variable("k", (2, 5)))), r"Joined: shapes .* differ outside axis 0"),
        (Moved(Transpose((0,)), KERNEL), r"Transpose: perm \(0,\) does not fit an array of shape \(2, 6\)"),
    ],
)
def test_an_expression_that_does_not_fit_together_has_no_shape(expression, message):
    with pytest.raises(ValueError, match=message):
        _ = Recipe(expression).shape


def test_joining_two_dtypes_is_refused_since_it_would_change_values():
    recipe = joined(BIAS, Variable("counts", (6,), "int64"))
    with pytest.raises(ValueError, match=r"Joined: dtypes \['float32', 'int64'\] differ"):
        _ = recipe.dtype
    with pytest.raises(ValueError, match=r"received dtypes \['float32', 'int64'\], joining changes values"):
        recipe.apply({"bias": np.zeros(6, np.float32), "counts": np.zeros(6, np.int64)})


def test_a_variable_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"variable bias: the recipe was made for \(6,\), received \(1, 6\)"):
        Recipe(BIAS).apply({"bias": np.zeros((1, 6), np.float32)})


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "kernel",
        {},
        {"variable": "kernel"},
        {"variable": "kernel", "shape": [2], "dtype": "float32", "more": 1},
        {"variable": 1, "shape": [2], "dtype": "float32"},
        {"variable": "kernel", "shape": "23", "dtype": "float32"},
        {"variable": "kernel", "shape": [-2], "dtype": "float32"},
        {"variable": "kernel", "shape": [2.0], "dtype": "float32"},
        {"variable": "kernel", "shape": [2], "dtype": None},
        {"fill": "1", "shape": [2], "dtype": "float32"},
        {"fill": True, "shape": [2], "dtype": "float32"},
        {"fill": 1, "shape": [2], "dtype": "float33"},
        {"fill": 300, "shape": [2], "dtype": "int8"},
        {"fill": 1, "dtype": "float32"},
        {"join": {}, "axis": 0},
        {"join": [None], "axis": 0},
        {"join": []},
        {"part": [0], "axis": 0, "of": {"fill": 1, "shape": [2], "dtype": "float32"}},
        {"part": [0, None], "axis": 0, "of": {"fill": 1, "shape": [2], "dtype": "float32"}},
        {"part": [0, 1], "of": {"fill": 1, "shape": [2], "dtype": "float32"}},
        {"part": [0, 1], "axis": 0},
        {"move": "transpose", "perm": [0]},
        {"move": "transpose", "perm": [0], "of": None},
        {"of": {"fill": 1, "shape": [2], "dtype": "float32"}},
    ],
    ids=str,
)
def test_json_that_is_no_expression_is_a_value_error(data):
    with pytest.raises(ValueError, match=r"."):
        expression_from_json(data)
    with pytest.raises(ValueError, match=r"."):
        Recipe.from_json({"expression": data, "evidence": []})


def test_evidence_that_is_no_array_is_refused():
    with pytest.raises(ValueError, match="evidence must be an array, received 'values'"):
        Recipe.from_json({"expression": Fill(1, ()).to_json(), "evidence": "values"})
