"""MobileNet and EfficientNet onto timm's. Traps: lopsided padding in Keras, the same on both sides in torchvision;
a 1×1 convolution where the other has a Dense; hard-swish and hard-sigmoid; squeeze-excite; preprocessing in the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.pair import Pair, built, pixels, preprocessed, probabilities

if TYPE_CHECKING:
    import keras

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PREPROCESSING = "apply (x - [123.67, 116.28, 103.53]) / [58.395, 57.12, 57.375]"


def small(name: str, **options: Any) -> Any:
    options = {"input_shape": (64, 64, 3), "classes": 10, "classifier_activation": None, **options}
    return built(f"keras.applications:{name}", weights=None, **options)


def timm(name: str, **options: Any) -> Any:
    return built("timm:create_model", name, **options)


def efficientnet_b0() -> keras.Model:
    """With what its Normalization holds when trained weights are loaded: the statistics of ImageNet."""
    import keras

    model = small("EfficientNetB0")()
    (norm,) = (layer for layer in model.layers if isinstance(layer, keras.layers.Normalization))
    norm.adapt_mean.assign(IMAGENET_MEAN)
    norm.adapt_variance.assign([deviation**2 for deviation in IMAGENET_STD])
    norm.finalize_state()
    return model


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
        small("MobileNetV3Large", classifier_activation="softmax"),
        timm("tf_mobilenetv3_large_100", num_classes=10),
        inputs=pixels,
        feed=preprocessed((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), scale=127.5),
        read=probabilities,
        findings=("apply (x - 127.5) / 127.5", "apply softmax"),
    ),
    Pair(
        "EfficientNetB0 → timm tf_efficientnet_b0",
        efficientnet_b0,
        timm("tf_efficientnet_b0", num_classes=10),
        inputs=pixels,
        feed=preprocessed(IMAGENET_MEAN, IMAGENET_STD),
        findings=(PREPROCESSING,),
    ),
    Pair(
        "EfficientNetV2B0 → timm tf_efficientnetv2_b0",
        small("EfficientNetV2B0", classifier_activation="softmax"),
        timm("tf_efficientnetv2_b0", num_classes=10),
        inputs=pixels,
        feed=preprocessed(IMAGENET_MEAN, IMAGENET_STD),
        read=probabilities,
        findings=(PREPROCESSING, "apply softmax"),
    ),
)
