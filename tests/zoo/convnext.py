"""ConvNeXt. Traps: Dense where the other has a 1×1 convolution; LayerScale is (C,) in Keras and timm, (C, 1, 1) in
torchvision; exact GELU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.pair import Pair, built

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


PAIRS = (
    Pair("ConvNeXt, small → torchvision ConvNeXt", small_keras(), small_torchvision),
    Pair(
        "ConvNeXt, small → timm ConvNeXt",
        small_keras(),
        built("timm.models.convnext:ConvNeXt", depths=DEPTHS, dims=WIDTHS, num_classes=10),
    ),
)
