"""Rules that carry a layout through operators which do something with axes."""

from __future__ import annotations

import pytest
from onnx_text import normalised, operators, raw_graph, refusals

TO_FIRST, TO_LAST = "Transpose <perm = [0, 3, 1, 2]>", "Transpose <perm = [0, 2, 3, 1]>"


def between_convolutions(body: str, channels: int = 2, more: str = "") -> str:
    """A channel-first 1x1 convolution above and below ``body``, that makes ``b`` of ``a``, both (N, H, W, C)."""
    signature = f"(float[N,4,5,3] x, float[2,3,1,1] v, float[2,{channels},1,1] w{more}) => (float[N,h,i,2] y)"
    return raw_graph(
        signature,
        f"""
        x1 = {TO_FIRST} (x)
        c1 = Conv (x1, v)
        a = {TO_LAST} (c1)
        {body}
        b1 = {TO_FIRST} (b)
        c2 = Conv (b1, w)
        y = {TO_LAST} (c2)
        """,
    )


CARRIED = {
    "relu": ("b = Relu (a)", ["Relu"]),
    "cast": ("b = Cast <to = 1> (a)", []),
    "identity": ("b = Identity (a)", []),
    "add a constant by channel": ("k = Constant <value_floats = [1.0, 2.0]> ()\n b = Add (a, k)", ["Add"]),
    "add a scalar": ("k = Constant <value_float = 2.0> ()\n b = Mul (a, k)", ["Mul"]),
    "add itself": ("r = Relu (a)\n b = Add (a, r)", ["Relu", "Add"]),
    "where": ("k = Constant <value_float = 0.1> ()\n c = Greater (a, k)\n b = Where (c, a, k)", ["Greater", "Where"]),
    "softmax over channels": ("b = Softmax <axis = -1> (a)", ["Softmax"]),
    "softmax over rows": ("b = Softmax <axis = 1> (a)", ["Softmax"]),
    "cumsum": ("k = Constant <value_int = 2> ()\n b = CumSum (a, k)", ["CumSum"]),
    "mean kept": ("m = ReduceMean <axes = [1, 2]> (a)\n b = Sub (a, m)", ["ReduceMean", "Sub"]),
    "maximum over channels": ("m = ReduceMax <axes = [-1]> (a)\n b = Sub (a, m)", ["ReduceMax", "Sub"]),
    "sum by input": (
        "k = Constant <value_ints = [3]> ()\n m = ReduceSum (a, k)\n b = Sub (a, m)",
        ["ReduceSum", "Sub"],
    ),
    "concatenate rows": ("b = Concat <axis = 1> (a, a)", ["Concat"]),
    "split and join": ("p, q = Split <axis = 1> (a)\n b = Concat <axis = 2> (q, p)", ["Split", "Concat"]),
    "slice": (
        "s = Constant <value_ints = [1]> ()\n e = Constant <value_ints = [9]> ()\n b = Slice (a, s, e, s)",
        ["Slice"],
    ),
    "gather places": ("k = Constant <value_ints = [2, 0]> ()\n b = Gather <axis = 1> (a, k)", ["Gather"]),
    "pad": ("k = Constant <value_ints = [0, 1, 2, 0, 0, 0, 3, 0]> ()\n b = Pad (a, k)", ["Pad"]),
    "resize": (
        'k = Constant <value_floats = [1.0, 2.0, 3.0, 1.0]> ()\n b = Resize <mode = "nearest"> (a, , k)',
        ["Resize"],
    ),
    "tile": ("k = Constant <value_ints = [1, 2, 1, 1]> ()\n b = Tile (a, k)", ["Tile"]),
    "zeros like it": ("s = Shape (a)\n z = ConstantOfShape (s)\n b = Max (a, z)", ["Max"]),
    "expand": (
        "m = ReduceMean <axes = [1, 2]> (a)\n k = Constant <value_ints = [1, 4, 5, 2]> ()\n b = Expand (m, k)",
        ["ReduceMean", "Expand"],
    ),
}


