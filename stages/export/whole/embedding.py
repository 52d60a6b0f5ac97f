"""Embedding → Gather over the table (vocabulary, width). Ids that come as floats are cast, as Keras does.

ReversibleEmbedding the same; called with ``reverse=True`` it is TensorFlow's product with the transposed table.
"""

from __future__ import annotations

import keras
import onnx_ir as ir

from ..writer import Writer, sizes_of
from .base import Site, Weights, WholeLayer


def _write(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    if site.input_dtype not in ("int32", "int64"):
        x = nodes.op("Cast", [x], shape=sizes_of(x), to=ir.DataType.INT32)
        x.dtype = ir.DataType.INT32
    return nodes.op("Gather", [weights["embeddings"], x], main=True, shape=site.output_shape, axis=0)


EMBEDDING = WholeLayer(
    layers=(keras.layers.Embedding, keras.layers.ReversibleEmbedding), weights=("embeddings",), write=_write
)
