"""A product with a vector of weights that is then summed over the last axis is a linear layer of one feature.

    (x * p).sum(-1)   is   (x @ p reshaped (C, 1)) reshaped

So a score of additive attention is one operation, whether it is written with a vector or with ``nn.Linear(C, 1)``.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import fx

from .nodes import arguments_of, shape_of


def as_linear(graph: fx.Graph, held: Collection[str]) -> None:
    """Write them so in the whole graph; ``held`` are the names of its parameters."""
    for node in list(graph.nodes):
        if node.target is torch.ops.aten.sum.dim_IntList:
            _write(graph, node, held)


def _write(graph: fx.Graph, summed: fx.Node, held: Collection[str]) -> None:
    (product,) = summed.all_input_nodes
    rank = len(shape_of(product))
    if product.target is not torch.ops.aten.mul.Tensor or len(product.users) != 1:
        return
    if [axis % rank for axis in arguments_of(summed)["dim"] or []] != [rank - 1]:
        return
    values = [each for each in product.all_input_nodes if each.name not in held]
    weights = [each for each in product.all_input_nodes if each.name in held]
    if len(values) != 1 or len(weights) != 1 or shape_of(values[0]) != shape_of(product):
        return
    features = shape_of(product)[-1]
    if shape_of(weights[0]) != (1,) * (len(shape_of(weights[0])) - 1) + (features,) or features == 1:
        return
    with graph.inserting_before(summed):
        column = graph.call_function(torch.ops.aten.view.default, (weights[0], [features, 1]))
        score = graph.call_function(torch.ops.aten.matmul.default, (values[0], column))
        made = graph.call_function(torch.ops.aten.reshape.default, (score, list(shape_of(summed))))
    for node, shape in ((column, (features, 1)), (score, (*shape_of(product)[:-1], 1)), (made, shape_of(summed))):
        node.meta = {**summed.meta, "val": torch.empty(shape, dtype=summed.meta["val"].dtype, device="meta")}
    summed.replace_all_uses_with(made)
    graph.erase_node(summed)
    graph.erase_node(product)
