"""Moves change where an element stands, and nothing else."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchgraft.stages.plan import Flip, Move, Reorder, Reshape, Transpose, apply_moves, inverse_moves
from torchgraft.stages.plan.moves import MOVES, move_from_json

from .strategies import DTYPES, bits, chains, dtypes, moves_for, same_bits, shapes

shapes_and_moves = shapes.flatmap(lambda shape: st.tuples(st.just(shape), moves_for(shape)))
shapes_and_chains = shapes.flatmap(lambda shape: st.tuples(st.just(shape), chains(shape)))


@given(shapes_and_moves, dtypes, st.integers(0, 2**32 - 1))
def test_the_inverse_puts_every_bit_back(shape_and_move, dtype, seed):
    shape, move = shape_and_move
    array = bits(shape, dtype, seed)
    assert same_bits(move.inverse().apply(move.apply(array)), array)
    assert same_bits(move.apply(move.inverse().apply(move.apply(array))), move.apply(array))


@given(shapes_and_chains, dtypes)
def test_a_chain_of_moves_is_put_back_by_the_inverse_chain(shape_and_moves, dtype):
    shape, moves = shape_and_moves
    array = bits(shape, dtype)
    assert same_bits(apply_moves(inverse_moves(moves), apply_moves(moves, array)), array)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    "move",
    [
        Transpose((2, 0, 1)),
        Reshape((2, 3, 4), (6, 4)),
        Flip(1),
        Reorder(2, (2, 2), (1, 0)),
        Reorder(1, order=(2, 0, 1)),
    ],
    ids=lambda move: f"{move.kind}",
)
def test_every_move_is_exact_for_every_dtype(move, dtype):
    array = bits((2, 3, 4), dtype, seed=1)
    assert same_bits(move.inverse().apply(move.apply(array)), array)
    elements = [sorted(each.reshape(-1).view(f"V{dtype.itemsize}").tolist()) for each in (array, move.apply(array))]
    assert elements[0] == elements[1]


def test_same_bits_tells_one_flipped_bit_a_nan_payload_and_the_sign_of_zero():
    array = np.array([np.nan, 0.0], np.float32)
    for position, bit in ((0, 1), (1, 1 << 31)):
        other = array.copy()
        other.view(np.uint32)[position] ^= bit
        assert not same_bits(array, other)
        assert np.array_equal(array, other, equal_nan=True)


@given(shapes_and_moves)
def test_the_shape_is_that_of_what_apply_gives(shape_and_move):
    shape, move = shape_and_move
    assert move.shape(shape) == move.apply(bits(shape)).shape
    assert move.inverse().shape(move.shape(shape)) == shape


@given(shapes_and_moves, st.integers(0, 2**32 - 1))
def test_the_index_map_tells_what_a_move_does(shape_and_move, seed):
    shape, move = shape_and_move
    array, index = bits(shape, seed=seed), move.apply(np.arange(math.prod(shape)).reshape(shape))
    assert sorted(index.ravel()) == list(range(math.prod(shape)))
    assert same_bits(move.apply(array), array.ravel()[index])


@given(shapes_and_moves)
def test_json_brings_the_same_move_back(shape_and_move):
    _, move = shape_and_move
    assert move_from_json(json.loads(json.dumps(move.to_json()))) == move


def test_moves_are_named_apart_and_follow_the_protocol():
    assert len({move.kind for move in MOVES}) == len(MOVES)
    for move in (Transpose((0,)), Reshape((1,), (1,)), Flip(0), Reorder(0, (1,), (0,))):
        assert isinstance(move, Move)


def test_numpy_integers_and_lists_become_plain_tuples():
    move = Transpose(np.array([1, 0]))
    assert move == Transpose((1, 0))
    assert hash(move) == hash(Transpose([1, 0]))
    assert json.dumps(Reorder(np.int64(0), order=np.array([1, 0])).to_json())
    assert json.dumps(Flip(np.int64(0)).to_json())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Transpose((0, 2)), r"perm \(0, 2\) is no permutation of 0\.\.1"),
        (lambda: Transpose((-1, 0)), r"perm \(-1, 0\) is no permutation"),
        (lambda: Reshape((2, 3), (5,)), r"\(2, 3\) and \(5,\) do not hold equally many elements"),
        (lambda: Reshape((6,), (-2, -3)), "has a negative length"),
        (lambda: Reorder(0), "give either block and perm, or order"),
        (lambda: Reorder(0, (2,), (0,), (1, 0)), "give either block and perm, or order"),
        (lambda: Reorder(0, (2, 3), (0, 0)), r"perm \(0, 0\) is no permutation of the axes of \(2, 3\)"),
        (lambda: Reorder(0, (), (0,), (1, 0)), r"perm \(0,\) is no permutation of the axes of \(\)"),
        (lambda: Reorder(0, (-2, -3), (1, 0)), "has a negative length"),
        (lambda: Reorder(0, order=(0, 0)), "order of length 2 is no permutation"),
    ],
)
def test_what_is_no_move_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "move",
    [
        Transpose((1, 0)),
        Reshape((3, 2), (6,)),
        Flip(3),
        Flip(-1),
        Reorder(0, (2, 2), (1, 0)),
        Reorder(-1, order=(1, 0)),
    ],
)
def test_an_array_that_does_not_fit_is_refused(move):
    with pytest.raises(ValueError, match=r"\(2, 3, 4\)"):
        move.apply(np.zeros((2, 3, 4)))


@pytest.mark.parametrize(
    ("block", "perm", "compact"),
    [
        ((3, 4, 5), (2, 0, 1), ((12, 5), (1, 0))),  # flatten (H, W, C) → (C, H, W)
        ((5, 3, 4), (1, 2, 0), ((5, 12), (1, 0))),  # and back
        ((5, 3, 4), (2, 0, 1), ((15, 4), (1, 0))),  # (C, H, W) → (W, C, H)
        ((3, 4, 5), (1, 0, 2), ((3, 4, 5), (1, 0, 2))),  # (H, W, C) → (W, H, C)
        ((2, 3, 4, 5), (3, 0, 1, 2), ((24, 5), (1, 0))),
        ((2, 3, 4, 5), (0, 2, 1, 3), ((2, 3, 4, 5), (0, 2, 1, 3))),
        ((2, 2, 2, 2), (3, 2, 1, 0), ((2, 2, 2, 2), (3, 2, 1, 0))),
        ((3, 4, 5), (0, 1, 2), ((60,), (0,))),
        ((1, 4, 1, 5), (3, 1, 0, 2), ((4, 5), (1, 0))),
    ],
)
def test_an_order_that_transposes_a_block_is_found_in_its_shortest_form(block, perm, compact):
    found = Reorder.along(1, Reorder(0, block, perm).index)
    assert (found.axis, found.block, found.perm, found.order) == (1, *compact, ())


@given(st.permutations(range(12)))
def test_the_reorder_of_an_index_makes_that_index(order):
    index = np.array(order)
    assert np.array_equal(Reorder.along(0, index).index, index)


def test_an_order_without_structure_is_kept_position_by_position():
    gates = np.arange(12).reshape(4, 3)[[0, 1, 3, 2]].ravel()  # the last two gates change places
    assert Reorder.along(0, gates).order == tuple(gates)


def test_empty_axes_move_too():
    empty = np.zeros((0, 3), np.float32)
    for move in (Transpose((1, 0)), Reshape((0, 3), (3, 0, 2)), Flip(0), Reorder.along(0, np.arange(0))):
        assert same_bits(move.inverse().apply(move.apply(empty)), empty)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"move": "shuffle"},
        {"move": None, "perm": [0]},
        {"move": ["transpose"], "perm": [0]},
        {"move": "transpose"},
        {"move": "transpose", "perm": "10"},
        {"move": "transpose", "perm": [1.0, 0.0]},
        {"move": "transpose", "perm": [True, False]},
        {"move": "transpose", "perm": [1, 1]},
        {"move": "transpose", "perm": [1, 0], "axis": 0},
        {"move": "reshape", "source": [6]},
        {"move": "reshape", "source": [6], "target": [-2, -3]},
        {"move": "reshape", "source": [6], "target": [4]},
        {"move": "flip", "axis": None},
        {"move": "flip", "axis": 0.0},
        {"move": "reorder", "axis": 0},
        {"move": "reorder", "axis": 0, "order": [2, 0]},
        {"move": "reorder", "axis": 0, "block": [2, 2]},
        {"move": "reorder", "axis": [0], "block": [2, 2], "perm": [1, 0]},
    ],
    ids=str,
)
def test_json_that_is_no_move_is_a_value_error(data):
    with pytest.raises(ValueError, match=r"."):
        move_from_json(data)
