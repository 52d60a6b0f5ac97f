"""NASNet onto timm's: over a thousand tensors, and cells of five branches that look alike."""

from __future__ import annotations

from zoo.pair import Pair, built


def pair(name: str, stem: int, features: int, classes: int, size: int, *, full: bool = False) -> Pair:
    return Pair(
        f"{name} → timm nasnetalarge",
        built(
            "keras.src.applications.nasnet:NASNet", (size, size, 3), features, 6, stem, True, 2,
            weights=None, classes=classes, classifier_activation=None,
        ),
        built("timm.models.nasnet:NASNetALarge", num_classes=classes, stem_size=stem, num_features=features),
        full=full,
    )  # fmt: skip


PAIRS = (
    pair("NASNet, thin", 8, 192, 10, 64),
    pair("NASNetMobile built to fit", 32, 1056, 1000, 224, full=True),
    pair("NASNetLarge", 96, 4032, 1000, 331, full=True),
)
