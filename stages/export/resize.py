"""TensorFlow's resizing of images (N, H, W, C) → ONNX, so that ONNX Runtime and PyTorch compute the same.

Resizing and UpSampling2D emit these operations, and so does ``keras.ops.image.resize``.

1. Bilinear at pixel centres, or with aligned corners: Resize on (N, C, H, W), which PyTorch has, too.
2. Nearest: a Gather along each axis. Which pixel is nearest is asked of TensorFlow: in a tie the runtimes do not agree.
3. Every other kernel (bicubic, area, Lanczos, with or without antialiasing) is a product with a constant matrix along
   each axis, whose columns are what TensorFlow makes of one pixel: PyTorch's bicubic is another (its a is -0.75).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ..plan import Array


def bilinear(graph: Any, node: Any, name: str, args: Any) -> None:
    """Case 1; without either option (TensorFlow 1) as case 3."""
    centres, corners = _flag(node, "half_pixel_centers"), _flag(node, "align_corners")
    if not centres and not corners:
        _by_products(graph, node)
        return
    height, width = _sizes(graph, node)
    mode = "half_pixel" if centres else "align_corners"
    new = _Nodes(graph, node)
    scales = np.asarray([1, 1, _scale(*height), _scale(*width)], np.float32)
    first = new.make("Transpose", [new.floats()], perm=[0, 3, 1, 2])
    resized = new.make("Resize", [first, "", new.constant(scales)], mode="linear", coordinate_transformation_mode=mode)
    new.finish("Transpose", [resized], perm=[0, 2, 3, 1])


def nearest(graph: Any, node: Any, name: str, args: Any) -> None:
    """Case 2."""
    places = [
        _eagerly(node, axis, np.arange(before, dtype=np.float32).reshape(1, -1, 1, 1), after)
        for axis, (before, after) in enumerate(_sizes(graph, node))
    ]
    value, new = node.input[0], _Nodes(graph, node)
    for axis, line in enumerate(places, start=1):
        value = new.make("Gather", [value, new.constant(line.reshape(-1).astype(np.int64))], axis=axis)
    new.finish("Identity", [value])


def any_kernel(graph: Any, node: Any, name: str, args: Any) -> None:
    """Case 3."""
    _by_products(graph, node)


def _by_products(graph: Any, node: Any) -> None:
    height, width = _sizes(graph, node)
    rows, columns = _matrix(node, 0, *height), _matrix(node, 1, *width)
    new = _Nodes(graph, node)
    first = new.make("Transpose", [new.floats()], perm=[0, 3, 1, 2])
    high = new.make("MatMul", [new.constant(rows), first])
    wide = new.make("MatMul", [high, new.constant(columns.T)])
    new.finish("Transpose", [wide], perm=[0, 2, 3, 1])


def _matrix(node: Any, axis: int, before: int, after: int) -> Array:
    """(after, before): what TensorFlow makes of each pixel of a column that is one pixel wide."""
    pixels = np.eye(before, dtype=np.float32).reshape(1, before, 1, before)
    return _eagerly(node, axis, pixels, after).reshape(after, before)


def _eagerly(node: Any, axis: int, column: Array, after: int) -> Array:
    """The operation itself on ``column`` (1, before, 1, C), which stands for the image's height (0) or width (1)."""
    operation, size = getattr(tf.raw_ops, node.type), (after, 1)
    if node.type == "ScaleAndTranslate":
        scale, shift = _scale_of(node, axis, column.shape[1], after), _figure(node.inputs[3], axis, 0.0)
        options = {
            "scale": [scale, 1.0],
            "translation": [shift, 0.0],
            "kernel_type": node.get_attr_str("kernel_type"),
            "antialias": _flag(node, "antialias"),
        }
    else:
        options = {flag: _flag(node, flag) for flag in ("align_corners", "half_pixel_centers") if flag in node.attr}
    with tf.Graph().as_default() as own, tf.compat.v1.Session(graph=own) as session:
        return np.asarray(session.run(operation(images=column, size=size, **options)))


def _scale_of(node: Any, axis: int, before: int, after: int) -> float:
    """``tf.image.resize`` divides the sizes in the graph; whoever gives another scale gives it as a constant."""
    return _figure(node.inputs[2], axis, after / before)


def _figure(node: Any, axis: int, default: float) -> float:
    return float(node.get_tensor_value(as_list=False)[axis]) if node.is_const() else default


def _flag(node: Any, name: str) -> bool:
    return bool(node.get_attr_value(name, False))


def _sizes(graph: Any, node: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """(before, after) of height and of width.

    Raises:
        ValueError: one of them is only known at run time.
    """
    shape = graph.get_shape(node.input[0])
    if not node.inputs[1].is_const() or shape is None or min(shape[1:3]) < 1:
        raise ValueError(f"the sizes of {node.name} are only known at run time")
    after = [int(size) for size in node.inputs[1].get_tensor_value()]
    return (shape[1], after[0]), (shape[2], after[1])


def _scale(before: int, after: int) -> Any:
    """The float32 by which ONNX, which rounds down, comes from ``before`` to ``after``."""
    scale = np.float32(after / before)
    lands = int(np.float32(before) * scale) == int(before * float(scale)) == after  # ONNX' checker rounds in float64
    return scale if lands else np.nextafter(scale, np.float32(np.inf))


class _Nodes:
    """The nodes in the place of one operation."""

    def __init__(self, graph: Any, node: Any) -> None:
        self._graph, self._name, self._source, self._target = graph, node.name, node.input[0], node.output[0]
        self._shape, self._dtype = graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
        self._from = graph.get_dtype(node.input[0])
        self._count = 0
        graph.remove_node(node.name)

    def make(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        self._count += 1
        made = self._graph.make_node(
            operator, list(inputs), attr=attributes, name=f"{self._name}/{operator}_{self._count}", dtypes=[self._dtype]
        )
        return str(made.output[0])

    def floats(self) -> str:
        """The image as the result's type: TensorFlow gives floats for integers."""
        return self._source if self._from == self._dtype else self.make("Cast", [self._source], to=self._dtype)

    def constant(self, array: Array) -> str:
        self._count += 1
        return str(
            self._graph.make_const(f"{self._name}/constant_{self._count}", np.ascontiguousarray(array)).output[0]
        )

    def finish(self, operator: str, inputs: Sequence[str], **attributes: Any) -> None:
        self._graph.make_node(
            operator,
            list(inputs),
            attr=attributes,
            name=self._name,
            outputs=[self._target],
            shapes=[self._shape],
            dtypes=[self._dtype],
        )


RESIZING = {
    "ResizeBilinear": bilinear,
    "ResizeNearestNeighbor": nearest,
    "ResizeBicubic": any_kernel,
    "ResizeArea": any_kernel,
    "ScaleAndTranslate": any_kernel,
}
