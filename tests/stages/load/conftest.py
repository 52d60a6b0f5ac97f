from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from keras_models import randomised

SAMPLES = np.linspace(-1, 1, 8, dtype="float32").reshape(2, 4)


@pytest.fixture(scope="session")
def saved(tmp_path_factory) -> Path:
    """A folder with one model as model.keras and model.h5; "left" and "right" have weights of equal shapes."""
    import keras
    from keras import layers

    features = keras.Input((4,), name="features")
    encoder = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="inner"), layers.Dropout(0.2)], name="encoder")
    x = layers.Dense(4, activation="relu", name="left")(features)
    x = layers.Dense(4, activation="relu", name="right")(encoder(x))
    x = layers.BatchNormalization(name="norm")(x)
    model = randomised(keras.Model(features, layers.Dense(2, activation="softmax", name="head")(x), name="small"))
    folder = tmp_path_factory.mktemp("saved")
    model.compile("sgd", "mse")
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    model.save_weights(folder / "only.weights.h5")
    np.save(folder / "expected.npy", model.predict(SAMPLES, verbose=0))
    return folder
