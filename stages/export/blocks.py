"""DepthToSpace and SpaceToDepth as the moves that they are: Reshape, Transpose, Reshape.

TensorFlow has the place inside a block in front of the channel (N, H, W, b, b, C), ``nn.PixelShuffle`` behind it: what
is left of the difference is an order of the features, which the weight before takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def depth_to_space(graph: Any, node: Any, name: str, args: Any) -> None:
    """(N, H, W, b·b·C) → (N, H, W, b, b, C) → (N, H·b, W·b, C)."""
    _, height, width, depth = _sizes(graph, node)
    block = int(node.get_attr_value("block_size"))
    channels = depth // block**2
    inner, outer = [-1, height, width, block, block, channels], [-1, height * block, width * block, channels]
    _moved(graph, node, inner, outer)


def space_to_depth(graph: Any, node: Any, name: str, args: Any) -> None:
    """(N, H, W, C) → (N, H/b, b, W/b, b, C) → (N, H/b, W/b, b·b·C)."""
    _, height, width, channels = _sizes(graph, node)
    block = int(node.get_attr_value("block_size"))
    inner = [-1, height // block, block, width // block, block, channels]
    _moved(graph, node, inner, [-1, height // block, width // block, block**2 * channels])


def _sizes(graph: Any, node: Any) -> list[int]:
    shape = graph.get_shape(node.input[0])
    layout = node.get_attr_value("data_format")
    if shape is None or min(shape[1:]) < 1 or layout not in (None, b"NHWC", "NHWC"):
        raise ValueError(f"{node.name} has sizes that are only known at run time, or its channels first")
    return [int(size) for size in shape]


def _moved(graph: Any, node: Any, inner: list[int], outer: list[int]) -> None:
    """Axes 2 and 3 change places between the two shapes."""
    source, target, dtype = node.input[0], node.output[0], graph.get_dtype(node.output[0])
    shape = graph.get_shape(target)
    graph.remove_node(node.name)

    def reshaped(value: str, sizes: list[int], label: str, **options: Any) -> str:
        figures = graph.make_const(f"{node.name}/{label}/shape", np.asarray(sizes, np.int64)).output[0]
        made = graph.make_node("Reshape", [value, figures], dtypes=[dtype], **options)
        return str(made.output[0])

    split = reshaped(source, inner, "split", name=f"{node.name}/split", shapes=[inner])
    perm = [0, 1, 3, 2, 4, 5]
    turned = graph.make_node(
        "Transpose",
        [split],
        attr={"perm": perm},
        name=f"{node.name}/turn",
        shapes=[[inner[a] for a in perm]],
        dtypes=[dtype],
    )
    reshaped(turned.output[0], outer, "join", name=node.name, outputs=[target], shapes=[shape])
