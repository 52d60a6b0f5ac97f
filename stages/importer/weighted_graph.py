"""onnx2torch's view of a graph, with the weights given by their recipes instead of by protobuf."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import onnx
import torch
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode

from ..plan import Array, Recipe
from ..torch_graph import exact_tensor


class GivenTensor:
    """Stands where onnx2torch expects an ``OnnxTensor``: makes the array when it is asked for.

    The torch tensor bears the ONNX value's name (``value_name``): onnx2torch numbers the tensors that it keeps, and
    this is how they are found again.
    """

    def __init__(self, name: str, make: Callable[[], Array]) -> None:
        self._name = name
        self._make = make

    def to_numpy(self) -> Array:
        return self._make()

    def to_torch(self) -> torch.Tensor:
        tensor = exact_tensor(self._make(), own=False)
        tensor.value_name = self._name  # type: ignore[attr-defined]
        return tensor


class WeightedGraph(OnnxGraph):  # type: ignore[misc]
    """The graph, each weight input an initializer whose values come from its Recipe.

    Args:
        proto: the graph; its weights are inputs.
        recipes: weight input → Recipe.
        variables: path → value.
        module_names: node name → name of its module.
    """

    _input_values: tuple[str, ...]
    _initializers: Mapping[str, Any]

    def __init__(
        self,
        proto: onnx.GraphProto,
        recipes: Mapping[str, Recipe],
        variables: Mapping[str, Array],
        module_names: Mapping[str, str],
    ) -> None:
        super().__init__(proto)
        self._input_values = tuple(name for name in self._input_values if name not in recipes)
        self._nodes = OrderedDict(
            (module_names[node.name], OnnxNode(node, unique_name=module_names[node.name])) for node in proto.node
        )
        self._node_output_values = {
            value: (node, place) for node in self._nodes.values() for place, value in enumerate(node.output_values)
        }
        self.constants = {name: tensor.to_numpy() for name, tensor in self._initializers.items()}
        self._initializers = {
            **{name: GivenTensor(name, array.copy) for name, array in self.constants.items()},
            **{name: GivenTensor(name, partial(recipe.view, variables)) for name, recipe in recipes.items()},
        }
