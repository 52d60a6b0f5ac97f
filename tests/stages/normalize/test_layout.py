"""Layout against numpy: whatever it says of a value holds for an array."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchgraft.stages.normalize.layout import Layout, reshaped, steps_between
from torchgraft.stages.plan import apply_moves

RESHAPES = [
    ((2, 3, 4), (2, 12)),
    ((2, 12), (2, 3, 4)),
    ((2, 1, 3, 4), (2, 3, 4)),
    ((2, 3, 4), (2, 3, 1, 4, 1)),
    ((2, 3, 4, 5), (2, 12, 5)),
    ((2, 3, 4, 5), (2, 3, 20)),
    ((2, 3, 8), (2, 3, 2, 4)),
    ((2, 6, 4), (2, 3, 8)),
    ((2, 3, 4, 5), (6, 20)),
    ((1, 1, 4), (4,)),
]


@st.composite
def layouts(draw, shape):
    perm = tuple(draw(st.permutations(range(len(shape)))))
    orders = tuple(tuple(draw(st.permutations(range(dim)))) if draw(st.booleans()) else None for dim in shape)
    return Layout(perm, orders)


def physical(keras, layout):
    return apply_moves(layout.from_keras(), keras)


@given(st.data())
def test_moves_lead_there_and_back(data):
    keras = np.arange(24).reshape(2, 3, 4)
    layout = data.draw(layouts(keras.shape))
    stands = physical(keras, layout)
    assert stands.shape == layout.physical_shape(keras.shape)
    assert np.array_equal(apply_moves(layout.to_keras(), stands), keras)


@given(st.data())
def test_steps_lead_from_any_layout_to_any_other(data):
    keras = np.arange(24).reshape(2, 3, 4)
    have, want = data.draw(layouts(keras.shape)), data.draw(layouts(keras.shape))
    gathers, perm = steps_between(have, want)
    value = physical(keras, have)
    for axis, indices in gathers:
        value = value.take(indices, axis)
    assert np.array_equal(value.transpose(perm), physical(keras, want))


@pytest.mark.parametrize(("source", "target"), RESHAPES)
def test_a_reshape_that_is_granted_is_right_for_every_order_of_axes(source, target):
    keras = np.arange(np.prod(source)).reshape(source)
    for perm in itertools.permutations(range(len(source))):
        found = reshaped(source, target, Layout(perm))
        if isinstance(found, str):
            continue
        shape, layout = found
        stands = physical(keras, Layout(perm)).reshape(shape)
        assert np.array_equal(apply_moves(layout.to_keras(), stands), keras.reshape(target)), perm


@given(st.data())
def test_a_reshape_that_is_granted_is_right_for_every_order_of_features(data):
    source, target = data.draw(st.sampled_from(RESHAPES))
    keras = np.arange(np.prod(source)).reshape(source)
    layout = data.draw(layouts(source))
    found = reshaped(source, target, layout)
    if not isinstance(found, str):
        shape, after = found
        stands = physical(keras, layout).reshape(shape)
        assert np.array_equal(apply_moves(after.to_keras(), stands), keras.reshape(target))


@pytest.mark.parametrize(
    ("source", "target", "layout", "physical_target", "perm"),
    [
        ((None, 4, 5, 3), (None, 60), Layout((0, 2, 3, 1)), (None, 60), (0, 1)),
        ((None, 4, 5, 3), (None, 20, 3), Layout((0, 2, 3, 1)), (None, 3, 20), (0, 2, 1)),
        ((None, 1, 1, 3), (None, 3), Layout((0, 2, 3, 1)), (None, 3), (0, 1)),
    ],
)
def test_a_channel_first_map_is_reshaped_as_it_stands(source, target, layout, physical_target, perm):
    assert reshaped(source, target, layout)[0] == physical_target
    assert reshaped(source, target, layout)[1].perm == perm


@pytest.mark.parametrize(
    ("source", "target", "layout"),
    [
        ((None, 4, 6), (None, 24), Layout((1, 0, 2))),
        ((None, 4, 5, 3), (None, 4, 15), Layout((0, 2, 3, 1))),
        ((None, None, 6), (None, 6), Layout((0, 2, 1))),
    ],
)
def test_a_reshape_that_would_move_elements_is_refused_with_a_reason(source, target, layout):
    assert isinstance(reshaped(source, target, layout), str)
