"""Operators on each element alone: they work on a value as it stands.

1. One data input: the output stands as the input does.
2. A Cast to the type that the value has already is left out.
"""

from __future__ import annotations

import onnx_ir as ir

from ..held import Held
from ..layout import Layout
from ..site import Rule, Site


def rewrite(site: Site) -> list[Held]:
    if site.node.op_type == "Cast" and site.held[0] is not None and site.held[0].dtype == site.attribute("to"):
        return [site.held[0]]
    view = site.view(0)
    return site.emit([view.value], [view.layout])


def wishes(node: ir.Node, index: int, layout: Layout) -> Layout | None:
    return layout


ELEMENTWISE = Rule(
    "elementwise",
    (
        "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil", "Celu", "Cos", "Cosh",
        "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish",
        "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus",
        "Softsign", "Sqrt", "Tan", "Tanh", "ThresholdedRelu",
        "torchgraft.Gelu", "torchgraft.GeluTanh", "torchgraft.HardSwish", "torchgraft.KerasHardSigmoid",
        "torchgraft.Silu",
    ),
    rewrite,
    wishes,
)  # fmt: skip
