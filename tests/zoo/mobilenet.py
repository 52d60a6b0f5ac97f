"""MobileNet and EfficientNet onto timm's. Traps: lopsided padding in Keras, the same on both sides in torchvision;
a 1×1 convolution where the other has a Dense; hard-swish and hard-sigmoid; squeeze-excite; preprocessing in the model.
"""

from __future__ import annotations

from typing import Any

from zoo.pair import Pair, built


def small(name: str, **options: Any) -> Any:
    options = {"input_shape": (64, 64, 3), "classes": 10, "classifier_activation": None, **options}
    return built(f"keras.applications:{name}", weights=None, **options)


def timm(name: str, **options: Any) -> Any:
    return built("timm:create_model", name, **options)


PAIRS = (
    Pair(
        "MobileNet → timm mobilenetv1_100",
        small("MobileNet"),
        timm("mobilenetv1_100", num_classes=10, pad_type="same", bn_eps=1e-3),
    ),
    Pair(
        "MobileNetV2 → timm mobilenetv2_100",
        small("MobileNetV2"),
        timm("mobilenetv2_100", num_classes=10, pad_type="same", bn_eps=1e-3),
    ),
    Pair(
        "MobileNetV2 → torchvision mobilenet_v2, other padding",
        small("MobileNetV2"),
        built("torchvision.models:mobilenet_v2", num_classes=10),
        differs=("features.0.0", "pad"),
    ),
    Pair(
        "MobileNetV3Large → timm tf_mobilenetv3_large_100",
        small("MobileNetV3Large", include_preprocessing=False),
        timm("tf_mobilenetv3_large_100", num_classes=10),
    ),
    Pair(
        "EfficientNetB0 → timm tf_efficientnet_b0",
        small("EfficientNetB0"),
        timm("tf_efficientnet_b0", num_classes=10),
    ),
    Pair(
        "EfficientNetV2B0 → timm tf_efficientnetv2_b0",
        small("EfficientNetV2B0", include_preprocessing=False),
        timm("tf_efficientnetv2_b0", num_classes=10),
    ),
)
