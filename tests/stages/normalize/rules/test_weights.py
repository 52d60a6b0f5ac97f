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
    "slice": (
        """s = Constant <value_ints = [0]> ()
        e = Constant <value_ints = [1]> ()
        h = Slice (w, s, e, s)
        k = Transpose <perm = [3, 2, 0, 1]> (h)""",
        "w · part(0:1, axis=0) · transpose(3, 2, 0, 1)",
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
