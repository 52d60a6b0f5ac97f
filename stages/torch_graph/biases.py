"""A bias that is added further behind is moved to the layer that it belongs to.

1. Behind a change of layout: which element of p meets which feature is found by sending the features' numbers
   through the layout.

    linear → reshape (…, heads, size) → + p (heads, size)   is   linear → + p reshaped (heads · size) → reshape
    convolution (N, C, 1, L) → reshape (N, C, L) → + p (C, 1)   likewise

2. Behind a sum of products: to the first of them that has no bias.

    x @ w + h @ r + p   is   (x @ w + p) + h @ r
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
            if len(values) == len(biases) == 1 and not _into_sum(graph, node, values[0], biases[0]):
                _move(graph, node, values[0], biases[0])


def _into_sum(graph: fx.Graph, add: fx.Node, value: fx.Node, bias: fx.Node) -> bool:
    """Whether ``bias`` has gone to a product that ``value`` is the sum of."""
    product = _open_product(value, shape_of(add))
    if product is None or product is value:
        return False
    (reader,) = product.users
    with graph.inserting_before(reader):
        biased = graph.call_function(torch.ops.aten.add.Tensor, (product, bias))
    biased.meta = {**product.meta, "val": add.meta["val"]}
    reader.replace_input_with(product, biased)
    add.replace_all_uses_with(value)
    graph.erase_node(add)
    return True


def _open_product(value: fx.Node, shape: tuple[int, ...]) -> fx.Node | None:
    """The first product without a bias in a sum of values of ``shape`` that nothing else reads."""
    if len(value.users) != 1 or shape_of(value) != shape:
        return None
    if operator_name(value) in (*_LINEAR, *CONVOLUTIONS):
        return value if len(value.all_input_nodes) == 2 else None
    if value.target is not torch.ops.aten.add.Tensor or arguments_of(value)["alpha"] != 1:
        return None
    found = (_open_product(each, shape) for each in value.all_input_nodes)
    return next((each for each in found if each is not None), None)


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
