"""Which operators of ONNX 17 become a module of PyTorch's: those of onnx2torch, and those of our own converters."""

from __future__ import annotations

from functools import cache

from .onnx2torch_import import import_onnx2torch

#: Beside onnx2torch's; what stages/importer/converters has, which a test holds to it.
OWN = (
    *("Acosh", "Asinh", "Atanh", "Cosh", "Sinh", "GlobalMaxPool", "GreaterOrEqual", "LessOrEqual", "Hardmax", "OneHot"),
    *("Scan", "ThresholdedRelu"),
)
#: onnx2torch has them, but what they give is as large as the values say: no layer of a fixed shape.
SIZED_BY_VALUES = ("NonZero",)
OPSET = 17


@cache
def has_module(operator: str) -> bool:
    """Whether some converter takes it; with which attributes is the importer's affair."""
    if operator in OWN or operator in SIZED_BY_VALUES:
        return operator in OWN
    import_onnx2torch()
    from onnx2torch.node_converters.registry import get_converter

    try:
        get_converter(operator, OPSET, "")
    except NotImplementedError:
        return False
    return True
