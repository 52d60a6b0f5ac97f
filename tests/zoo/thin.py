"""A Keras model of keras.applications made thinner, where its own factory knows no width."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def thinned(model: keras.Model, by: int) -> keras.Model:
    """The same layers, each with a part of its filters and units; the last one keeps its own."""
    import keras

    def thin(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        for width in ("filters", "units"):
            if width in config and layer is not model.layers[-1]:
                config[width] //= by
        return type(layer).from_config(config)

    return keras.models.clone_model(model, clone_function=thin)
