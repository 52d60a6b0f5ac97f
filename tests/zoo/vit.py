"""ViT and DeiT of keras_hub onto transformers' and timm's. Traps: class and distillation tokens and positions as raw
parameters, positions looked up in Keras; one fused qkv in timm. timm's DeiT that is not distilled is its ViT.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from zoo.pair import Pair, built
from zoo.text import last_hidden_state

if TYPE_CHECKING:
    import keras

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
deit = built("keras_hub.models:DeiTBackbone", intermediate_dim=64, layer_norm_epsilon=1e-6, **IMAGE)


def deit_with_heads() -> keras.Model:
    """The mean of what a head makes of the class token and another of the distillation token, as the paper's."""
    import keras

    backbone = deit()
    tokens = backbone.output
    head = keras.layers.Dense(10, name="head")(tokens[:, 0])
    distilled = keras.layers.Dense(10, name="distilled_head")(tokens[:, 1])
    return keras.Model(backbone.input, keras.layers.average([head, distilled]))


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
        "keras_hub DeiT, both heads → timm VisionTransformerDistilled",
        deit_with_heads,
        built("timm.models.deit:VisionTransformerDistilled", **{**TIMM, "num_classes": 10}),
    ),
    Pair(
        "keras_hub DeiT → transformers DeiTModel",
        deit,
        partial(without_pooler, "DeiTModel"),
        read=last_hidden_state,
    ),
)
