"""ConvNeXt. Traps: Dense where the other has a 1×1 convolution; LayerScale is (C,) in Keras and timm, (C, 1, 1) in
torchvision; exact GELU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.mobilenet import IMAGENET_MEAN, IMAGENET_STD
from zoo.pair import Pair, built, pixels, preprocessed

if TYPE_CHECKING:
    from torch import nn

DEPTHS, WIDTHS = (1, 2, 2, 1), (32, 64, 96, 128)


def small_keras() -> Any:
    return built(
        "keras.src.applications.convnext:ConvNeXt", DEPTHS, WIDTHS, weights=None, input_shape=(64, 64, 3), classes=10,
        classifier_activation=None, include_preprocessing=False, weights_name="small",
    )  # fmt: skip


def small_torchvision() -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    blocks = [CNBlockConfig(*each) for each in zip(WIDTHS, (*WIDTHS[1:], None), DEPTHS, strict=True)]
    return ConvNeXt(blocks, num_classes=10)


def tiny(module: str, made: Any) -> Pair:
    """As it comes: with the statistics of ImageNet inside."""
    model = built("keras.applications:ConvNeXtTiny", weights=None, classifier_activation=None)
    feed = preprocessed(IMAGENET_MEAN, IMAGENET_STD)
    findings = ("apply (x - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]",)
    return Pair(f"ConvNeXtTiny → {module}", model, made, inputs=pixels, feed=feed, findings=findings, full=True)


PAIRS = (
    Pair("ConvNeXt, small → torchvision ConvNeXt", small_keras(), small_torchvision),
    Pair(
        "ConvNeXt, small → timm ConvNeXt",
        small_keras(),
        built("timm.models.convnext:ConvNeXt", depths=DEPTHS, dims=WIDTHS, num_classes=10),
    ),
    tiny("torchvision convnext_tiny", built("torchvision.models:convnext_tiny")),
    tiny("timm convnext_tiny", built("timm:create_model", "convnext_tiny")),
)
