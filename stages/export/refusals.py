"""Layers that are refused before anything is traced, each with its reason."""

from __future__ import annotations

import keras

from ..errors import UnsupportedError
from ..keras_layers import layer_paths

REFUSED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("RNN", "Bidirectional", "TimeDistributed"), "layers that run over time steps"),
    (("MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention"), "attention layers"),
    (("TorchModuleWrapper", "TFSMLayer", "FlaxLayer", "JaxLayer"), "layers of other frameworks"),
)


def refuse_unsupported(model: keras.Model) -> None:
    """Raise one UnsupportedError that lists every layer of ``model`` that cannot be exported."""
    found = [
        f"{path} ({type(layer).__name__}): {reason}"
        for path, layer in layer_paths(model).items()
        if (reason := _reason(layer))
    ]
    if found:
        raise UnsupportedError(
            f"{len(found)} layers cannot be exported",
            where=f"layer {found[0].split(' ')[0]}",
            details=tuple(found),
            fix="leave these layers out of the model, or convert the parts around them",
        )


def _reason(layer: keras.Layer) -> str:
    for names, what in REFUSED:
        kinds = tuple(kind for name in names if (kind := getattr(keras.layers, name, None)) is not None)
        if isinstance(layer, kinds):
            return f"{what} are not supported yet"
    if getattr(layer, "lora_enabled", False):
        return "its LoRA weights are not merged into the kernel"
    if layer.quantization_mode is not None:
        return f"its weights are quantized ({layer.quantization_mode})"
    if layer.compute_dtype == "bfloat16":
        return "it computes in bfloat16, for which ONNX has few operators: give it float32 as its dtype policy"
    return ""
