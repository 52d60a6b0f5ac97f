"""What the exporter writes on the weight side goes into the recipes."""

from __future__ import annotations

import pytest
from onnx_text import normalised, operators, raw_graph

CASES = {
    "transpose": ("k = Transpose <perm = [3, 2, 0, 1]> (w)", "w · transpose(3, 2, 0, 1)"),
    "reshape": (
        "s = Constant <value_ints = [2, 3, 2, 3]> ()\n k = Reshape (w, s)",
        "w · reshape(2, 3, 2, 3)",
    ),
    "squeeze and unsqueeze": (
        """one = Constant <value_ints = [0]> ()
        u = Unsqueeze (w, one)
        q = Squeeze (u, one)
        k = Transpose <perm = [3, 2, 0, 1]> (q)""",
        "w · transpose(3, 2, 0, 1)",
    ),
    "two transposes are one": (
        "h = Transpose <perm = [1, 0, 2, 3]> (w)\n i = Identity (h)\n k = Transpose <perm = [3, 2, 1, 0]> (i)",
        "w · transpose(3, 2, 0, 1)",
    ),
    "slices that leave nothing": (
        """s = Constant <value_ints = [0]> ()
        e = Constant <value_ints = [1]> ()
        f = Constant <value_ints = [2]> ()
        h = Slice (w, s, e, s)
        g = Slice (w, e, f, s)
        j = Concat <axis = 0> (g, h)
        k = Transpose <perm = [3, 2, 0, 1]> (j)""",
        "join(axis=0; w · part(1:2, axis=0), w · part(0:1, axis=0)) · transpose(3, 2, 0, 1)",
    ),
    "split and join": (
        "p, q = Split <axis = 0> (w)\n j = Concat <axis = 0> (q, p)\n k = Transpose <perm = [3, 2, 0, 1]> (j)",
        "join(axis=0; w · part(1:2, axis=0), w · part(0:1, axis=0)) · transpose(3, 2, 0, 1)",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_step_on_a_weight_is_a_move_of_its_recipe(name):
    steps, recipe = CASES[name]
    graph = normalised(
        raw_graph(
            "(float[N,6,3,7] x, float[2,3,3,2] w) => (float[N,o,h,i] y)"
            if "2, 3, 2, 3" not in steps
            else "(float[N,3,6,7] x, float[2,3,3,2] w) => (float[N,o,h,i] y)",
            f"{'t = Transpose <perm = [0, 2, 1, 3]> (x)' if '2, 3, 2, 3' not in steps else 't = Identity (x)'}\n"
            f"{steps}\n y = Conv (t, k)",
        )
    )
    assert operators(graph) == ["Conv"]
    (found,) = graph.weights.values()
    assert str(found) == recipe
    assert any(rewrite.applied for rewrite in graph.rewrites)


def test_a_weight_in_two_layouts_is_two_inputs_of_one_variable():
    graph = normalised(
        raw_graph(
            "(float[N,3] x, float[3,3] w) => (float[N,3] y)",
            "t = Transpose (w)\n a = Gemm <transB = 1> (x, t)\n y = Gemm <transB = 1> (a, w)",
        )
    )
    assert list(graph.weights) == ["w", "w#2"]
    assert {variable.path for recipe in graph.weights.values() for variable in recipe.variables} == {"w"}


def test_a_shared_layer_stays_one_weight():
    graph = normalised(
        raw_graph(
            "(float[N,3] x, float[3,3] w) => (float[N,3] y)",
            "t = Transpose (w)\n a = Gemm <transB = 1> (x, t)\n u = Transpose (w)\n y = Gemm <transB = 1> (a, u)",
        )
    )
    assert list(graph.weights) == ["w"]
    assert operators(graph) == ["Gemm", "Gemm"]


def test_arithmetic_on_a_weight_stays_in_the_graph():
    graph = normalised(raw_graph("(float[N,3] x, float[3] v) => (float[N,3] y)", "d = Sqrt (v)\n y = Div (x, d)"))
    assert operators(graph) == ["Sqrt", "Div"]
    assert str(graph.weights["v"]) == "v"


@pytest.mark.parametrize("out", [2, 3])
@pytest.mark.parametrize("product", ["Gemm <transB = 1> (x, t)", "Gemm <transB = 1> (x, t, b)", "MatMul (x, u)"])
def test_a_weight_that_the_graph_computes_is_taken_in_the_layout_it_stands_in(out, product):
    """A Cast stands there in a layer of mixed precision; a square weight in the wrong layout would run all the same."""
    body = f"d = Neg (w)\n t = Transpose <perm = [1, 0]> (d)\n u = Transpose <perm = [1, 0]> (t)\n y = {product}"
    normalised(raw_graph(f"(float[N,3] x, float[3,{out}] w, float[{out}] b) => (float[N,{out}] y)", body))


def test_a_table_stays_whole_of_which_the_first_rows_alone_are_taken():
    """Positions beyond a short sequence: the module that is to be filled has them, too."""
    body = """s = Constant <value_ints = [0]> ()
        e = Constant <value_ints = [4]> ()
        h = Slice (w, s, e, s)
        y = Add (x, h)"""
    graph = normalised(raw_graph("(float[N,4,3] x, float[9,3] w) => (float[N,4,3] y)", body))
    assert operators(graph) == ["Slice", "Add"]
    assert str(graph.weights["w"]) == "w"


LINEAR = {
    "over more axes": ("float[N,4,3]", "p = MatMul (x, w)\n y = Add (p, b)", "(5)", ["Linear"]),
    "the bias first": ("float[N,4,3]", "p = MatMul (x, w)\n y = Add (b, p)", "(5)", ["Linear"]),
    "of two axes": ("float[N,3]", "p = MatMul (x, w)\n y = Add (p, b)", "(5)", ["Gemm"]),
    "a bias with leading axes": ("float[N,4,3]", "p = MatMul (x, w)\n y = Add (p, b)", "(1, 1, 5)", ["Linear"]),
    "a bias for each position": (
        "float[N,4,3]", "p = MatMul (x, w)\n y = Add (p, b)", "(4, 5)", ["LinearWithoutBias", "Add"],
    ),
    "a product used twice": (
        "float[N,4,3]",
        "p = MatMul (x, w)\n q = Add (p, b)\n y = Mul (q, p)",
        "(5)",
        ["LinearWithoutBias", "Add", "Mul"],
    ),
    "rows and back": (
        "float[N,4,3]",
        """m = Constant <value_ints = [-1, 3]> ()
        r = Reshape (x, m)
        p = MatMul (r, w)
        n = Constant <value_ints = [-1, 4, 5]> ()
        q = Reshape (p, n)
        y = Add (q, b)""",
        "(5)",
        ["Linear"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LINEAR)
def test_a_product_with_a_weight_and_the_weight_added_are_one_linear_layer(name):
    source, body, bias, expected = LINEAR[name]
    target = source.replace("3]", "5]")
    graph = normalised(raw_graph(f"({source} x, float[3,5] w, float[{bias[1:-1]}] b) => ({target} y)", body))
    assert operators(graph) == expected
    assert str(graph.weights["w"]) == "w · transpose(1, 0)"


def test_heads_are_split_after_the_bias():
    """(…, heads · size) plus (heads, size), as an attention's projections have it."""
    body = """s = Constant <value_ints = [-1, 4, 2, 3]> ()
        p = MatMul (x, w)
        r = Reshape (p, s)
        y = Add (r, b)"""
    graph = normalised(raw_graph("(float[N,4,5] x, float[5,6] w, float[2,3] b) => (float[N,4,2,3] y)", body))
    assert operators(graph) == ["Linear", "Reshape"]
    assert str(graph.weights["b"]) == "b · reshape(6,)"


def test_a_bias_of_channels_goes_into_the_convolution():
    body = """c = Conv <kernel_shape = [2, 2]> (x, w)
        t = Transpose <perm = [0, 2, 3, 1]> (c)
        y = Add (t, b)"""
    graph = normalised(raw_graph("(float[N,3,6,7] x, float[5,3,2,2] w, float[5] b) => (float[N,5,6,5] y)", body))
    assert operators(graph) == ["Conv"]


def test_scores_are_not_turned_where_their_factors_can_be():
    """Keras' attention is key · queryᵀ, and then transposed."""
    body = """k = Transpose <perm = [0, 2, 1, 3]> (x)
        q = Transpose <perm = [0, 2, 3, 1]> (z)
        p = MatMul (k, q)
        y = Transpose <perm = [0, 1, 3, 2]> (p)"""
    signature = "(float[N,4,2,3] x, float[N,5,2,3] z) => (float[N,2,5,4] y)"
    graph = normalised(raw_graph(signature, body))
    assert sorted(operators(graph)) == ["MatMul", "Transpose", "Transpose"]
