"""NASNet onto timm's: over a thousand tensors, and cells of five branches that look alike.

Trap: where a max pooling halves a feature map Keras pads with zeros before it, timm with minus infinity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.pair import Pair, built

if TYPE_CHECKING:
    import torch
    from torch import nn


def told(module: nn.Module) -> None:
    """Each max pooling behind a padding with zeros."""
    from timm.layers.padding import pad_same
    from timm.layers.pool2d_same import MaxPool2dSame
    from torch import nn

    class BehindZeros(nn.MaxPool2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(pad_same(x, [self.kernel_size] * 2, [self.stride] * 2, value=0.0))

    for path, part in list(module.named_modules()):
        if isinstance(part, MaxPool2dSame):
            module.set_submodule(path, BehindZeros(part.kernel_size[0], part.stride[0]))


def pair(name: str, stem: int, features: int, classes: int, size: int, *, full: bool = False) -> Pair:
    return Pair(
        f"{name} → timm nasnetalarge",
        built(
            "keras.src.applications.nasnet:NASNet", (size, size, 3), features, 6, stem, True, 2,
            weights=None, classes=classes, classifier_activation=None,
        ),
        built("timm.models.nasnet:NASNetALarge", num_classes=classes, stem_size=stem, num_features=features),
        full=full,
        differs=("cell_stem_0.comb_iter_1_left (pad)", "value=0.0"),
        told=told,
    )  # fmt: skip


PAIRS = (
    pair("NASNet, thin", 8, 192, 10, 64),
    pair("NASNetMobile built to fit", 32, 1056, 1000, 224, full=True),
    pair("NASNetLarge", 96, 4032, 1000, 331, full=True),
)
