"""ViT and DeiT of keras_hub onto transformers' and timm's. Traps: class and distillation tokens and positions as raw
parameters, positions looked up in Keras; one fused qkv in timm.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from zoo.pair import Pair, built
from zoo.text import last_hidden_state

IMAGE: dict[str, Any] = {"image_shape": (32, 32, 3), "patch_size": 8, "num_layers": 2, "num_heads": 4, "hidden_dim": 32}
CONFIG = {
    "image_size": 32,
    "patch_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "hidden_size": 32,
    "intermediate_size": 64,
    "layer_norm_eps": 1e-6,
}
TIMM = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4, "mlp_ratio": 2, "num_classes": 0}
vit = built("keras_hub.models:ViTBackbone", mlp_dim=64, **IMAGE)


def without_pooler(name: str) -> Any:
    import transformers as library

    config = getattr(library, name.replace("Model", "Config"))
    return getattr(library, name)(config(**CONFIG), add_pooling_layer=False)


PAIRS = (
    Pair(
        "keras_hub ViT → transformers ViTModel",
        vit,
        partial(without_pooler, "ViTModel"),
        read=last_hidden_state,
    ),
    Pair(
        "keras_hub ViT → timm VisionTransformer",
        vit,
        built("timm.models.vision_transformer:VisionTransformer", global_pool="", **TIMM),
    ),
    Pair(
        "keras_hub DeiT → transformers DeiTModel",
        built("keras_hub.models:DeiTBackbone", intermediate_dim=64, layer_norm_epsilon=1e-6, **IMAGE),
        partial(without_pooler, "DeiTModel"),
        read=last_hidden_state,
    ),
)
