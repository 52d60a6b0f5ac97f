"""Inception and Xception. Traps: no gamma in Keras' BatchNormalization; an average pooling counts its padding in torch,
never in Keras; many branches of one shape; epsilon 1e-3 in Keras, 1e-5 in legacy_xception, and another padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.pair import Pair, built
from zoo.settings import leave_padding_out, set_epsilon

if TYPE_CHECKING:
    from torch import nn


def timm(name: str, **options: Any) -> Any:
    return built("timm:create_model", name, **options)


def epsilon_and_padding_told(module: nn.Module) -> None:
    """One max pooling reads a feature map of even size: 18 or 74 pixels."""
    from torch import nn

    set_epsilon(module, 1e-3)
    pad = nn.ConstantPad2d((0, 1, 0, 1), -float("inf"))
    module.set_submodule("block2.rep.6", nn.Sequential(pad, nn.MaxPool2d(3, stride=2)))


def pairs(size: int | None = None, classes: int = 1000) -> tuple[Pair, ...]:
    """Those of full width and depth; with ``size`` on smaller images, and InceptionV3 once."""

    def of(name: str, module: str, made: Any, **expected: Any) -> Pair:
        options = {} if size is None else {"input_shape": (size, size, 3)}
        model = built(
            f"keras.applications:{name}", weights=None, classifier_activation=None, classes=classes, **options
        )
        words = "" if size is None else f", {size} px"
        return Pair(f"{name}{words} → {module}", model, made, full=size is None, **expected)

    counted: dict[str, Any] = {"differs": ("count_include_pad=False",), "told": leave_padding_out}
    xception: dict[str, Any] = {
        "differs": ("pass eps=0.001", "block2.rep.6 (max_pool2d)"),
        "told": epsilon_and_padding_told,
    }
    torchvision = built("torchvision.models:inception_v3", num_classes=classes, aux_logits=False, init_weights=False)
    inception = of("InceptionV3", "timm inception_v3", timm("inception_v3", num_classes=classes), **counted)
    return (
        of("InceptionV3", "torchvision inception_v3", torchvision, **counted),
        *([inception] if size is None else []),
        of("InceptionResNetV2", "timm inception_resnet_v2", timm("inception_resnet_v2", num_classes=classes)),
        of("Xception", "timm legacy_xception", timm("legacy_xception", num_classes=classes), **xception),
    )


PAIRS = (*pairs(75, 10), *pairs())
