"""Fourier transforms of real values → products with constant matrices: ONNX 17 has no complex numbers.

1. Real and Imag of RFFT, over the last axis (the spectrogram layers): x MatMul cos, x MatMul sin.
2. Real and Imag of FFT and FFT2D of a real value (FNet): over the last axis, over the last two.

The transforms themselves write nothing: what asks for one of their parts does. Whatever else uses one is refused, as
tf2onnx has no form for it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import numpy_helper

from ..plan import Array


def kept(graph: Any, node: Any, name: str, args: Any) -> None:
    """Left as it is, for real and imag to look at; unused after that."""


def real(graph: Any, node: Any, name: str, args: Any) -> None:
    """cos; over two axes cos · cos - sin · sin."""
    _part(graph, node, imaginary=False)


def imag(graph: Any, node: Any, name: str, args: Any) -> None:
    """sin; over two axes sin · cos + cos · sin."""
    _part(graph, node, imaginary=True)


def _part(graph: Any, node: Any, *, imaginary: bool) -> None:
    transform = node.inputs[0]
    if transform.type not in ("RFFT", "FFT", "FFT2D"):
        raise ValueError(f"{node.type} of a {transform.type} is no part of a Fourier transform of real values")
    source = _real_source(transform)
    shape = graph.get_shape(source)
    target, types = node.output[0], [graph.get_dtype(node.output[0])]
    shapes = [graph.get_shape(target)]
    graph.remove_node(node.name)
    count = shape[-1]
    length = int(transform.inputs[1].get_tensor_value()[0]) if transform.type == "RFFT" else count
    bins = length // 2 + 1 if transform.type == "RFFT" else count
    last = _waves(count, length, bins)
    if transform.type != "FFT2D":
        factor = graph.make_const(f"{node.name}/waves", last[int(imaginary)]).output[0]
        graph.make_node("MatMul", [source, factor], name=node.name, outputs=[target], shapes=shapes, dtypes=types)
        return
    across = _waves(shape[-2], shape[-2], shape[-2])
    terms = []
    for place, (first, second) in enumerate(((0, int(imaginary)), (1, int(not imaginary)))):
        rows = graph.make_const(f"{node.name}/rows_{place}", np.ascontiguousarray(across[first].T)).output[0]
        columns = graph.make_const(f"{node.name}/columns_{place}", last[second]).output[0]
        high = graph.make_node("MatMul", [rows, source], name=f"{node.name}/high_{place}", dtypes=types)
        wide = graph.make_node(
            "MatMul", [high.output[0], columns], name=f"{node.name}/wide_{place}", shapes=shapes, dtypes=types
        )
        terms.append(wide.output[0])
    graph.make_node("Add" if imaginary else "Sub", terms, name=node.name, outputs=[target], shapes=shapes, dtypes=types)


def _real_source(transform: Any) -> str:
    """What is transformed.

    Raises:
        ValueError: it has an imaginary part.
    """
    if transform.type == "RFFT":
        return str(transform.input[0])
    given = transform.inputs[0]
    if given.type != "Complex" or not _is_zero(given.inputs[1]):
        raise ValueError(f"{transform.name} is a Fourier transform of complex values, which ONNX does not have")
    return str(given.input[0])


def _is_zero(node: Any) -> bool:
    """Zeros, or zeros_like of something, before or after tf2onnx has converted it."""
    if node.is_const():
        return not np.any(node.get_tensor_value(as_list=False))
    if node.type == "ConstantOfShape":
        value = node.get_attr("value")
        return value is None or not np.any(numpy_helper.to_array(value.t))
    if node.type in ("Mul", "Expand", "Cast", "Identity"):
        return any(_is_zero(source) for source in node.inputs[: 2 if node.type == "Mul" else 1])
    return bool(node.type == "ZerosLike")


def _waves(count: int, length: int, bins: int) -> tuple[Array, Array]:
    """(cos, -sin) of the transform of ``count`` values cut or filled up to ``length``, each (count, bins)."""
    angles = -2.0 * np.pi * np.outer(np.arange(count), np.arange(bins)) / length
    inside = (np.arange(count) < length)[:, None]
    return (np.cos(angles) * inside).astype(np.float32), (np.sin(angles) * inside).astype(np.float32)


FOURIER = {"RFFT": kept, "FFT": kept, "FFT2D": kept, "Complex": kept, "Real": real, "Imag": imag}
