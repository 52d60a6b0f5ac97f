"""Layers that are refused before anything is traced, each with its reason and what to do instead."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from ..errors import UnsupportedError
from ..keras_layers import layer_paths
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
