"""The other side of the example: trains LeNet-5 in Keras on scikit-learn's handwritten digits.

Your own job names a saved file instead (``model: my_model.keras``) and needs none of this.
"""

import hashlib
import os
from pathlib import Path

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SEED = 7
EPOCHS = 15
CACHE = Path(__file__).parent / ".cache"


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images, test images ``(n, 32, 32, 1)`` in [0, 1], and their labels ``(n,)``.

    The 8x8 digits are enlarged to 24x24, each pixel three by three, with a margin of 4.
    """
    digits = load_digits()
    enlarged = np.kron(digits.images / 16, np.ones((1, 3, 3)))
    padded = np.pad(enlarged, ((0, 0), (4, 4), (4, 4)))[..., np.newaxis].astype("float32")
    return train_test_split(
        padded, digits.target.astype("int64"), test_size=360, random_state=SEED, stratify=digits.target
    )


def images() -> np.ndarray:
    """The held-out images: what the three runtimes are compared on."""
    return split()[1]


def labels() -> np.ndarray:
    """Their classes: what the accuracy is measured with."""
    return split()[3]


def model() -> keras.Model:
    """The trained model. It is kept in ``.cache`` under the hash of this file, and trained again when this changes."""
    key = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    cached = CACHE / f"lenet-{key}.keras"
    if not cached.exists():
        CACHE.mkdir(exist_ok=True)
        partial = CACHE / f"lenet-{key}.{os.getpid()}.keras"
        trained().save(partial)
        partial.replace(cached)
    return keras.saving.load_model(cached, compile=False)


def trained() -> keras.Model:
    """Train from scratch: about ten seconds on two cores."""
    keras.utils.set_random_seed(SEED)
    lenet = keras.Sequential(
        [
            keras.Input((32, 32, 1), name="image"),
            layers.Conv2D(6, 5, activation="tanh", name="c1"),
            layers.AveragePooling2D(2, name="s2"),
            layers.Conv2D(16, 5, activation="tanh", name="c3"),
            layers.AveragePooling2D(2, name="s4"),
            layers.Conv2D(120, 5, activation="tanh", name="c5"),
            layers.Flatten(name="flatten"),
            layers.Dense(84, activation="tanh", name="f6"),
            layers.Dense(10, activation="softmax", name="output"),
        ],
        name="lenet5",
    )
    lenet.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy")
    train_images, _, train_labels, _ = split()
    lenet.fit(train_images, train_labels, batch_size=64, epochs=EPOCHS, verbose=0)
    return lenet


if __name__ == "__main__":
    accuracy = (model().predict(images(), verbose=0).argmax(1) == labels()).mean()
    print(f"test accuracy {accuracy:.4f}")
