"""Every tensor of the imported module gets the Recipe of the weight that it holds, and proves it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from onnx2torch.onnx_node import OnnxNode
from torch import nn

from ..plan import Array, Fill, Recipe, Reshape, Transpose
from ..torch_graph import exact_tensor
from .converters import CONVERTERS, DOMAIN
from .weighted_graph import WeightedGraph

# onnx2torch's own modules: operator → parameter → index of the node's input (onnx2torch/node_converters/*.py).
HELD: Mapping[str, Mapping[str, int]] = {
    "Conv": {"weight": 1, "bias": 2},
    "ConvTranspose": {"weight": 1, "bias": 2},
    "Gemm": {"weight": 1, "bias": 2},
    "BatchNormalization": {"weight": 1, "bias": 2, "running_mean": 3, "running_var": 4},
    "LayerNormalization": {"weight": 1, "bias": 2},
    "InstanceNormalization": {"weight": 1, "bias": 2},
}


def layer_recipes(
    module: nn.Module, graph: WeightedGraph, weights: Mapping[str, Recipe], variables: Mapping[str, Array]
) -> dict[str, Recipe]:
    """Key of ``module`` → Recipe, of every tensor that a node's own module holds."""
    recipes: dict[str, Recipe] = {}
    layers = dict(module.named_children())
    for name, node in graph.nodes.items():
        if name in layers:
            found = _module_recipes(layers[name], node, weights, variables)
            recipes.update({f"{name}.{key}": recipe for key, recipe in found.items()})
    return recipes


def _module_recipes(
    module: nn.Module, node: OnnxNode, weights: Mapping[str, Recipe], variables: Mapping[str, Array]
) -> dict[str, Recipe]:
    """Key within ``module`` → Recipe. A tensor that no Recipe makes is a constant of the graph, and stays out."""
    recipes: dict[str, Recipe] = {}
    for key, tensor in module.state_dict().items():
        recipe = _recipe(key.rpartition(".")[2], tensor, node, weights)
        if recipe is None:
            _leave_out(module, key)
            continue
        assert _same_bits(exact_tensor(recipe.view(variables), own=False), tensor), (
            f"{node.unique_name}.{key} is not {recipe}"
        )
        recipes[key] = recipe
    return recipes


_BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def _same_bits(made: torch.Tensor, held: torch.Tensor) -> bool:
    """Bits, not values: NaN must be equal to itself, and 0.0 must not pass for -0.0. Neither is copied."""
    if made.shape != held.shape or made.dtype != held.dtype:
        return False
    bits = _BITS.get(made.element_size(), made.dtype)
    return torch.equal(made.view(bits), held.view(bits))


def _recipe(name: str, tensor: torch.Tensor, node: OnnxNode, weights: Mapping[str, Recipe]) -> Recipe | None:
    if name == "num_batches_tracked":
        return Recipe(Fill(0, (), "int64")).because("Keras does not count batches: torch starts at 0")
    index = _held(node).get(name)
    value: str = "" if index is None or index >= len(node.input_values) else node.input_values[index]
    if value in weights:
        recipe = weights[value]
        if node.operation_type == "Gemm" and name == "weight" and not node.attributes.get("transB", 0):
            return recipe.then(Transpose((1, 0)))
        if node.operation_type == "PRelu":  # (C, 1, 1) in the graph
            return recipe.then(Reshape(recipe.shape, tuple(tensor.shape)))
        return recipe
    array = tensor.numpy()
    if array.size and (array == array.flat[0]).all():
        return Recipe(Fill(array.flat[0].item(), array.shape, array.dtype.name)).because(
            _WHY_CONSTANT.get(name, _UNSTORED)
        )
    return None


_UNSTORED = "Keras stores no such variable: the graph has a constant"
_WHY_CONSTANT = {
    "weight": "Keras stores no gamma: scale=False",
    "bias": "Keras stores no beta: center=False, or no bias: use_bias=False",
}


def _held(node: OnnxNode) -> Mapping[str, int]:
    if node.domain == DOMAIN:
        ours = [one.parameters for one in CONVERTERS if node.operation_type in one.operators]
        return next((parameters for parameters in ours if parameters), {})
    return HELD.get(node.operation_type, {})


def _leave_out(module: nn.Module, key: str) -> None:
    """Keep the tensor, but as a buffer that the state_dict does not have."""
    path, _, name = key.rpartition(".")
    owner = module.get_submodule(path)
    tensor = getattr(owner, name).detach()
    delattr(owner, name)
    owner.register_buffer(name, tensor, persistent=False)
