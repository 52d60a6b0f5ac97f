"""DenseNet onto torchvision's. Trap: epsilon is 1.001e-5 in Keras, 1e-5 in torch: told, and too little to show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.pair import Pair, built
from zoo.settings import set_epsilon

if TYPE_CHECKING:
    from torch import nn

BLOCKS = (2, 3, 4, 2)
FOUND = ("eps is 1e-05, Keras has 1.001e-05",)


def told(module: nn.Module) -> None:
    set_epsilon(module, 1.001e-5)


def full(keras_name: str, module: str) -> Pair:
    return Pair(
        f"{keras_name} → torchvision {module}",
        built(f"keras.applications:{keras_name}", weights=None, classifier_activation=None),
        built(f"torchvision.models:{module}"),
        full=True,
        findings=FOUND,
        told=told,
    )


PAIRS = (
    Pair(
        "DenseNet, small → torchvision DenseNet",
        built(
            "keras.src.applications.densenet:DenseNet", BLOCKS, weights=None, input_shape=(64, 64, 3), classes=10,
            classifier_activation=None,
        ),
        built("torchvision.models.densenet:DenseNet", block_config=BLOCKS, num_classes=10),
        findings=FOUND,
        told=told,
    ),
    full("DenseNet121", "densenet121"),
    full("DenseNet169", "densenet169"),
)  # fmt: skip
