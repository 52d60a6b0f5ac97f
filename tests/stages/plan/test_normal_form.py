"""The normal form is another way of writing, never another tensor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchgraft.stages.plan import (
    Expression,
    Fill,
    Flip,
    Move,
    Moved,
    Reorder,
    Reshape,
    Transpose,
    Variable,
    apply_moves,
    inverse_moves,
    moved,
)

from .strategies import bits, chains, moves_for, same_bits, shapes

shapes_and_chains = shapes.flatmap(lambda shape: st.tuples(st.just(shape), chains(shape, most=9)))


def unwound(expression: Expression) -> tuple[Expression, tuple[Move, ...]]:
    """The leaf and the moves over it, first to last."""
    moves: list[Move] = []
    while isinstance(expression, Moved):
        moves.insert(0, expression.move)
        expression = expression.source
    return expression, tuple(moves)


def kernel(*shape: int) -> Variable:
    return Variable("kernel", shape)


@given(shapes_and_chains)
def test_it_makes_what_the_moves_make_one_by_one(shape_and_moves):
    shape, moves = shape_and_moves
    array = bits(shape)
    assert same_bits(moved(kernel(*shape), *moves).apply({"kernel": array}), apply_moves(moves, array))


@given(shapes_and_chains)
def test_it_is_its_own_normal_form(shape_and_moves):
    shape, moves = shape_and_moves
    normal = moved(kernel(*shape), *moves)
    leaf, kept = unwound(normal)
    assert moved(leaf, *kept) == normal
    assert len(kept) <= len(moves)


@given(shapes_and_chains)
def test_a_stated_constant_takes_moves_into_its_shape(shape_and_moves):
    shape, moves = shape_and_moves
    assert moved(Fill(1, shape), *moves) == Fill(1, apply_moves(moves, np.zeros(shape)).shape)


@st.composite
def along_axes(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[Move, ...]]:
    """A shape, and Transposes, Flips and Reorders that fit it one after the other."""
    shape = now = draw(shapes)
    moves: list[Move] = []
    for _ in range(draw(st.integers(0, 6))):
        moves.append(draw(moves_for(now).filter(lambda move: not isinstance(move, Reshape))))
        now = moves[-1].shape(now)
    return shape, tuple(moves)


@given(along_axes())
def test_without_a_reshape_it_is_at_most_one_move_an_axis_and_a_transpose(shape_and_moves):
    shape, moves = shape_and_moves
    _, kept = unwound(moved(kernel(*shape), *moves))
    along = [move.axis for move in kept if isinstance(move, (Flip, Reorder))]
    assert along == sorted(set(along))
    assert [type(move) for move in kept[len(along) :]] in ([], [Transpose])


@given(along_axes())
def test_without_a_reshape_the_way_there_and_back_is_nothing(shape_and_moves):
    shape, moves = shape_and_moves
    assert moved(kernel(*shape), *moves, *inverse_moves(moves)) == kernel(*shape)


@pytest.mark.parametrize(
    ("shape", "moves", "kept"),
    [
        ((2, 3), (Transpose((0, 1)),), ()),
        ((1, 3, 1), (Transpose((2, 1, 0)),), ()),
        ((1, 3), (Transpose((1, 0)),), (Transpose((1, 0)),)),
        ((2, 3), (Reshape((2, 3), (2, 3)),), ()),
        ((6,), (Reorder(0, (2, 3), (0, 1)),), ()),
        ((1, 3), (Flip(0),), ()),
        ((2, 3, 4), (Transpose((2, 0, 1)), Transpose((2, 0, 1))), (Transpose((1, 2, 0)),)),
        ((6,), (Reshape((6,), (2, 3)), Reshape((2, 3), (3, 2))), (Reshape((6,), (3, 2)),)),
        ((6,), (Reshape((6,), (2, 3)), Reshape((2, 3), (6,))), ()),
        ((2, 3), (Flip(1), Flip(0), Flip(1)), (Flip(0),)),
        ((2, 3), (Flip(1), Flip(0)), (Flip(0), Flip(1))),
        ((3,), (Flip(0), Reorder(0, order=(1, 2, 0))), (Reorder(0, order=(1, 0, 2)),)),
        ((4, 6), (Transpose((1, 0)), Reorder(0, (2, 3), (1, 0))), (Reorder(1, (2, 3), (1, 0)), Transpose((1, 0)))),
        ((12,), (Reorder(0, (2, 2, 3), (2, 0, 1)),), (Reorder(0, (4, 3), (1, 0)),)),
        # a channel-first flatten that the module undoes by permuting back
        ((12, 5), (Reorder(0, (4, 3), (1, 0)), Transpose((1, 0)), Reorder(1, (3, 4), (1, 0))), (Transpose((1, 0)),)),
    ],
    ids=str,
)
def test_it_is_written_shortest(shape, moves, kept):
    assert unwound(moved(kernel(*shape), *moves)) == (kernel(*shape), kept)


def test_a_move_that_does_not_fit_is_refused_also_where_others_would_swallow_it():
    with pytest.raises(ValueError, match=r"Transpose: perm \(1, 0\) does not fit an array of shape \(6,\)"):
        moved(Fill(0, (6,)), Transpose((1, 0)))
    with pytest.raises(ValueError, match=r"made for shape \(2, 3\), received \(6,\)"):
        moved(kernel(6), Reshape((2, 3), (6,)))
