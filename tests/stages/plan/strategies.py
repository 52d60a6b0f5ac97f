"""Hypothesis strategies: shapes, moves that fit them, arrays whose every bit pattern is allowed."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
from hypothesis import strategies as st
from torchgraft.stages.plan import (
    FORMULAS,
    Array,
    Computed,
    Expression,
    Fill,
    Flip,
    Joined,
    Move,
    Moved,
    Part,
    Reorder,
    Reshape,
    Shape,
    Transpose,
    Variable,
)

DTYPES = tuple(
    np.dtype(dtype)
    for dtype in (
        *("bool", "int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"),
        *("float16", "float32", "float64", "complex64", "complex128"),
        *(ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2),
    )
)


FLOAT32 = np.dtype("float32")


def bits(shape: Shape, dtype: np.dtype = FLOAT32, seed: int = 0) -> Array:
    """Random bytes under ``dtype``; the first two elements are a NaN with a payload (all ones) and -0.0."""
    size = math.prod(shape)
    rng = np.random.default_rng(seed)
    if dtype == np.bool_:
        return rng.integers(0, 2, shape).astype(bool)
    raw = bytearray(rng.bytes(size * dtype.itemsize))
    special = b"\xff" * dtype.itemsize + b"\x00" * (dtype.itemsize - 1) + b"\x80"
    raw[: len(special)] = special[: len(raw)]
    return np.frombuffer(bytes(raw), dtype=dtype).reshape(shape)


def same_bits(first: Array, second: Array) -> bool:
    """Equal in shape, dtype and every bit; unlike ``==``, also where both are NaN, and not where -0.0 meets 0.0."""
    return (first.shape, first.dtype, first.tobytes()) == (second.shape, second.dtype, second.tobytes())


shapes = st.lists(st.integers(1, 4), max_size=4).map(tuple)
dtypes = st.sampled_from(DTYPES)


@st.composite
def moves_for(draw: st.DrawFn, shape: Shape) -> Move:
    """A move that fits an array of ``shape``."""
    kinds = ["transpose", "reshape", *(["flip", "order", "block"] if shape else [])]
    kind = draw(st.sampled_from(kinds))
    if kind == "transpose":
        return Transpose(tuple(draw(st.permutations(range(len(shape))))))
    if kind == "reshape":
        return Reshape(shape, draw(factorings(math.prod(shape))))
    axis = draw(st.integers(0, len(shape) - 1))
    if kind == "flip":
        return Flip(axis)
    if kind == "order":
        return Reorder(axis, order=tuple(draw(st.permutations(range(shape[axis])))))
    block = draw(factorings(shape[axis]).filter(len))
    return Reorder(axis, block, tuple(draw(st.permutations(range(len(block))))))


@st.composite
def factorings(draw: st.DrawFn, size: int) -> Shape:
    """A shape of ``size`` elements, axes of length 1 among them."""
    lengths: list[int] = []
    while size > 1:
        length = draw(st.sampled_from([part for part in range(2, size + 1) if size % part == 0]))
        lengths.append(length)
        size //= length
    for _ in range(draw(st.integers(0, 2))):
        lengths.insert(draw(st.integers(0, len(lengths))), 1)
    return tuple(lengths)


@st.composite
def chains(draw: st.DrawFn, shape: Shape, most: int = 6) -> tuple[Move, ...]:
    """Moves that fit one after the other, the first of them an array of ``shape``."""
    moves: list[Move] = []
    for _ in range(draw(st.integers(0, most))):
        moves.append(draw(moves_for(shape)))
        shape = moves[-1].shape(shape)
    return tuple(moves)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> Expression:
    """Any expression over variables named for their shapes, so that one path always has one shape."""
    kind = draw(st.sampled_from(["variable", "fill", "moved", "part", "joined"] if depth else ["variable", "fill"]))
    if kind == "variable":
        shape = draw(shapes)
        return Variable(f"{draw(st.sampled_from('ab'))}{shape}", shape)
    if kind == "fill":
        return Fill(draw(st.sampled_from([0, 1, 0.5])), draw(shapes))
    source = draw(expressions(depth - 1))
    if kind == "moved":
        return Moved(draw(moves_for(source.shape)), source)
    if not source.shape:
        return source
    axis = draw(st.integers(0, len(source.shape) - 1))
    if kind == "joined":
        return Joined(axis, (source, *draw(st.lists(st.just(source), max_size=2))))
    start = draw(st.integers(0, source.shape[axis] - 1))
    return Part(axis, start, draw(st.integers(start + 1, source.shape[axis])), source)


@st.composite
def computed(draw: st.DrawFn) -> Expression:
    """Arithmetic over two expressions that broadcast, moved."""
    first = draw(expressions(2))
    kept = draw(st.integers(0, len(first.shape)))
    second = Variable(f"c{first.shape[kept:]}", first.shape[kept:])
    formula = draw(st.sampled_from(sorted(FORMULAS)))
    made: Expression = Computed(formula, (first, second) if "b" in formula else (first,))
    for move in draw(chains(made.shape, most=3)):
        made = Moved(move, made)
    return made
