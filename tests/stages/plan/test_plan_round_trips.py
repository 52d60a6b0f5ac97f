"""A Plan forward and back leaves every bit as it was, and refuses where there is no way back."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
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
    Shape,
    Transpose,
    Variable,
)

from .strategies import DTYPES, bits, chains, dtypes, same_bits, shapes

FLOAT32_CORNERS = np.array(
    [
        0x7FC00001,  # quiet NaN with a payload
        0x7F800001,  # signalling NaN
        0xFFFFFFFF,  # negative NaN, payload of all ones
        0x80000000,  # -0.0
        0x00000001,  # the smallest denormal
        0x807FFFFF,  # the largest denormal, negative
        0x7F800000,  # infinity
        0xFF7FFFFF,  # the lowest finite number
    ],
    dtype=np.uint32,
).view(np.float32)


def plan_of(recipes: dict[str, Recipe], *unused: Variable, **more) -> Plan:
    """A Plan of these recipes over exactly their variables and the unused ones."""
    variables = {variable.path: variable for recipe in recipes.values() for variable in recipe.variables}
    left = tuple(LeftOver(variable.path, variable.shape, "no weight") for variable in unused)
    shapes: dict[str, Shape] = {key: recipe.shape for key, recipe in recipes.items()}
    shapes |= {left.name: left.shape for left in more.get("unmatched", ())}
    return Plan(recipes, variables | {variable.path: variable for variable in unused}, shapes, left, **more)


KERNEL, BIAS = Variable("conv/kernel", (3, 4, 1, 2)), Variable("conv/bias", (2,))


@pytest.fixture
def conv() -> Plan:
    """Conv2D(2, (3, 4)) on one channel onto nn.Conv2d."""
    return plan_of({"weight": Recipe(KERNEL).then(Transpose((3, 2, 0, 1))), "bias": Recipe(BIAS)})


@pytest.fixture
def conv_arrays():
    kernel = bits(KERNEL.shape, seed=2).copy()
    kernel.reshape(-1)[2:10] = FLOAT32_CORNERS
    return {"conv/kernel": kernel, "conv/bias": FLOAT32_CORNERS[[0, 3]]}


def test_ten_thousand_round_trips_of_a_convolution_leave_every_bit_as_it_was(conv, conv_arrays):
    arrays, keras_bytes = conv_arrays, {path: array.tobytes() for path, array in conv_arrays.items()}
    torch_kernel = np.empty((2, 1, 3, 4), np.float32)
    for row, column, channel, unit in np.ndindex(KERNEL.shape):
        torch_kernel[unit, channel, row, column] = conv_arrays["conv/kernel"][row, column, channel, unit]
    torch_bytes = {"weight": torch_kernel.tobytes(), "bias": keras_bytes["conv/bias"]}
    for _ in range(10_000):
        state = conv.apply(arrays)
        assert {key: array.tobytes() for key, array in state.items()} == torch_bytes
        arrays = conv.restore(state)
        assert {path: array.tobytes() for path, array in arrays.items()} == keras_bytes
    assert (arrays["conv/kernel"].shape, arrays["conv/kernel"].dtype) == (KERNEL.shape, np.float32)


def test_one_flipped_bit_does_not_come_back_equal(conv, conv_arrays):
    state = conv.apply(conv_arrays)
    state["weight"].view(np.uint32)[1, 0, 2, 3] ^= 1
    restored = conv.restore(state)
    assert not same_bits(restored["conv/kernel"], conv_arrays["conv/kernel"])
    assert np.argwhere(
        restored["conv/kernel"].view(np.uint32) != conv_arrays["conv/kernel"].view(np.uint32)
    ).tolist() == [[2, 3, 0, 1]]


@given(shapes.flatmap(lambda shape: st.tuples(st.just(shape), chains(shape))), dtypes, st.integers(0, 99))
def test_moves_forward_and_back_leave_every_bit_as_it_was(shape_and_moves, dtype, seed):
    shape, moves = shape_and_moves
    plan = plan_of({"key": Recipe(Variable("path", shape, dtype.name)).then(*moves)})
    array = bits(shape, dtype, seed)
    assert same_bits(plan.restore(plan.apply({"path": array}))["path"], array)


@st.composite
def pieces(draw: st.DrawFn) -> tuple[Variable, dict[str, Recipe]]:
    """A variable, and recipes of the pieces that one of its axes is cut into, each moved its own way."""
    shape = draw(shapes.filter(len))
    variable = Variable("fused", shape, draw(dtypes).name)
    axis = draw(st.integers(0, len(shape) - 1))
    cuts = sorted({0, shape[axis], *draw(st.lists(st.integers(0, shape[axis]), max_size=3))})
    parts = [Recipe(Part(axis, start, stop, variable)) for start, stop in pairwise(cuts)]
    order = draw(st.permutations(range(len(parts))))
    return variable, {f"key{i}": parts[i].then(*draw(chains(parts[i].shape, most=3))) for i in order}


@given(pieces(), st.integers(0, 99))
def test_the_pieces_of_a_variable_are_put_together_again(variable_and_recipes, seed):
    variable, recipes = variable_and_recipes
    array = bits(variable.shape, np.dtype(variable.dtype), seed)
    plan = plan_of(recipes)
    assert same_bits(plan.restore(plan.apply({"fused": array}))["fused"], array)


QKV = Variable("attention/kernel", (2, 6))
THIRDS = {
    name: Recipe(Part(1, 2 * i, 2 * i + 2, QKV)).then(Transpose((1, 0))) for i, name in enumerate(("q", "k", "v"))
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_fused_kernel_in_three_keys(dtype):
    variable = Variable("attention/kernel", (2, 6), dtype.name)
    recipes = {key: Recipe(Part(1, 2 * i, 2 * i + 2, variable)).then(Transpose((1, 0))) for i, key in enumerate("qkv")}
    array = bits((2, 6), dtype)
    state = plan_of(recipes).apply({variable.path: array})
    assert same_bits(state["k"], np.ascontiguousarray(array[:, 2:4].T))
    assert same_bits(plan_of(recipes).restore(state)[variable.path], array)


def test_a_part_of_a_part_and_pieces_that_overlap_come_back():
    inner = Part(0, 0, 1, Part(1, 1, 5, QKV))
    recipes = {"inner": Recipe(inner), "left": Recipe(Part(1, 0, 4, QKV)), "right": Recipe(Part(1, 3, 6, QKV))}
    array = bits(QKV.shape)
    plan = plan_of(recipes)
    assert same_bits(plan.restore(plan.apply({QKV.path: array}))[QKV.path], array)


def test_a_variable_of_which_a_piece_is_missing_has_no_way_back():
    plan = plan_of({key: THIRDS[key] for key in "qv"})
    state = plan.apply({QKV.path: bits(QKV.shape)})
    with pytest.raises(PlanError, match="variable attention/kernel: only a part of it is there"):
        plan.restore(state)


def test_two_variables_joined_in_one_key_come_apart():
    a, b = Variable("a", (2, 3)), Variable("b", (2, 1))
    plan = plan_of(
        {"both": Recipe(Joined(1, (a, Fill(0, (2, 2)), b))).then(Reorder(1, (2, 3), (1, 0)), Transpose((1, 0)))}
    )
    arrays = {"a": bits((2, 3)), "b": bits((2, 1), seed=1)}
    restored = plan.restore(plan.apply(arrays))
    assert list(restored) == ["a", "b"]
    assert all(same_bits(restored[path], arrays[path]) for path in arrays)


def test_a_variable_that_two_keys_take_comes_back_where_they_agree():
    plan = plan_of({"encoder": Recipe(QKV), "decoder": Recipe(QKV).then(Transpose((1, 0)))})
    arrays = {QKV.path: bits(QKV.shape)}
    assert same_bits(plan.restore(plan.apply(arrays))[QKV.path], arrays[QKV.path])


@pytest.mark.parametrize(("row", "bit"), [(0, 1), (1, 1 << 31), (4, 1)], ids=["payload of a NaN", "-0.0", "last bit"])
def test_a_variable_that_two_keys_take_is_refused_where_they_differ_by_a_bit(row, bit):
    plan = plan_of({"encoder": Recipe(QKV), "decoder": Recipe(QKV).then(Transpose((1, 0)))})
    state = plan.apply({QKV.path: bits(QKV.shape)})
    state["decoder"].view(np.uint32)[row, 0] ^= bit
    with pytest.raises(PlanError, match="key decoder: an earlier key holds other values for variable attention/kernel"):
        plan.restore(state)


def test_a_constant_that_was_trained_away_has_no_way_back():
    plan = plan_of({"weight": Recipe(BIAS), "gamma": Recipe(Fill(1, (2,))), "steps": Recipe(Fill(0, (), "int64"))})
    state = plan.apply({"conv/bias": np.zeros(2, np.float32)})
    assert list(plan.restore(state | {"steps": np.array(7)})) == ["conv/bias"]  # it counts, it is no weight
    with pytest.raises(PlanError, match=r"key gamma: 1 of 2 elements are not 1, and no Keras variable holds them"):
        plan.restore(state | {"gamma": np.array([1, 1.5], np.float32)})


def test_what_is_left_over_is_copied_from_the_variables_to_restore_into(conv_arrays):
    seed, counted = Variable("drop/seed", (2,), "uint32"), (LeftOver("steps", (), "a counter"),)
    plan = plan_of({"bias": Recipe(BIAS)}, seed, unmatched=counted)
    into = {"drop/seed": np.array([3, 4], np.uint32), "conv/bias": np.zeros(2, np.float32)}
    state = {"bias": conv_arrays["conv/bias"], "steps": np.array(3)}
    restored = plan.restore(state, into)
    assert list(restored) == ["conv/bias", "drop/seed"]
    assert same_bits(restored["conv/bias"], conv_arrays["conv/bias"])
    assert same_bits(restored["drop/seed"], into["drop/seed"])
    assert not np.shares_memory(restored["drop/seed"], into["drop/seed"])
    assert list(plan.restore({"bias": state["bias"]})) == ["conv/bias"]
    with pytest.raises(PlanError, match="to restore into:\n  drop/seed is missing"):
        plan.restore(state, {"conv/bias": into["conv/bias"]})
    with pytest.raises(PlanError, match=r"to restore into:\n  drop/seed has shape \(2,\) in the plan, received \(1,\)"):
        plan.restore(state, {"drop/seed": np.zeros(1, np.uint32)})


def without(arrays, name):
    return {other: array for other, array in arrays.items() if other != name}


def test_variables_that_do_not_fit_are_refused(conv, conv_arrays):
    cases = {
        "conv/bias is missing": without(conv_arrays, "conv/bias"),
        "extra/kernel is unknown to the plan": conv_arrays | {"extra/kernel": np.zeros(1)},
        "conv/kernel has shape (3, 4, 1, 2) in the plan, received (4, 3, 1, 2)": conv_arrays
        | {"conv/kernel": np.zeros((4, 3, 1, 2), np.float32)},
        "conv/bias has dtype float32 in the plan, received float64": conv_arrays | {"conv/bias": np.zeros(2)},
    }
    for line, arrays in cases.items():
        with pytest.raises(PlanError) as caught:
            conv.apply(arrays)
        assert str(caught.value) == f"the plan does not fit these variables:\n  {line}"


def test_a_state_dict_that_does_not_fit_is_refused(conv, conv_arrays):
    state = conv.apply(conv_arrays)
    cases = {
        "bias is missing": without(state, "bias"),
        "head.weight is unknown to the plan": state | {"head.weight": np.zeros(1)},
        "weight has shape (2, 1, 3, 4) in the plan, received (2, 1, 4, 3)": state
        | {"weight": np.zeros((2, 1, 4, 3), np.float32)},
        "bias has dtype float32 in the plan, received float16": state | {"bias": np.zeros(2, np.float16)},
    }
    for line, arrays in cases.items():
        with pytest.raises(PlanError) as caught:
            conv.restore(arrays)
        assert str(caught.value) == f"the plan does not fit this state_dict:\n  {line}"


def test_a_piece_of_another_shape_is_not_spread_over_its_place():
    plan = plan_of(THIRDS)
    state = plan.apply({QKV.path: bits(QKV.shape)})
    with pytest.raises(PlanError, match=r"q has shape \(2, 2\) in the plan, received \(1, 1\)"):
        plan.restore(state | {"q": np.zeros((1, 1), np.float32)})


def test_arrays_in_any_memory_order_are_taken(conv, conv_arrays):
    fortran = {path: np.asfortranarray(array) for path, array in conv_arrays.items()}
    state = conv.apply(fortran)
    assert all(array.flags.c_contiguous for array in state.values())
    assert same_bits(state["weight"], conv.apply(conv_arrays)["weight"])
    strided = {"weight": np.asfortranarray(state["weight"]), "bias": np.repeat(state["bias"], 2)[::2]}
    assert same_bits(conv.restore(strided)["conv/kernel"], conv_arrays["conv/kernel"])
