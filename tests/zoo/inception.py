"""Inception and Xception. Traps: no gamma in Keras' BatchNormalization; an average pooling counts its padding in torch,
never in Keras; many branches of one shape; epsilon 1e-3 in Keras, 1e-5 in legacy_xception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.pair import Pair, built
from zoo.settings import leave_padding_out, set_epsilon

if TYPE_CHECKING:
    from torch import nn


def keras(name: str, **options: Any) -> Any:
    return built(f"keras.applications:{name}", weights=None, classifier_activation=None, **options)


def small(name: str, size: int) -> Any:
    return keras(name, input_shape=(size, size, 3), classes=10)


def timm(name: str, **options: Any) -> Any:
    return built("timm:create_model", name, **options)


def epsilon_told(module: nn.Module) -> None:
    set_epsilon(module, 1e-3)


COUNTED = ("count_include_pad is True, Keras has False",)
EPSILON = ("eps is 1e-05, Keras has 0.001",)

PAIRS = (
    Pair(
        "InceptionV3 → torchvision inception_v3",
        small("InceptionV3", 75),
        built("torchvision.models:inception_v3", num_classes=10, aux_logits=False, init_weights=False),
        differs=("count_include_pad=False",),
        told=leave_padding_out,
    ),
    Pair(
        "InceptionV3 → timm inception_v3",
        small("InceptionV3", 75),
        timm("inception_v3", num_classes=10),
        differs=("count_include_pad=False",),
        told=leave_padding_out,
    ),
    Pair(
        "InceptionResNetV2 → timm inception_resnet_v2",
        small("InceptionResNetV2", 75),
        timm("inception_resnet_v2", num_classes=10),
    ),
    Pair(
        "Xception → timm legacy_xception",
        small("Xception", 71),
        timm("legacy_xception", num_classes=10),
        differs=("pass eps=0.001",),
        told=epsilon_told,
    ),
)
