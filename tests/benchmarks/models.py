"""The models that are measured: random weights, batch statistics randomised, as every test has them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

NAMES = ("ResNet50", "MobileNetV2")


def build(name: str) -> Any:
    """The ``keras.applications`` model called ``name``, (224, 224, 3) → 1000 classes."""
    import keras
    from keras_models import randomised

    return randomised(getattr(keras.applications, name)(weights=None))
