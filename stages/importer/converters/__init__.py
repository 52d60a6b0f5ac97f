"""Our converters, one family a file; see base.py."""

from __future__ import annotations

from functools import cache

from onnx2torch.node_converters.registry import add_converter
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OnnxMapping, OperationConverterResult

from .activations import ACTIVATIONS
from .base import DOMAIN, Converter, Source, source_of
from .conv_transpose import CONV_TRANSPOSE
from .embedding import EMBEDDING
from .functions import COMPARISONS, CUMSUM, EXTREMES, FOR_EACH, FUNCTIONS, HARDMAX, THRESHOLDED_RELU
from .gather_nd import GATHER_ND
from .group_normalization import GROUP_NORMALIZATION
from .linear import LINEAR
from .one_hot import ONE_HOT
from .pooling import GLOBAL_MAX_POOL, PADDED_POOL
from .prelu import PRELU
from .reshape import RESHAPE
from .scan import SCAN
from .select import GATHER, SLICE, SPLIT
from .windows import EXPAND, PAD, RESIZE

CONVERTERS: tuple[Converter, ...] = (
    LINEAR,
    CONV_TRANSPOSE,
    GROUP_NORMALIZATION,
    EMBEDDING,
    PRELU,
    RESHAPE,
    SLICE,
    SPLIT,
    GATHER,
    GATHER_ND,
    ONE_HOT,
    PAD,
    RESIZE,
    EXPAND,
    PADDED_POOL,
    GLOBAL_MAX_POOL,
    FOR_EACH,
    ACTIVATIONS,
    FUNCTIONS,
    COMPARISONS,
    CUMSUM,
    EXTREMES,
    HARDMAX,
    THRESHOLDED_RELU,
    SCAN,
)


@cache
def register_converters() -> None:
    """Once a process: onnx2torch's registry refuses an operator that it has."""
    for operator in dict.fromkeys(operator for converter in CONVERTERS for operator in converter.operators):
        add_converter(operator, 1, DOMAIN)(_convert)


def _convert(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    source = source_of(node.proto, graph.value_info, graph.constants, graph.initializers)
    converter = converter_for(source)
    assert converter is not None, f"{node.unique_name} was given to our converters, and none takes it"
    weights = {
        index: graph.initializers[source.inputs[index]].to_torch()
        for index in converter.parameters.values()
        if source.has(index)
    }
    inputs = source.inputs if converter.data is None else tuple(source.inputs[index] for index in converter.data)
    return OperationConverterResult(converter.module(source, weights), OnnxMapping(inputs, node.output_values))


def converter_for(source: Source) -> Converter | None:
    """Ours, where one takes this node."""
    return next((one for one in CONVERTERS if source.operator in one.operators and one.accepts(source)), None)


__all__ = ["CONVERTERS", "DOMAIN", "Converter", "Source", "converter_for", "register_converters", "source_of"]
