"""The tensors that onnx2torch keeps beside the modules: weights and constants that enter arithmetic directly.

onnx2torch numbers them, and keeps one that is used twice as two. Here each gets its name, once.

1. A weight becomes a parameter ``weights.<variable path>`` with its Recipe (a buffer, where it is not floating).
2. A constant of the graph becomes a buffer that the state_dict does not have.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import fx, nn

from ..plan import Recipe
from .names import module_name


def name_initializers(module: fx.GraphModule, weights: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """Key → Recipe of the weights among them."""
    recipes: dict[str, Recipe] = {}
    own, constants = nn.Module(), nn.Module()
    names: dict[str, str] = {}
    for node in [node for node in module.graph.nodes if node.op == "get_attr"]:
        tensor = module.get_buffer(node.target)
        value = tensor.value_name  # type: ignore[attr-defined]
        is_new = value not in names
        name = names.setdefault(value, module_name(value, names.values()))
        if value in weights:
            recipes[f"weights.{name}"] = weights[value]
            node.target = f"weights.{name}"
        else:
            node.target = f"constants.{name}"
        if is_new:
            _keep(own if value in weights else constants, name, tensor, persistent=value in weights)
    for name, holder in (("weights", own), ("constants", constants)):
        if any(True for _ in holder.named_parameters()) or any(True for _ in holder.named_buffers()):
            module.add_module(name, holder)
    module.delete_submodule("initializers")
    return recipes


def _keep(holder: nn.Module, name: str, tensor: torch.Tensor, *, persistent: bool) -> None:
    if persistent and tensor.is_floating_point():
        holder.register_parameter(name, nn.Parameter(tensor))
    else:
        holder.register_buffer(name, tensor, persistent=persistent)
