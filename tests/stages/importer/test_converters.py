"""Our converters: registered once, each operator listed once for a kind of node, refusals by name."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx2torch.node_converters.registry import get_converter
from onnx_text import assert_same, inputs_of, normalised, raw_graph, run
from torchgraft.stages.errors import UnsupportedError
from torchgraft.stages.importer import imported
from torchgraft.stages.importer.converters import CONVERTERS, DOMAIN, register_converters
from torchgraft.stages.importer.converters.windows import torch_pads
from torchgraft.stages.onnx_operators import OWN, has_module

GRAPHS = {
    "slices backwards": (
        "(float[N,4,5] x) => (float[N,4,3] y)",
        """s = Constant <value_ints = [-1, 3]> ()
        e = Constant <value_ints = [-9, -9]> ()
        a = Constant <value_ints = [1, 2]> ()
        t = Constant <value_ints = [-1, -1]> ()
        d = Slice (x, s, e, a, t)
        f = Constant <value_ints = [0]> ()
        l = Constant <value_ints = [3]> ()
        b = Constant <value_ints = [2]> ()
        y = Slice (d, f, l, b)""",
    ),
    "splits into equal and into given parts": (
        "(float[N,6,5] x) => (float[N,3,2] y)",
        """p, q = Split <axis = 1> (x)
        k = Constant <value_ints = [2, 3]> ()
        y, r = Split <axis = 2> (q, k)""",
    ),
    "gathers places from the end": (
        "(float[N,4,5] x) => (float[N,2] y)",
        """k = Constant <value_ints = [-1, 0]> ()
        g = Gather <axis = 2> (x, k)
        o = Constant <value_int = -2> ()
        y = Gather <axis = 1> (g, o)""",
    ),
    "pads by reflection and by edges": (
        "(float[N,2,4,5] x) => (float[N,2,9,6] y)",
        """k = Constant <value_ints = [0, 0, 1, 0, 0, 0, 2, 1]> ()
        r = Pad <mode = "reflect"> (x, k)
        e = Constant <value_ints = [0, 0, 2, 0, 0, 0, 0, 0]> ()
        y = Pad <mode = "edge"> (r, e)""",
    ),
    "pads an average without counting the padding": (
        "(float[N,2,5,7] x) => (float[N,2,3,4] y)",
        "y = AveragePool <kernel_shape = [2, 3], strides = [2, 2], pads = [0, 1, 1, 2]> (x)",
    ),
    "counts the padding where it is told to": (
        "(float[N,2,5,7] x) => (float[N,2,3,4] y)",
        "y = AveragePool <kernel_shape = [2, 3], strides = [2, 2], pads = [0, 1, 1, 2], count_include_pad = 1> (x)",
    ),
    "pads a maximum by less than any value": (
        "(float[N,2,5,7] x) => (float[N,2,3,4] y)",
        """k = Constant <value_float = -9.0> ()
        n = Add (x, k)
        y = MaxPool <kernel_shape = [2, 3], strides = [2, 2], pads = [0, 1, 1, 2]> (n)""",
    ),
    "crops a transposed convolution lopsidedly": (
        "(float[N,3,4,5] x, float[3,2,3,4] w, float[2] b) => (float[N,2,8,10] y)",
        "y = ConvTranspose <strides = [2, 2], pads = [0, 1, 1, 1], output_padding = [0, 0]> (x, w, b)",
    ),
    "the greatest of all places": ("(float[N,2,4,5] x) => (float[N,2,1,1] y)", "y = GlobalMaxPool (x)"),
    "the hardest": ("(float[N,4,5] x) => (float[N,4,5] y)", "y = Hardmax <axis = 1> (x)"),
    "sums as it goes": (
        "(float[N,4,5] x) => (float[N,4,5] y)",
        "k = Constant <value_int = 1> ()\n y = CumSum (x, k)",
    ),
    "functions of one value": (
        "(float[N,4] x) => (float[N,4] y)",
        "a = Sinh (x)\n b = Cosh (x)\n c = Asinh (a)\n d = Acosh (b)\n e = Add (c, d)\n f = Tanh (e)\n y = Atanh (f)",
    ),
    "a threshold": ("(float[N,4] x) => (float[N,4] y)", "y = ThresholdedRelu <alpha = 0.3> (x)"),
    "comparisons": (
        "(float[N,4] x) => (float[N,4] y)",
        """k = Constant <value_float = 0.2> ()
        a = GreaterOrEqual (x, k)
        b = LessOrEqual (x, k)
        c = Or (a, b)
        d = Where (a, x, k)
        y = Where (c, d, x)""",
    ),
    "a Gemm that scales": (
        "(float[N,4] x, float[4,3] w, float[3] b) => (float[N,3] y)",
        "y = Gemm <alpha = 2.0> (x, w, b)",
    ),
    "an embedding": ("(int64[N,4] x, float[5,3] w) => (float[N,4,3] y)", "y = Gather (w, x)"),
    "several outputs of one node": (
        "(float[N,6] x) => (float[N,3] y, float[N,3] z, float[N,6] r)",
        "z, y = Split <axis = 1> (x)\n r = Relu (x)",
    ),
    "an input that is an output": ("(float[N,6] x) => (float[N,6] y)", "y = Identity (x)"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_torch_computes_what_onnxruntime_computes(name):
    raw = raw_graph(*GRAPHS[name])
    graph = normalised(raw)
    module = imported(graph, raw.variables)
    module.check()
    arrays = inputs_of(raw)
    inputs = [torch.from_numpy(port.from_keras(arrays[port.name]).copy()) for port in graph.inputs]
    with torch.no_grad():
        found = module.module(*inputs)
    outputs = (found,) if len(graph.outputs) == 1 else found
    ours = {port.name: port.to_keras(value.numpy()) for port, value in zip(graph.outputs, outputs, strict=True)}
    assert_same(ours, run(graph, dict(raw.variables), arrays))


@pytest.mark.parametrize(
    "options",
    ['mode = "nearest", nearest_mode = "ceil"', 'mode = "cubic"', 'mode = "nearest"'],
)
def test_a_resize_that_torch_computes_otherwise_is_refused(options):
    raw = raw_graph(
        "(float[N,2,4,5] x) => (float[N,2,8,10] y)",
        f"k = Constant <value_floats = [1.0, 1.0, 2.0, 2.0]> ()\n y = Resize <{options}> (x, , k)",
    )
    with pytest.raises(UnsupportedError, match="Resize"):
        imported(normalised(raw), raw.variables)


def test_every_operator_of_ours_is_in_onnx2torch_s_registry():
    register_converters()
    register_converters()
    for converter in CONVERTERS:
        for operator in converter.operators:
            assert get_converter(operator, 1, DOMAIN) is not None


def test_pads_of_onnx_are_turned_round_for_torch():
    array = torch.arange(6.0).reshape(1, 2, 3)
    padded = torch.nn.functional.pad(array, torch_pads([0, 1, 2, 0, 3, 4]))
    expected = np.pad(array.numpy(), [(0, 0), (1, 3), (2, 4)])
    assert np.array_equal(padded.numpy(), expected)


def test_the_operators_that_stage_1_lets_pass_are_those_that_some_converter_takes():
    """What is ours beside onnx2torch's is listed where the export can see it."""
    ours = {operator for converter in CONVERTERS for operator in converter.operators}
    assert set(OWN) <= ours
    assert all(has_module(operator) for operator in ours if onnx.defs.has(operator, 17))
    assert not any(map(has_module, ("Loop", "If", "Unique", "NonZero", "Det", "BitShift")))