@pytest.mark.parametrize("name", CARRIED)
def test_a_layout_is_carried_through(name):
    body, expected = CARRIED[name]
    graph = normalised(between_convolutions(body))
    assert operators(graph) == ["Conv", *expected, "Conv"]
    assert not refusals(graph)


def test_concatenated_channels_are_concatenated_on_the_layout_s_axis():
    graph = normalised(between_convolutions("b = Concat <axis = -1> (a, a)", channels=4))
    assert operators(graph) == ["Conv", "Concat", "Conv"]


def test_a_weight_that_is_broadcast_goes_to_the_layout_by_its_recipe():
    graph = normalised(between_convolutions("b = Mul (a, s)", more=", float[5,2] s"))
    assert operators(graph) == ["Conv", "Mul", "Conv"]
    assert graph.weights["s"].shape == (1, 2, 1, 5)
    assert str(graph.weights["s"]) == "s · reshape(1, 1, 5, 2) · transpose(0, 3, 1, 2)"


REFUSED = {
    "an operator that no rule knows": (
        "k = Constant <value_ints = [2]> ()\n b, i = TopK <axis = -1> (a, k)",
        "TopK is not known to work in another layout",
    ),
    "figures at run time": (
        "n = Shape (x)\n o = Div (n, n)\n b = Tile (a, o)",
        "its figures are only known at run time",
    ),
    "bounds at run time": (
        "n = Shape (x)\n o = Sub (n, n)\n b = Slice (a, o, n)",
        "its bounds are only known at run time",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_where_a_layout_is_not_carried_the_reason_is_given(name):
    body, reason = REFUSED[name]
    graph = normalised(between_convolutions(body))
    assert "Transpose" in operators(graph)
    assert any(reason in line for line in refusals(graph)), refusals(graph)


def test_two_layouts_meet_in_that_of_the_first():
    graph = normalised(
        raw_graph(
            "(float[N,4,5,3] x, float[2,3,1,1] w) => (float[N,4,5,2] y)",
            f"""
            x1 = {TO_FIRST} (x)
            c = Conv (x1, w)
            a = {TO_LAST} (c)
            k = Constant <value_ints = [1]> ()
            t, i = TopK <axis = 1> (a, k)
            y = Sub (a, t)
            """,
        )
    )
    assert any("stands otherwise than the others" in line for line in refusals(graph))


def test_a_reduced_axis_is_gone_from_the_layout_too():
    graph = normalised(
        raw_graph(
            "(float[N,4,5,3] x, float[2,3,1,1] v, float[6,2] w) => (float[N,6] y)",
            f"""
            x1 = {TO_FIRST} (x)
            c = Conv (x1, v)
            a = {TO_LAST} (c)
            m = ReduceMean <axes = [1, 2], keepdims = 0> (a)
            y = Gemm <transB = 1> (m, w)
            """,
        )
    )
    assert operators(graph) == ["Conv", "ReduceMean", "Gemm"]
    assert str(graph.weights["w"]) == "w"


def test_one_place_of_the_channels_is_taken_from_where_they_stand():
    graph = normalised(
        raw_graph(
            "(float[N,4,5,3] x, float[2,3,1,1] v) => (float[N,4,5] y)",
            f"""
            x1 = {TO_FIRST} (x)
            c = Conv (x1, v)
            a = {TO_LAST} (c)
            k = Constant <value_int = 1> ()
            y = Gather <axis = 3> (a, k)
            """,
        )
    )
    assert operators(graph) == ["Conv", "Gather"]
    assert graph.model.graph.node(1).attributes["axis"].as_int() == 1


def test_positions_of_the_greatest_are_by_the_layout_s_axis():
    graph = normalised(
        raw_graph(
            "(float[N,4,5,3] x, float[2,3,1,1] v) => (int64[N,5,2] y)",
            f"""
            x1 = {TO_FIRST} (x)
            c = Conv (x1, v)
            a = {TO_LAST} (c)
            y = ArgMax <axis = 1, keepdims = 0> (a)
            """,
        )
    )
    assert operators(graph) == ["Conv", "ArgMax"]
    assert graph.outputs[0].moves, "the output stands channel-first"
