"""Converter: how one ONNX operator becomes a torch module, where onnx2torch has none or one that does not serve.

Ours stand in onnx2torch's registry under the domain "torchgraft": the nodes are moved there just before conversion
(importable.py), so that nothing of onnx2torch's own is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx
import torch

from ...plan import Array

DOMAIN = "torchgraft"


@dataclass(frozen=True)
class Source:
    """An ONNX node as a converter sees it.

    Attributes:
        operator: "Reshape".
        inputs: names of its values; "" for one that is left out.
        attributes: by name.
        constants: value name → array, of those inputs that are known and no weights.
        shapes: value name → shape, None where free, of those values whose shape is known.
        outputs: names of its results.
        weights: those inputs that a module can hold: weights and constants.
    """

    operator: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    constants: Mapping[str, Array]
    shapes: Mapping[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]
    weights: frozenset[str]

    def has(self, index: int) -> bool:
        return index < len(self.inputs) and bool(self.inputs[index])

    def constant(self, index: int) -> Array | None:
        return self.constants.get(self.inputs[index]) if self.has(index) else None

    def integers(self, index: int) -> list[int] | None:
        array = self.constant(index)
        return None if array is None else [int(value) for value in array.reshape(-1)]

    def shape(self, index: int = 0) -> tuple[int | None, ...] | None:
        return self.shapes.get(self.inputs[index])

    def is_held(self, *indices: int) -> bool:
        """Whether each of these inputs is a weight or a constant, or left out."""
        return all(not self.has(index) or self.inputs[index] in self.weights for index in indices)

    def is_constant(self, *indices: int) -> bool:
        """Whether each of these inputs is known or left out."""
        return all(not self.has(index) or self.inputs[index] in self.constants for index in indices)


@dataclass(frozen=True)
class Converter:
    """One operator, or a few that are alike.

    Attributes:
        operators: ONNX names.
        accepts: whether it takes this node; onnx2torch's own converter does where it does not.
        module: makes the module, given the tensors of the node's weights by input index.
        data: the inputs that the module's ``forward`` takes; None: all.
        parameters: name in the module → index of the node's input that it holds.
    """

    operators: tuple[str, ...]
    module: Callable[[Source, Mapping[int, torch.Tensor]], torch.nn.Module]
    accepts: Callable[[Source], bool] = lambda source: True
    data: tuple[int, ...] | None = (0,)
    parameters: Mapping[str, int] = field(default_factory=dict)


def source_of(
    proto: onnx.NodeProto,
    infos: Mapping[str, onnx.ValueInfoProto],
    constants: Mapping[str, Array],
    weights: Collection[str],
) -> Source:
    """``infos``, ``constants`` and ``weights`` are those of the whole graph."""
    shapes = {name: shape for name in proto.input if name in infos and (shape := _shape(infos[name])) is not None}
    return Source(
        operator=proto.op_type,
        inputs=tuple(proto.input),
        attributes={attribute.name: _value(attribute) for attribute in proto.attribute},
        constants={name: constants[name] for name in proto.input if name in constants},
        shapes=shapes,
        outputs=tuple(proto.output),
        weights=frozenset(name for name in proto.input if name in weights or name in constants),
    )


def _value(attribute: onnx.AttributeProto) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    return value.decode() if isinstance(value, bytes) else value


def _shape(info: onnx.ValueInfoProto) -> tuple[int | None, ...] | None:
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
