"""The tf2onnx leg: a traced function → an ONNX graph in which the opaque operations still stand.

tf2onnx only logs an operation that it cannot convert and hands back an invalid graph: its log is read, and an error
in it is an error.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import onnx
import tensorflow as tf

from ..errors import UnsupportedError
from .refusals import innermost
from .tf_ops import TF_OPS
from .unfed import unfed

OPSET = 17
TRACE_DOMAIN = "torchgraft.trace"
OPAQUE = "Opaque"


def onnx_from_function(function: Any, scopes: Mapping[str, str]) -> onnx.ModelProto:
    """Convert a concrete function without any of tf2onnx's optimizers; ``scopes`` are those of ``Traced``.

    Raises:
        UnsupportedError: an operation has no conversion; names the Keras layer it belongs to.
    """
    import tf2onnx.convert
    import tf2onnx.tf_loader
    import tf2onnx.tfonnx

    inputs = [tensor.name for tensor in function.inputs if tensor.dtype.name != "resource"]
    outputs = [tensor.name for tensor in function.outputs]
    # Where the batch is fixed tf2onnx joins any MatMul and Add into a Gemm: the products of an input and of a state.
    separate = mock.patch.object(tf2onnx.tfonnx, "rewrite_gemm", lambda _graph, ops: ops)
    with _captured_log() as log, separate:
        try:
            # Not tf_loader.from_function: that copies the whole graph to freeze variables, and there are none.
            definition = function.graph.as_graph_def(add_shapes=True)
            weights = {name.partition(":")[0] for name in inputs if name.startswith("weight_")}
            with tf.Graph().as_default():
                frozen = unfed(partial(tf2onnx.tf_loader.tf_optimize, inputs, outputs), definition, weights)
            model: onnx.ModelProto
            model, _ = tf2onnx.convert._convert_common(  # noqa: SLF001 - from_function has no way past its own check of ops
                frozen,
                name="torchgraft",
                opset=OPSET,
                input_names=inputs,
                output_names=outputs,
                custom_op_handlers={
                    "PyFunc": (_keep_opaque, []),
                    **{op: (handler, []) for op, handler in TF_OPS.items()},
                },
                optimizers={},
            )
        except Exception as error:
            if not log:  # no operation of the model's: a bug
                raise
            raise _unsupported(scopes, log, str(error)) from error
    if log:
        raise _unsupported(scopes, log, "")
    return model


def _keep_opaque(graph: Any, node: Any, name: str, args: Any) -> None:
    node.type = OPAQUE
    node.domain = TRACE_DOMAIN
    for attribute in list(node.attr):
        if attribute != "token":
            del node.attr[attribute]


@contextmanager
def _captured_log() -> Iterator[list[str]]:
    """The errors that tf2onnx logs meanwhile; its warnings and errors reach nobody else."""
    errors: list[str] = []

    class Capture(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR:
                errors.append(record.getMessage())

    logger = logging.getLogger("tf2onnx")
    handlers, propagate = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [Capture()], False
    try:
        yield errors
    finally:
        logger.handlers, logger.propagate = handlers, propagate


def _unsupported(scopes: Mapping[str, str], log: list[str], cause: str) -> UnsupportedError:
    """The error for tf2onnx's log lines, by the layer whose name scope the operation stands in."""
    places = []
    for line in log:
        found = re.search(r"Tensorflow op \[(?P<node>[^:]+): (?P<op>\w+)\]", line)
        found = found or re.search(r"Failed to convert node '(?P<node>[^']+)'(?P<op>)", line)
        if found:
            places.append((innermost(found["node"], scopes), found["op"]))
    layers = sorted({layer for layer, _ in places if layer})
    operations = sorted({op for _, op in places if op})
    what = f"has no ONNX form: TensorFlow operations {operations}" if operations else "could not be converted to ONNX"
    return UnsupportedError(
        f"the model {what}" if not layers else what,
        where=", ".join(f"layer {layer}" for layer in layers),
        fix="replace the layer or the operation by one that torchgraft lists as supported",
        details=tuple(line.splitlines()[0] for line in [*log, cause] if line),
    )
