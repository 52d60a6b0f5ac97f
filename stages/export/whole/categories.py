"""CategoryEncoding, Discretization and IntegerLookup → comparisons with constants.

1. Discretization → the number of boundaries that are at most x (``tf.raw_ops.Bucketize``).
2. IntegerLookup → the place of x in the vocabulary; what is not in it has the one place that Keras keeps for that.
   The mask token has place 0 in mode "int" and none in the others (keras/src/layers/preprocessing/index_lookup.py).
3. CategoryEncoding takes its input for such numbers.
4. ``output_mode``: "int" gives the numbers; "one_hot" compares them with 0 … depth - 1; "multi_hot" and "count"
   take the maximum and the sum of that along a sample (keras/src/utils/numerical_utils.py).
"""

from __future__ import annotations

import keras
import numpy as np
import onnx_ir as ir

from ..writer import Writer, onnx_dtype, sizes_of
from .base import Site, Weights, WholeLayer

INT64, BOOL = ir.DataType.INT64, ir.DataType.BOOL
NOWHERE = -1  # a category that none is equal to: Keras drops masked words from what it counts


def _encode(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    return _encoded(nodes, site, nodes.cast(x, INT64), site.layer.num_tokens)


def _discretize(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    boundaries = np.asarray(site.layer.bin_boundaries, site.input_dtype)
    reached = _each_with_each(nodes, "GreaterOrEqual", x, nodes.constant(boundaries, "boundaries"))
    numbers = _sum_over_last(nodes, nodes.cast(reached, INT64))
    return _encoded(nodes, site, numbers, len(boundaries) + 1)


def _look_up(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    layer = site.layer
    unknown = 1 if layer.mask_token is not None and layer.output_mode == "int" else 0
    words = layer.get_vocabulary(include_special_tokens=False)
    places = {int(word): place for place, word in enumerate(words, unknown + 1)}
    if layer.mask_token is not None:
        places[int(layer.mask_token)] = 0 if layer.output_mode == "int" else NOWHERE
    hits = _each_with_each(nodes, "Equal", nodes.cast(x, INT64), nodes.integers(list(places), "vocabulary"))
    from_unknown = nodes.integers([place - unknown for place in places.values()], "places")
    steps = nodes.op("Mul", [nodes.cast(hits, INT64), from_unknown], shape=sizes_of(hits))
    moved = _sum_over_last(nodes, steps)
    numbers = nodes.op("Add", [moved, nodes.integers([unknown], "unknown")], shape=sizes_of(x))
    return _encoded(nodes, site, numbers, layer.max_tokens if layer.pad_to_max_tokens else layer.vocabulary_size())


def _encoded(nodes: Writer, site: Site, numbers: ir.Value, depth: int) -> ir.Value:
    """Keras' ``output_mode`` of the ``numbers``; "one_hot" drops a last axis of length 1."""
    mode, dtype = getattr(site.layer, "output_mode", "int"), onnx_dtype(site.dtype)
    if mode == "int":
        return nodes.cast(numbers, dtype, main=True)
    if mode == "one_hot" and len(site.input_shape) > 1 and site.input_shape[-1] == 1:
        numbers = nodes.op("Squeeze", [numbers, nodes.integers([-1], "single")], shape=sizes_of(numbers)[:-1])
    equal = _each_with_each(nodes, "Equal", numbers, nodes.integers(range(depth), "categories"))
    if mode == "one_hot":
        return nodes.cast(equal, dtype, main=True)
    hot = nodes.cast(equal, dtype)
    if mode == "multi_hot":
        return nodes.op("ReduceMax", [hot], main=True, shape=site.output_shape, axes=[-2], keepdims=0)
    axes = nodes.integers([-2], "samples")
    return nodes.op("ReduceSum", [hot, axes], main=True, shape=site.output_shape, keepdims=0)


def _each_with_each(nodes: Writer, comparison: str, x: ir.Value, constants: ir.Value) -> ir.Value:
    """(…, S) and (K,) → (…, S, K)."""
    column = nodes.op("Unsqueeze", [x, nodes.integers([-1], "last")], shape=(*sizes_of(x), 1))
    return nodes.op(comparison, [column, constants], shape=(*sizes_of(x), *sizes_of(constants)), dtype=BOOL)


def _sum_over_last(nodes: Writer, x: ir.Value) -> ir.Value:
    return nodes.op("ReduceSum", [x, nodes.integers([-1], "axes")], shape=sizes_of(x)[:-1], keepdims=0)


def _refuse(site: Site) -> str:
    layer = site.layer
    if layer.sparse:
        return "it gives a sparse tensor: set sparse=False"
    if layer.output_mode in ("multi_hot", "count") and len(site.input_shape) != 2:
        return (
            f"output_mode={layer.output_mode!r} of an input of shape {site.input_shape}, where (batch, size) is known"
        )
    return ""


def _refuse_lookup(site: Site) -> str:
    layer = site.layer
    if layer.invert:
        return "invert=True gives words for places"
    if layer.output_mode == "tf_idf":
        return "output_mode='tf_idf' weights each word by its frequency"
    if layer.num_oov_indices != 1:
        return f"num_oov_indices={layer.num_oov_indices}: one place for unknown words is known"
    return _refuse(site)


CATEGORY_ENCODING = WholeLayer(
    layers=(keras.layers.CategoryEncoding,), write=_encode, refuse=_refuse, dtype=lambda layer: layer.compute_dtype
)
DISCRETIZATION = WholeLayer(
    layers=(keras.layers.Discretization,), write=_discretize, refuse=_refuse, dtype=lambda layer: layer.output_dtype
)
INTEGER_LOOKUP = WholeLayer(
    layers=(keras.layers.IntegerLookup,),
    write=_look_up,
    refuse=_refuse_lookup,
    dtype=lambda _: "int64",
)
