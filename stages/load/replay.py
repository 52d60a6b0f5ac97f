"""A TensorFlow function done again, operation by operation, with given tensors in the place of its variables.

A concrete function *captures* its variables: tf2onnx would freeze them as constants. Done again in another graph, each
``ReadVariableOp`` is the tensor that the caller gives for the variable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from ..errors import UnsupportedError

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_READS = ("ReadVariableOp", "ResourceGather")
# They give nothing that another operation takes.
_WITHOUT_OUTPUT = ("NoOp", "Assert")
# Operations that reach outside the graph, or keep a state in it: a trained model at inference has none of them.
_FIX = "save the inference part of the model alone, or give a factory 'file.py:function' that builds it in Keras"


class Handle:
    """Stands for the resource of one variable while its function is done again."""

    def __init__(self, value: tf.Tensor) -> None:
        self.value = value


def replay(function: Any, inputs: Sequence[tf.Tensor], values: Mapping[int, tf.Tensor]) -> list[tf.Tensor]:
    """What ``function`` gives for ``inputs``, flattened, as new operations of the graph that is being built.

    Args:
        function: a concrete function.
        inputs: in the order of its own arguments (``function.inputs`` without what it captures).
        values: id of a captured variable's handle → the tensor that takes its place.

    Raises:
        UnsupportedError: an operation that is no arithmetic on tensors (control flow, a table, a file), by name.
    """
    graph = function.graph
    known: dict[int, Any] = {}
    for outer, inner in graph.captures:
        known[id(inner)] = Handle(values[id(outer)]) if inner.dtype == tf.resource and id(outer) in values else outer
    taken = [tensor for tensor in graph.inputs if id(tensor) not in known]
    known.update(zip(map(id, taken), inputs, strict=True))
    library = {entry.signature.name: entry for entry in graph.as_graph_def().library.function}
    _make_known(library)
    _run(graph, known, library)
    return [known[id(tensor)] for tensor in graph.outputs]


def _make_known(library: Mapping[str, Any]) -> None:
    """A function's body is rebuilt as a graph only where TensorFlow knows the functions that it calls in turn."""
    from tensorflow.python.eager import context

    known = context.context()
    for name, definition in library.items():
        if not known.has_function(name):
            known.add_function_def(definition)


def check_replayable(function: Any, where: str) -> None:
    """Raise the UnsupportedError of ``replay`` without doing anything."""
    definition = function.graph.as_graph_def()
    called = [node for body in definition.library.function for node in body.node_def]
    for node in (*definition.node, *called):
        if node.op not in _CALLS and any(value.HasField("func") for value in node.attr.values()):
            raise UnsupportedError(
                f"the graph has control flow ({node.op})", where=f"{where}, node {node.name}", fix=_FIX
            )


def _run(graph: tf.Graph, known: dict[int, Any], library: Mapping[str, Any]) -> None:
    """Give every tensor of ``graph`` its counterpart; operations stand in the order of their creation."""
    for op in graph.get_operations():
        if all(id(tensor) in known for tensor in op.outputs) and (op.outputs or op.type in _WITHOUT_OUTPUT):
            continue
        arguments = [known[id(tensor)] for tensor in op.inputs]
        known.update(zip(map(id, op.outputs), _done(op, arguments, library), strict=True))


def _done(op: tf.Operation, arguments: list[Any], library: Mapping[str, Any]) -> list[Any]:
    if op.type == "Const":
        return [tf.constant(tf.make_ndarray(op.get_attr("value")))]
    if op.type in _CALLS:
        return _called(op, arguments, library)
    if op.type == "Identity" and isinstance(arguments[0], Handle):
        return arguments
    if op.type in _READS and isinstance(arguments[0], Handle):
        value = arguments[0].value
        return [value if op.type == "ReadVariableOp" else tf.gather(value, arguments[1])]
    if any(isinstance(argument, Handle) or argument.dtype == tf.resource for argument in arguments):
        raise UnsupportedError(
            f"the graph has the operation {op.type} on a resource", where=f"node {op.name}", fix=_FIX
        )
    if any(attribute.type == "func" for attribute in op.op_def.attr):
        raise UnsupportedError(f"the graph has control flow ({op.type})", where=f"node {op.name}", fix=_FIX)
    attributes = {name: value for name, value in op.node_def.attr.items() if not name.startswith("_")}
    dtypes = [tensor.dtype for tensor in op.outputs]
    # Not tf.raw_ops: some of its arguments are called otherwise than the operation's ("axis" for "reduction_indices").
    made = tf.compat.v1.get_default_graph().create_op(op.type, arguments, dtypes, attrs=attributes)
    return list(made.outputs)


def _called(op: tf.Operation, arguments: list[Any], library: Mapping[str, Any]) -> list[Any]:
    """A function inside the function."""
    from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

    with tf.init_scope():  # where TensorFlow looks for them in ``_make_known``'s place
        body = function_def_to_graph(library[op.get_attr("f").name])
    known = dict(zip(map(id, body.inputs), arguments, strict=True))
    _run(body, known, library)
    return [known[id(tensor)] for tensor in body.outputs]
