"""A bias that is added behind a change of layout is moved in front of it, to the layer that it belongs to.

    linear → reshape (…, heads, size) → + p (heads, size)   is   linear → + p reshaped (heads · size) → reshape
    convolution (N, C, 1, L) → reshape (N, C, L) → + p (C, 1)   likewise

Which element of p meets which feature is found by sending the features' numbers through the layout.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from torch import fx

from .nodes import arguments_of, operator_name, shape_of
from .op import CONVOLUTIONS, MOVEMENTS

_LINEAR = ("linear", "matmul", "mm")
_LAYOUTS = tuple(name for name in MOVEMENTS if "dropout" not in name)


def move_biases(graph: fx.Graph, held: Collection[str]) -> None:
    """Do so in the whole graph; ``held`` are the names of its parameters."""
    for node in list(graph.nodes):
        if node.target is torch.ops.aten.add.Tensor and arguments_of(node)["alpha"] == 1:
            values = [each for each in node.all_input_nodes if each.name not in held]
            biases = [each for each in node.all_input_nodes if each.name in held]
            if len(values) == len(biases) == 1:
                _move(graph, node, values[0], biases[0])


def _move(graph: fx.Graph, add: fx.Node, value: fx.Node, bias: fx.Node) -> None:
    chain: list[fx.Node] = []
    while operator_name(value) in _LAYOUTS and len(value.users) == 1 and len(value.all_input_nodes) == 1:
        chain.insert(0, value)
        (value,) = value.all_input_nodes
    if not chain or operator_name(value) not in (*_LINEAR, *CONVOLUTIONS) or len(value.users) != 1:
        return
    if len(value.all_input_nodes) != 2:
        return  # it has a bias
    spatial = (1,) * (len(shape_of(value)) - 2) if operator_name(value) in CONVOLUTIONS else ()
    features = shape_of(value)[-1 - len(spatial)]
    numbers = torch.arange(features).reshape(features, *spatial).expand(shape_of(value))
    shape = shape_of(bias)
    if math.prod(shape) != features or shape_of(chain[-1]) != shape_of(add) or len(shape) > len(shape_of(add)):
        return
    if not torch.equal(_laid(chain, value, numbers), torch.arange(features).reshape(shape).expand(shape_of(add))):
        return
    with graph.inserting_after(value):
        flat = graph.call_function(torch.ops.aten.view.default, (bias, [features, *spatial]))
    with graph.inserting_after(flat):
        sum_ = graph.call_function(torch.ops.aten.add.Tensor, (value, flat))
    flat.meta = {**add.meta, "val": torch.empty((features, *spatial), dtype=bias.meta["val"].dtype, device="meta")}
    sum_.meta = {**add.meta, "val": value.meta["val"]}
    chain[0].replace_input_with(value, sum_)
    chain[-1].meta = {**chain[-1].meta, "nn_module_stack": add.meta.get("nn_module_stack", {})}
    add.replace_all_uses_with(chain[-1])
    graph.erase_node(add)


def _laid(chain: list[fx.Node], value: fx.Node, numbers: torch.Tensor) -> torch.Tensor:
    """Which feature stands where behind the chain; ``numbers`` are the features' in ``value``."""
    known: dict[fx.Node, torch.Tensor] = {value: numbers}
    for node in chain:
        known[node] = node.target(*fx.map_arg(node.args, known.__getitem__), **dict(node.kwargs))  # type: ignore[operator]
    return known[chain[-1]]
