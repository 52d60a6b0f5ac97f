"""Flatten, and the order of features that it leaves: taken into weights, upwards and downwards."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from onnx_text import assert_same, inputs_of, normalised, operators, raw_graph, refusals, run
from torchgraft.stages.normalize import normalized
from torchgraft.stages.plan import Recipe, Reorder, Transpose, Variable

TO_FIRST, TO_LAST = "Transpose <perm = [0, 3, 1, 2]>", "Transpose <perm = [0, 2, 3, 1]>"


def flattened(body: str, more: str = "", output: str = "float[N,6] y") -> object:
    """A convolution, flattened to ``f`` of 4·5·2 features; ``body`` takes it on to ``y``, ``w`` is a Dense kernel."""
    return raw_graph(
        f"(float[N,4,5,3] x, float[2,3,1,1] v, float[40,6] w{more}) => ({output})",
        f"""
        x1 = {TO_FIRST} (x)
        c = Conv (x1, v)
        a = {TO_LAST} (c)
        s = Shape (a)
        zero = Constant <value_ints = [0]> ()
        one = Constant <value_ints = [1]> ()
        n = Slice (s, zero, one)
        rest = Constant <value_ints = [-1]> ()
        target = Concat <axis = 0> (n, rest)
        f = Reshape (a, target)
        {body}
        """,
    )


def test_flatten_leaves_an_order_that_the_next_dense_takes_into_its_kernel():
    graph = normalised(flattened("t = Transpose (w)\n y = Gemm <transB = 1> (f, t)"))
    assert operators(graph) == ["Conv", "Flatten", "Gemm"], "the shape arithmetic has fallen away"
    expected = Recipe(Variable("w", (40, 6))).then(Transpose((1, 0)), Reorder(1, (4, 5, 2), (2, 0, 1)))
    assert graph.weights["w"].equals(expected)


@pytest.mark.parametrize(
    ("between", "kept"),
    [
        ("g = Relu (f)", ["Relu"]),
        ("k = Constant <value_float = 0.5> ()\n g = Mul (f, k)", ["Mul"]),
        ("g = Softmax (f)", ["Softmax"]),
        ("g = Mul (f, s1)", ["Mul"]),
        ("g = PRelu (f, s1)", ["PRelu"]),
        ("g = BatchNormalization (f, s1, s2, s3, s4)", ["BatchNormalization"]),
        ("g = LayerNormalization (f, s1, s2)", ["LayerNormalization"]),
    ],
)
def test_the_order_passes_what_stands_between(between, kept):
    raw = flattened(f"{between}\n y = MatMul (g, w)", ", float[40] s1, float[40] s2, float[40] s3, float[40] s4")
    graph = normalised(raw)
    assert operators(graph) == ["Conv", "Flatten", *kept, "Gemm"]
    for name in {"s1", "s2", "s3", "s4"} & set(graph.weights):
        assert "reorder" in str(graph.weights[name]), name


def test_a_wrong_order_in_one_recipe_changes_the_output():
    raw = flattened("y = MatMul (f, w)")
    graph = normalized(raw)
    swapped = graph.weights["w"].then(Reorder(1, (40 // 2, 2), (1, 0)))
    corrupt = dataclasses.replace(graph, weights={**graph.weights, "w": swapped})
    inputs = inputs_of(raw)
    with pytest.raises(AssertionError):
        assert_same(run(corrupt, dict(raw.variables), inputs), run(raw, dict(raw.variables), inputs))


def test_an_order_that_reaches_the_output_is_told_by_its_moves():
    graph = normalised(flattened("y = Relu (f)", output="float[N,40] y"))
    assert operators(graph) == ["Conv", "Flatten", "Relu"]
    (move,) = graph.outputs[0].moves
    assert np.array_equal(move.index, Reorder(1, (2, 4, 5), (1, 2, 0)).index)


def test_branches_keep_their_orders_block_after_block():
    raw = raw_graph(
        "(float[N,4,5,3] x, float[N,7] z, float[2,3,1,1] v, float[87,6] w) => (float[N,6] y)",
        f"""
        x1 = {TO_FIRST} (x)
        c = Conv (x1, v)
        a = {TO_LAST} (c)
        f = Flatten (a)
        r = Relu (c)
        b = {TO_LAST} (r)
        g = Flatten (b)
        j = Concat <axis = 1> (f, z, g)
        y = MatMul (j, w)
        """,
    )
    graph = normalised(raw)
    assert operators(graph) == ["Conv", "Flatten", "Relu", "Flatten", "Concat", "Gemm"]
    assert not refusals(graph)


def test_a_dense_before_a_feature_map_gives_its_features_in_the_map_s_order():
    raw = raw_graph(
        "(float[N,7] x, float[7,40] w, float[40] b, float[2,3,1,1] k, float[40] s) => (float[N,4,5,3] y)",
        f"""
        t = Transpose (w)
        d = Gemm <transB = 1> (x, t, b)
        r = Relu (d)
        m = Mul (r, s)
        shape = Constant <value_ints = [-1, 4, 5, 2]> ()
        a = Reshape (m, shape)
        a1 = {TO_FIRST} (a)
        c = ConvTranspose (a1, k)
        y = {TO_LAST} (c)
        """,
    )
    graph = normalised(raw)
    assert operators(graph) == ["Gemm", "Relu", "Mul", "Reshape", "ConvTranspose"]
    assert graph.weights["b"].equals(Recipe(Variable("b", (40,))).then(Reorder(0, (4, 5, 2), (2, 0, 1))))


def test_features_that_are_computed_with_are_put_in_order_first():
    raw = flattened(
        "k = Constant <value_ints = [3]> ()\n e = Constant <value_ints = [20]> ()\n y = Slice (f, k, e, one)",
        output="float[N,17] y",
    )
    graph = normalised(raw)
    assert operators(graph) == ["Conv", "Flatten", "Gather", "Slice"]
    assert any("an axis that is sliced is in another order" in line for line in refusals(graph))


def test_a_product_of_two_values_in_one_order_leaves_them_so():
    raw = flattened(
        """
        three = Constant <value_ints = [-1, 1, 40]> ()
        tall = Constant <value_ints = [-1, 40, 1]> ()
        l = Reshape (f, three)
        r = Reshape (f, tall)
        p = MatMul (l, r)
        flat = Constant <value_ints = [-1, 1]> ()
        y = Reshape (p, flat)
        """,
        output="float[N,1] y",
    )
    assert "Gather" not in operators(normalised(raw))
