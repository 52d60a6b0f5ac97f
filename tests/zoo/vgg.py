"""VGG onto torchvision's. Trap: Keras flattens the last feature map (7, 7, 512) channels last, torch channels first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.pair import Pair, built

if TYPE_CHECKING:
    import keras
    from torch import nn


def thin_keras(name: str) -> keras.Model:
    from keras import applications
    from zoo.thin import thinned

    return thinned(getattr(applications, name)(weights=None, classes=10, classifier_activation=None), 16)


def thin_torchvision(cfg: str) -> nn.Module:
    """torchvision's own construction with a sixteenth of the channels (its class writes 512 and 4096 out)."""
    from torch import nn
    from torchvision.models import vgg

    widths = [width if width == "M" else width // 16 for width in vgg.cfgs[cfg]]
    module = vgg.VGG(nn.Identity(), num_classes=10, init_weights=False)
    module.features = vgg.make_layers(widths)
    module.classifier = nn.Sequential(
        nn.Linear(32 * 7 * 7, 256), nn.ReLU(True), nn.Dropout(), nn.Linear(256, 256), nn.ReLU(True), nn.Dropout(),
        nn.Linear(256, 10),
    )  # fmt: skip
    return module


def full(keras_name: str, module: str) -> Pair:
    return Pair(
        f"{keras_name} → torchvision {module}",
        built(f"keras.applications:{keras_name}", weights=None, classifier_activation=None),
        built(f"torchvision.models:{module}"),
        full=True,
    )


PAIRS = (
    Pair("VGG16, thin → torchvision vgg16", lambda: thin_keras("VGG16"), lambda: thin_torchvision("D")),
    Pair("VGG19, thin → torchvision vgg19", lambda: thin_keras("VGG19"), lambda: thin_torchvision("E")),
    full("VGG16", "vgg16"),
    full("VGG19", "vgg19"),
)
