"""All architectures of keras.applications, as small as each allows."""

from __future__ import annotations

import inspect

import keras
from keras_models import with_random_statistics

from .entry import Entry

SMALLEST = {"InceptionV3": 75, "InceptionResNetV2": 75, "Xception": 71}
CHANNELS_LAST = (
    "torchvision's convnext permutes to channels last and back around the LayerNorm and Linears of each block, and "
    "around each LayerNorm outside of them"
)


def architectures() -> dict[str, type]:
    """Name → function of every architecture."""
    found = vars(keras.applications)
    return {name: found[name] for name in sorted(found) if inspect.isfunction(found[name])}


def entry(name: str) -> Entry:
    size = SMALLEST.get(name, 64)
    allowed = convnext_permutes if name.startswith("ConvNeXt") else Entry.allowed
    return Entry(
        name,
        lambda: with_random_statistics(name, input_shape=(size, size, 3), classes=10),
        allowed,
        CHANNELS_LAST if name.startswith("ConvNeXt") else "",
    )


def convnext_permutes(model: keras.Model) -> int:
    """Two for each LayerNormalization of a feature map: one in each block, those of the stem and the downsamplings."""
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.LayerNormalization)]
    return sum(2 for norm in norms if len(norm.input.shape) == 4)


ENTRIES = tuple(entry(name) for name in architectures())
