"""The local functions of the domain "torchgraft": operators that ONNX 17 lacks and PyTorch has a module for.

Each is written out in ONNX's own text form, so that any runtime computes it from the file alone.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

DOMAIN = "torchgraft"

LINEAR = """
<domain: "torchgraft", opset_import: ["": 17]>
Linear (x, weight, bias) => (y) {
    across = Transpose <perm = [1, 0]> (weight)
    product = MatMul (x, across)
    y = Add (product, bias)
}
"""

LINEAR_WITHOUT_BIAS = """
<domain: "torchgraft", opset_import: ["": 17]>
LinearWithoutBias (x, weight) => (y) {
    across = Transpose <perm = [1, 0]> (weight)
    y = MatMul (x, across)
}
"""

GROUP_NORMALIZATION = """
<domain: "torchgraft", opset_import: ["": 17]>
GroupNormalization <num_groups, epsilon> (x, scale, bias) => (y) {
    shape = Shape (x)
    batch = Shape <start = 0, end = 1> (x)
    batch_and_channels = Shape <start = 0, end = 2> (x)
    rest = Constant <value_ints = [-1]> ()
    last = Constant <value_ints = [2]> ()
    groups = Constant <value_int: int = @num_groups> ()
    axis = Constant <value_ints = [0]> ()
    group_count = Unsqueeze (groups, axis)
    grouped_shape = Concat <axis = 0> (batch, group_count, rest)
    grouped = Reshape (x, grouped_shape)
    mean = ReduceMean <axes = [2], keepdims = 1> (grouped)
    centered = Sub (grouped, mean)
    squared = Mul (centered, centered)
    variance = ReduceMean <axes = [2], keepdims = 1> (squared)
    eps = Constant <value_float: float = @epsilon> ()
    shifted = Add (variance, eps)
    deviation = Sqrt (shifted)
    unit = Div (centered, deviation)
    channel_shape = Concat <axis = 0> (batch_and_channels, rest)
    channels = Reshape (unit, channel_shape)
    one = Constant <value_ints = [1]> ()
    scale_column = Unsqueeze (scale, one)
    bias_column = Unsqueeze (bias, one)
    scaled = Mul (channels, scale_column)
    moved = Add (scaled, bias_column)
    y = Reshape (moved, shape)
}
"""

FOR_EACH = """
<domain: "torchgraft", opset_import: ["": 17]>
ForEach (x, one) => (y) {
    batch = Shape <start = 0, end = 1> (x)
    rest = Shape <start = 1> (one)
    shape = Concat <axis = 0> (batch, rest)
    y = Expand (one, shape)
}
"""

SILU = """
<domain: "torchgraft", opset_import: ["": 17]>
Silu (x) => (y) {
    gate = Sigmoid (x)
    y = Mul (x, gate)
}
"""

HARD_SIGMOID = """
<domain: "torchgraft", opset_import: ["": 17]>
KerasHardSigmoid (x) => (y) {
    y = HardSigmoid <alpha = 0.16666667, beta = 0.5> (x)
}
"""

HARD_SWISH = """
<domain: "torchgraft", opset_import: ["": 17]>
HardSwish (x) => (y) {
    y = HardSwish (x)
}
"""

GELU = """
<domain: "torchgraft", opset_import: ["": 17]>
Gelu (x) => (y) {
    root = Constant <value_float = 1.4142135> ()
    one = Constant <value_float = 1.0> ()
    half = Constant <value_float = 0.5> ()
    scaled = Div (x, root)
    error = Erf (scaled)
    shifted = Add (error, one)
    gated = Mul (x, shifted)
    y = Mul (gated, half)
}
"""

# In the form that ONNX Runtime takes for its FastGelu (onnxruntime/core/optimizer/fast_gelu_fusion.cc, formula 2).
GELU_TANH = """
<domain: "torchgraft", opset_import: ["": 17]>
GeluTanh (x) => (y) {
    cubic = Constant <value_float = 0.044715> ()
    slope = Constant <value_float = 0.7978846> ()
    one = Constant <value_float = 1.0> ()
    half = Constant <value_float = 0.5> ()
    three = Constant <value_float = 3.0> ()
    cube = Pow (x, three)
    small = Mul (cubic, cube)
    sum = Add (x, small)
    inner = Mul (slope, sum)
    bent = Tanh (inner)
    shifted = Add (one, bent)
    halved = Mul (half, x)
    y = Mul (halved, shifted)
}
"""

DEFINITIONS = (
    LINEAR,
    LINEAR_WITHOUT_BIAS,
    GROUP_NORMALIZATION,
    FOR_EACH,
    SILU,
    HARD_SIGMOID,
    HARD_SWISH,
    GELU,
    GELU_TANH,
)


def add_functions(model: ir.Model) -> None:
    """Give ``model`` the functions that its nodes call."""
    used = {node.op_type for node in model.graph.all_nodes() if node.domain == DOMAIN}
    for definition in DEFINITIONS:
        function = ir.serde.deserialize_function(onnx.parser.parse_function(definition))
        if function.name in used:
            model.functions[function.identifier()] = function
    if used:
        model.graph.opset_imports[DOMAIN] = 1
