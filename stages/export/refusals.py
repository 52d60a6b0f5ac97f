"""What is refused: layers before anything is traced, operators before the graph leaves stage 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
import onnx_ir as ir

from ..errors import UnsupportedError
from ..keras_layers import layer_paths
from ..onnx_operators import has_module
from .stepping import states_of


@dataclass(frozen=True)
class Refusal:
    """Some classes of ``keras.layers`` that are not converted.

    Attributes:
        layers: their names in ``keras.layers``; a subclass of one is refused like it.
        reason: goes on from the layer's name.
        fix: what the user can do.
    """

    layers: tuple[str, ...]
    reason: str
    fix: str

    def covers(self, layer: keras.Layer) -> bool:
        kinds = tuple(kind for name in self.layers if (kind := getattr(keras.layers, name, None)) is not None)
        return isinstance(layer, kinds)


BEFORE_THE_MODEL = "call it before the model, on the data, and give the model what it makes"

REFUSED: tuple[Refusal, ...] = (
    Refusal(
        ("StringLookup", "TextVectorization"),
        "it reads strings, of which PyTorch has no tensors",
        BEFORE_THE_MODEL,
    ),
    Refusal(
        ("Hashing", "HashedCrossing"),
        "it hashes by FarmHash or SipHash, which PyTorch and ONNX do not have",
        BEFORE_THE_MODEL,
    ),
    Refusal(
        ("Equalization", "ContrastLimitedAdaptiveHistogramEqualization"),
        "it equalises the histogram of each image, which ONNX has no operator for",
        BEFORE_THE_MODEL,
    ),
    Refusal(
        ("TorchModuleWrapper", "FlaxLayer", "JaxLayer"),
        "it runs code of another framework, which TensorFlow cannot trace",
        "replace it by Keras layers, or convert the parts of the model around it",
    ),
    Refusal(
        ("TFSMLayer",),
        "it runs a SavedModel, whose variables Keras does not hold",
        "convert the SavedModel itself, or the Keras model that it was made from",
    ),
)

DEQUANTISED = (keras.layers.Dense, keras.layers.EinsumDense, keras.layers.Embedding)

# They call their parts, an Equalization among them, while training alone.
UNCALLED_PARTS = ("AugMix", "RandAugment", "RandomColorJitter")


def refuse_unsupported(model: keras.Model) -> None:
    """Raise one UnsupportedError that lists every layer of ``model`` that cannot be exported."""
    layers = layer_paths(model)
    uncalled = tuple(f"{path}/" for path, layer in layers.items() if type(layer).__name__ in UNCALLED_PARTS)
    found = [
        (path, f"{path} ({type(layer).__name__}): {reason[0]}", reason[1])
        for path, layer in layers.items()
        if not path.startswith(uncalled) and (reason := _reason(layer))
    ]
    if found:
        raise UnsupportedError(
            f"{len(found)} layers cannot be exported" if len(found) > 1 else "a layer cannot be exported",
            where=f"layer {found[0][0]}",
            details=tuple(line for _, line, _ in found),
            fix="; ".join(dict.fromkeys(fix for _, _, fix in found)),
        )


def refuse_without_module(model: ir.Model, scopes: Mapping[str, str]) -> None:
    """Raise one UnsupportedError that lists the operators that no module of PyTorch's computes (a Loop, a Unique).

    What is made of constants alone is folded later, whatever its operators. ``scopes`` are those of ``Traced``.
    """
    found = [
        (_place(node, scopes), node.op_type)
        for node in ir.traversal.RecursiveGraphIterator(model.graph)
        if not node.domain and not has_module(node.op_type) and not _is_constant(node)
    ]
    if found:
        places = list(dict.fromkeys(place for place, _ in found if place))
        raise UnsupportedError(
            f"has no form in PyTorch: ONNX operators {sorted({operator for _, operator in found})}",
            where=", ".join(f"layer {place}" for place in places) or f"model {model.graph.name}",
            fix="replace the layer or the operation by one that torchgraft lists as supported",
        )


def _place(node: ir.Node, scopes: Mapping[str, str]) -> str:
    """Of the node, else of those beside it: tf2onnx gives a Loop a name of its own."""
    beside: list[ir.Node | None] = [user for value in node.outputs for user in value.consumers()]
    beside += [value.producer() for value in node.inputs if value is not None]
    names = [node.name, *(value.name for value in node.outputs), *(each.name for each in beside if each is not None)]
    return next((place for name in names if name and (place := innermost(name, scopes))), "")


def _is_constant(node: ir.Node) -> bool:
    """Whether it is made of constants and shapes."""
    waiting, seen = [node], set[int]()
    while waiting:
        current = waiting.pop()
        if current.op_type == "Shape" or id(current) in seen:
            continue
        seen.add(id(current))
        for value in current.inputs:
            if value is None or value.is_initializer():
                continue
            producer = value.producer()
            if producer is None:
                return False
            waiting.append(producer)
    return True


def innermost(node: str, scopes: Mapping[str, str]) -> str:
    """The path of the innermost layer call or operation whose scope ``node`` lies in."""
    inside = [scope for scope in scopes if node.startswith(f"{scope}/")]
    return scopes[max(inside, key=len)] if inside else ""


def _reason(layer: keras.Layer) -> tuple[str, str] | None:
    """(why ``layer`` is refused, what to do)."""
    for refusal in REFUSED:
        if refusal.covers(layer):
            return refusal.reason, refusal.fix
    if any(np.any(np.asarray(state)) for state in states_of(layer)):
        return "it is in the middle of a sequence: its states are not zero", "call reset_state() on it"
    if getattr(layer, "pad_to_aspect_ratio", False):
        return (
            "pad_to_aspect_ratio=True makes it branch on the size of the image, which stays a branch in ONNX",
            "pad the images before the model, or by ZeroPadding2D before a Resizing without it",
        )
    if getattr(layer, "lora_enabled", False):
        return (
            "its LoRA weights are not merged into the kernel",
            "copy layer.kernel, which is the merged one, into a model without LoRA",
        )
    mode = layer.quantization_mode
    if mode is not None and not (mode == "int8" and isinstance(layer, DEQUANTISED)):
        what = f"its weights are quantized ({mode}), and only int8 of Dense, EinsumDense and Embedding is dequantised"
        return what, "convert the model as it was before quantize()"
    return None
