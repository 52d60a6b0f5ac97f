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


def keras_applications(name: str, **options: Any) -> Any:
    return built(f"keras.applications:{name}", weights=None, **{"classifier_activation": None, **options})


def timm(name: str, **options: Any) -> Any:
    return built("timm:create_model", name, **options)


def with_statistics(model: Any) -> Any:
    """A model with what its Normalization holds when trained weights are loaded: the statistics of ImageNet."""

    def build() -> keras.Model:
        import keras

        made: keras.Model = model()
        (norm,) = (layer for layer in made.layers if isinstance(layer, keras.layers.Normalization))
        norm.adapt_mean.assign(IMAGENET_MEAN)
        norm.adapt_variance.assign([deviation**2 for deviation in IMAGENET_STD])
        norm.finalize_state()
        return made

    return build


def pairs(size: int = 224, classes: int = 1000, *, full: bool = True) -> tuple[Pair, ...]:
    """All of full width and depth; the small ones on smaller images."""

    def keras(name: str, **options: Any) -> Any:
        return keras_applications(name, input_shape=(size, size, 3), classes=classes, **options)

    def of(name: str, model: Any, module: str, made: Any, **expected: Any) -> Pair:
        words = "" if full else f", {size} px"
        return Pair(f"{name}{words} → {module}", model, made, full=full, **expected)

    same: dict[str, Any] = {"num_classes": classes, "pad_type": "same", "bn_eps": 1e-3}
    imagenet: dict[str, Any] = {"inputs": pixels, "feed": preprocessed(IMAGENET_MEAN, IMAGENET_STD)}
    return (
        of("MobileNet", keras("MobileNet"), "timm mobilenetv1_100", timm("mobilenetv1_100", **same)),
        of("MobileNetV2", keras("MobileNetV2"), "timm mobilenetv2_100", timm("mobilenetv2_100", **same)),
        of(
            "MobileNetV2",
            keras("MobileNetV2"),
            "torchvision mobilenet_v2, other padding",
            built("torchvision.models:mobilenet_v2", num_classes=classes),
            differs=("features.0.0", "pad", "pass eps=0.001"),
        ),
        of(
            "MobileNetV3Large",
            keras("MobileNetV3Large", classifier_activation="softmax"),
            "timm tf_mobilenetv3_large_100",
            timm("tf_mobilenetv3_large_100", num_classes=classes),
            inputs=pixels,
            feed=preprocessed((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), scale=127.5),
            read=probabilities,
            findings=("apply (x - 127.5) / 127.5", "apply softmax"),
        ),
        of(
            "EfficientNetB0",
            with_statistics(keras("EfficientNetB0")),
            "timm tf_efficientnet_b0",
            timm("tf_efficientnet_b0", num_classes=classes),
            findings=(PREPROCESSING,),
            **imagenet,
        ),
        of(
            "EfficientNetV2B0",
            keras("EfficientNetV2B0", classifier_activation="softmax"),
            "timm tf_efficientnetv2_b0",
            timm("tf_efficientnetv2_b0", num_classes=classes),
            read=probabilities,
            findings=(PREPROCESSING, "apply softmax"),
            **imagenet,
        ),
    )


PAIRS = (*pairs(64, 10, full=False), *pairs())
