"""The arithmetic of a normalisation, of which no layer is known, as the one operation that it is.

A SavedModel's signature, and a function of a user's own, hold what ``tf.nn.batch_normalization`` writes (tensorflow,
python/ops/nn_impl.py), and Keras' layer_normalization likewise:

    inv = 1 / sqrt(variance + epsilon) · gamma          y = x · inv + (beta - mean · inv)

1. Mean and variance are weights, along the last axis: BatchNormalization.
2. They are those of the input over its last axis: LayerNormalization.
3. Without gamma ``inv`` is the root's reciprocal alone.
4. Without beta ``(-mean) · inv`` is added; beta may be added to that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

from .writer import GraphNames, Writer, known, sizes_of


@dataclass(frozen=True)
class _Norm:
    """What one is made of; None where it has no gamma, or no beta; no statistics: those of its input."""

    x: ir.Value
    gamma: ir.Value | None
    beta: ir.Value | None
    epsilon: float
    statistics: tuple[ir.Value, ir.Value] | None


def join_normalisations(model: ir.Model, names: GraphNames) -> None:
    """Write every one of them as its operation; the shapes of the graph are known."""
    graph, joined = model.graph, False
    for node in list(graph):
        norm = next(_found(node), None)
        if norm is None:
            continue
        output = node.outputs[0]
        writer = Writer(graph, names, f"{node.name}/norm")
        result = _write(writer, norm)
        graph.insert_before(node, writer.nodes)
        result.shape, result.type = output.shape, output.type
        ir.convenience.replace_all_uses_with(output, result, replace_graph_outputs=True)
        joined = True
    if joined:
        passes.RemoveUnusedNodesPass()(model)


def _write(nodes: Writer, norm: _Norm) -> ir.Value:
    features = sizes_of(norm.x)[-1]
    assert isinstance(features, int)
    dtype = norm.x.dtype.numpy() if norm.x.dtype is not None else np.dtype("float32")
    gamma = norm.gamma or nodes.constant(np.ones(features, dtype), "ones")
    beta = norm.beta or nodes.constant(np.zeros(features, dtype), "zeros")
    if norm.statistics is None:
        inputs, shape = [norm.x, gamma, beta], sizes_of(norm.x)
        return nodes.op("LayerNormalization", inputs, main=True, shape=shape, axis=-1, epsilon=norm.epsilon)
    first = nodes.channels_first(norm.x)
    inputs, shape = [first, gamma, beta, *norm.statistics], sizes_of(first)
    y = nodes.op("BatchNormalization", inputs, main=True, shape=shape, epsilon=norm.epsilon)
    return nodes.channels_last(y)


def _found(node: ir.Node) -> Iterator[_Norm]:
    """``node`` as the last operation of one."""
    if node.op_type != "Add":
        return
    for scaled, shift in _both_ways(node):
        for x, inverse in _products(scaled):
            if x.shape is None or len(x.shape) < 2 or not isinstance(sizes_of(x)[-1], int):
                continue
            for mean, beta in _shifts(shift, inverse):
                for root, gamma in ((inverse, None), *_products(inverse)):
                    for variance, epsilon in _roots(root):
                        yield from _norms(x, (mean, variance), (gamma, beta), epsilon)


def _norms(
    x: ir.Value,
    statistics: tuple[ir.Value, ir.Value],
    weights: tuple[ir.Value | None, ir.Value | None],
    epsilon: float,
) -> Iterator[_Norm]:
    """The normalisation, where all its parts are what they have to be."""
    gamma, beta = (None if each is None else _weight(each, x) for each in weights)
    if (gamma is None) != (weights[0] is None) or (beta is None) != (weights[1] is None):
        return
    mean, variance = (_weight(each, x) for each in statistics)
    if mean is not None and variance is not None:
        yield _Norm(x, gamma, beta, epsilon, (mean, variance))
    elif _is_mean(statistics[0], x) and _is_variance(statistics[1], x):
        yield _Norm(x, gamma, beta, epsilon, None)


def _weight(value: ir.Value, x: ir.Value) -> ir.Value | None:
    """The weight that a value is, as long as the last axis of ``x``; with axes of length 1 in front of it, too."""
    if value.shape is None or not (whole := sizes_of(value)) or set(whole[:-1]) - {1} or whole[-1] != sizes_of(x)[-1]:
        return None
    held = _input_of(value, "Reshape") or value
    is_vector = held.is_graph_input() and held.shape is not None and len(known(held)) == 1
    return held if is_vector else None


def _is_mean(value: ir.Value | None, x: ir.Value) -> bool:
    """Whether it is the mean of ``x`` over its last axis."""
    node = None if value is None else _through_identity(value).producer()
    if node is None or node.op_type != "ReduceMean" or not node.attributes.get_int("keepdims", 1):
        return False
    axes = node.attributes.get_ints("axes", ())
    assert x.shape is not None
    return node.inputs[0] is x and [axis % len(x.shape) for axis in axes] == [len(x.shape) - 1]


def _is_variance(value: ir.Value, x: ir.Value) -> bool:
    """Whether it is the mean of (x - mean)² over the last axis."""
    square = _input_of(value, "ReduceMean")
    if square is None or not _is_mean(value, square):
        return False
    node = square.producer()
    if node is None or node.op_type != "Mul" or node.inputs[0] is not node.inputs[1] or node.inputs[0] is None:
        return False
    centred = node.inputs[0].producer()
    return (
        centred is not None and centred.op_type == "Sub" and centred.inputs[0] is x and _is_mean(centred.inputs[1], x)
    )


def _shifts(shift: ir.Value, inverse: ir.Value) -> Iterator[tuple[ir.Value, ir.Value | None]]:
    """(mean, beta) of what is added."""
    node = shift.producer()
    if node is not None and node.op_type == "Sub":
        beta, product = node.inputs
        yield from ((mean, beta) for mean, factor in _products(product) if factor is inverse)
    sums = _both_ways(node) if node is not None and node.op_type == "Add" else ()
    for product, beta in ((shift, None), *sums):
        for negative, factor in _products(product):
            if factor is inverse and (mean := _input_of(negative, "Neg")) is not None:
                yield mean, beta


def _roots(reciprocal: ir.Value) -> Iterator[tuple[ir.Value, float]]:
    """(variance, epsilon) of 1 / sqrt(variance + epsilon)."""
    root = _input_of(_input_of(reciprocal, "Reciprocal"), "Sqrt")
    node = None if root is None else root.producer()
    if node is None or node.op_type != "Add":
        return
    for variance, other in _both_ways(node):
        epsilon = ir.convenience.get_const_tensor(other)
        if epsilon is not None and epsilon.size == 1:
            yield variance, float(epsilon.numpy().item())


def _products(value: ir.Value | None) -> Iterator[tuple[ir.Value, ir.Value]]:
    node = None if value is None else value.producer()
    if node is not None and node.op_type == "Mul":
        yield from _both_ways(node)


def _both_ways(node: ir.Node) -> Iterator[tuple[ir.Value, ir.Value]]:
    first, second = node.inputs
    if first is not None and second is not None:
        yield first, second
        yield second, first


def _through_identity(value: ir.Value) -> ir.Value:
    """What ``stop_gradient`` hands on."""
    return _input_of(value, "Identity") or value


def _input_of(value: ir.Value | None, op_type: str) -> ir.Value | None:
    node = None if value is None else value.producer()
    return node.inputs[0] if node is not None and node.op_type == op_type else None
