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


def name_initializers(module: fx.GraphModule, weights: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """Key → Recipe of the weights among them."""
    recipes: dict[str, Recipe] = {}
    own, constants = nn.Module(), nn.Module()
    for node in [node for node in module.graph.nodes if node.op == "get_attr"]:
        tensor = module.get_buffer(node.target)
        value = tensor.value_name  # type: ignore[attr-defined]
        if value in weights:
            name = value.replace(".", "_")
            recipes[f"weights.{name}"] = weights[value]
            _keep(own, name, tensor)
            node.target = f"weights.{name}"
        else:
            name = value.replace(".", "_")
            constants.register_buffer(name, tensor, persistent=False)
            node.target = f"constants.{name}"
    for name, holder in (("weights", own), ("constants", constants)):
        if any(True for _ in holder.named_parameters()) or any(True for _ in holder.named_buffers()):
            module.add_module(name, holder)
    module.delete_submodule("initializers")
    return recipes


def _keep(holder: nn.Module, name: str, tensor: torch.Tensor) -> None:
    if tensor.is_floating_point():
        holder.register_parameter(name, nn.Parameter(tensor))
    else:
        holder.register_buffer(name, tensor)
