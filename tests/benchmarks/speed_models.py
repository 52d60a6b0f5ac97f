"""The models whose speed is measured, each with its hand-written twin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import timm
import torchvision
from keras import layers
from keras_models import randomised, with_random_statistics


class Tokens(layers.Layer):
    """The class token in front of the patches, and the positions."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.token = self.add_weight(shape=(1, 1, shape[-1]), name="token")
        self.position = self.add_weight(shape=(1, shape[1] + 1, shape[-1]), name="position")

    def call(self, x: Any) -> Any:
        token = keras.ops.repeat(keras.ops.convert_to_tensor(self.token), keras.ops.shape(x)[0], axis=0)
        return keras.ops.concatenate([token, x], axis=1) + self.position


def vit(width: int = 192, heads: int = 3, depth: int = 12) -> keras.Model:
    """ViT-Ti/16, as timm's vit_tiny_patch16_224; GELU by tanh: of an exact one tf2onnx alone makes no valid graph."""

    def gelu(x: Any) -> Any:
        return keras.activations.gelu(x, approximate=True)

    image = keras.Input((224, 224, 3), name="image")
    x = layers.Conv2D(width, 16, strides=16)(image)
    x = Tokens()(layers.Reshape((196, width))(x))
    for _ in range(depth):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        x = layers.Add()([x, layers.MultiHeadAttention(heads, width // heads)(y, y)])
        y = layers.Dense(4 * width, activation=gelu)(layers.LayerNormalization(epsilon=1e-6)(x))
        x = layers.Add()([x, layers.Dense(width)(y)])
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    return randomised(keras.Model(image, layers.Dense(1000)(x[:, 0])))


PAIRS: Mapping[str, tuple[Callable[[], keras.Model], Callable[[], Any]]] = {
    "ResNet50": (lambda: with_random_statistics("ResNet50"), torchvision.models.resnet50),
    "MobileNetV3Small": (
        lambda: with_random_statistics("MobileNetV3Small", input_shape=(224, 224, 3)),
        lambda: timm.create_model("tf_mobilenetv3_small_100"),
    ),
    "EfficientNetB0": (
        lambda: with_random_statistics("EfficientNetB0"),
        lambda: timm.create_model("tf_efficientnet_b0"),
    ),
    "ViT-Ti/16": (vit, lambda: timm.create_model("vit_tiny_patch16_224", act_layer="gelu_tanh")),
}
