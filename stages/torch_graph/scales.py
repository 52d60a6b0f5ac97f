"""A learned number that scales one side of a product scales the product.

    (q * s) @ kᵀ   and   q @ (k * s)ᵀ   are   (q @ kᵀ) * s

So the scale of an attention is one operation on its scores, on whichever side a module has it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import fx

from .nodes import operator_name, shape_of
from .op import MOVEMENTS
from .slots import slot_of

_PRODUCTS = ("matmul", "mm", "bmm", "einsum")


def scale_products(graph: fx.Graph, keys: Mapping[str, str]) -> None:
    """Write them so in the whole graph; ``keys`` names its parameters."""
    for node in list(graph.nodes):
        if node.target is torch.ops.aten.mul.Tensor:
            numbers = [each for each in node.all_input_nodes if _is_learned_number(each, keys)]
            values = [each for each in node.all_input_nodes if each not in numbers]
            if len(numbers) == len(values) == 1 and shape_of(values[0]) == shape_of(node):
                _move(graph, node, values[0], numbers[0], keys)


def _is_learned_number(node: fx.Node, keys: Mapping[str, str]) -> bool:
    return math.prod(shape_of(node)) == 1 and slot_of(node, keys) is not None


def _move(graph: fx.Graph, mul: fx.Node, value: fx.Node, number: fx.Node, keys: Mapping[str, str]) -> None:
    last, reader = mul, _only_reader(mul)
    while reader is not None and operator_name(reader) in MOVEMENTS:
        last, reader = reader, _only_reader(reader)
    if reader is None or operator_name(reader) not in _PRODUCTS:
        return
    others = [each for each in reader.all_input_nodes if each is not last]
    if len(others) != 1 or slot_of(others[0], keys) is not None:
        return  # a linear layer reads it: its weights are Keras' as they are
    mul.replace_all_uses_with(value)
    graph.erase_node(mul)
    with graph.inserting_after(reader):
        scaled = graph.call_function(torch.ops.aten.mul.Tensor, (reader, number))
    reader.replace_all_uses_with(scaled, delete_user_cb=lambda user: user is not scaled)
    scaled.meta = {**mul.meta, "val": reader.meta["val"]}


def _only_reader(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None
