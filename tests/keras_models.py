"""Keras models with weights that are not trivial, for every test.

Keras starts with zero biases, unit gammas and zero means: with those a swapped bias or a forgotten moving mean changes
nothing, and a test passes for the wrong reason.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy as np
from keras import layers


def randomised(model: keras.Model, seed: int = 0) -> keras.Model:
    """``model`` with every floating weight drawn anew, by its name, at a scale that keeps activations near one."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        if not str(variable.dtype).startswith("float"):
            continue
        name, shape = variable.name, tuple(variable.shape)
        if "variance" in name or "gamma" in name:
            values = random.uniform(0.5, 1.5, shape)
        elif len(shape) < 2 or "mean" in name or "beta" in name or "bias" in name:
            values = random.normal(0.0, 0.3, shape)
        else:
            # Depthwise kernels (*spatial, in, multiplier) sum over space alone, others over the inputs too.
            summed = shape[:-2] if "depthwise" in name or "depthwise" in variable.path else shape[:-1]
            values = random.normal(0.0, 1.0 / np.sqrt(max(np.prod(summed), 1)), shape)
        variable.assign(values.astype(variable.dtype))
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, layers.Normalization) and layer.built and layer.input_mean is None:
            layer.finalize_state()  # Keras computes with copies of its weights, which loading a file renews
    return model


def inputs_for(model: keras.Model, samples: int = 3, seed: int = 1) -> dict[str, np.ndarray]:
    """Input name → random array; free sizes are taken as 7, integers stay below 5."""
    random = np.random.default_rng(seed)
    made = {}
    for tensor in model.inputs:
        shape = (samples, *(size or 7 for size in tensor.shape[1:]))
        if "int" in tensor.dtype:
            made[tensor.name] = random.integers(0, 5, shape).astype(tensor.dtype)
        else:
            made[tensor.name] = random.normal(size=shape).astype(tensor.dtype)
    return made


def lenet(input_shape: tuple[int, int, int] = (32, 32, 1)) -> keras.Model:
    """LeNet-5: three convolutions, two average poolings, two dense layers, tanh inside."""
    return randomised(
        keras.Sequential(
            [
                keras.Input(input_shape, name="image"),
                layers.Conv2D(6, 5, activation="tanh", name="c1"),
                layers.AveragePooling2D(2, name="s2"),
                layers.Conv2D(16, 5, activation="tanh", name="c3"),
                layers.AveragePooling2D(2, name="s4"),
                layers.Conv2D(120, 5, activation="tanh", name="c5"),
                layers.Flatten(name="flatten"),
                layers.Dense(84, activation="tanh", name="f6"),
                layers.Dense(10, activation="softmax", name="output"),
            ],
            name="lenet",
        )
    )


def conv_bn_pool_dense() -> keras.Model:
    """Conv2D → BatchNormalization → ReLU → MaxPooling2D → Flatten → Dense, odd sizes, 'same' with an even kernel."""
    image = keras.Input((9, 11, 3), name="image")
    x = layers.Conv2D(4, (3, 4), padding="same", strides=2, name="conv")(image)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.MaxPooling2D(2, padding="same", name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    return randomised(keras.Model(image, layers.Dense(5, name="dense")(x), name="conv_bn_pool_dense"))


def conv1d_flatten_dense() -> keras.Model:
    """Conv1D → Flatten → Dense."""
    signal = keras.Input((12, 3), name="signal")
    x = layers.Conv1D(5, 3, activation="relu", name="conv")(signal)
    x = layers.Flatten(name="flatten")(x)
    return randomised(keras.Model(signal, layers.Dense(4, name="dense")(x), name="conv1d_flatten_dense"))


def mini_xception(input_shape: tuple[int, int, int] = (33, 33, 1), classes: int = 7) -> keras.Model:
    """Separable convolutions with residual connections and global pooling."""
    image = keras.Input(input_shape, name="image")
    x = layers.Conv2D(8, 3, use_bias=False, name="stem")(image)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_bn")(x))
    for number, width in enumerate((16, 32)):
        shortcut = layers.Conv2D(width, 1, strides=2, padding="same", use_bias=False, name=f"short{number}")(x)
        shortcut = layers.BatchNormalization(name=f"short{number}_bn")(shortcut)
        x = layers.SeparableConv2D(width, 3, padding="same", use_bias=False, name=f"sep{number}a")(x)
        x = layers.ReLU(name=f"sep{number}_relu")(layers.BatchNormalization(name=f"sep{number}a_bn")(x))
        x = layers.SeparableConv2D(width, 3, padding="same", use_bias=False, name=f"sep{number}b")(x)
        x = layers.BatchNormalization(name=f"sep{number}b_bn")(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"pool{number}")(x)
        x = layers.Add(name=f"add{number}")([x, shortcut])
    x = layers.Conv2D(classes, 3, padding="same", name="head")(x)
    x = layers.GlobalAveragePooling2D(name="gap")(x)
    return randomised(keras.Model(image, layers.Softmax(name="softmax")(x), name="mini_xception"))


def shared_and_nested() -> keras.Model:
    """Two inputs through one shared encoder (a nested model), two outputs."""
    encoder = keras.Sequential(
        [keras.Input((6,)), layers.Dense(5, activation="relu", name="fc"), layers.Dense(4, name="code")], name="encoder"
    )
    left, right = keras.Input((6,), name="left"), keras.Input((6,), name="right")
    codes = encoder(left), encoder(right)
    joined = layers.Concatenate(name="joined")(codes)
    outputs = [layers.Dense(3, name="class")(joined), layers.Subtract(name="difference")(codes)]
    return randomised(keras.Model([left, right], outputs, name="shared_and_nested"))


class Noise(layers.Layer):
    """Random at inference too, with a state of its own."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.seed_generator = keras.random.SeedGenerator(7)

    def call(self, x):
        return x + keras.random.normal(keras.ops.shape(x), seed=self.seed_generator)


class Residual(layers.Layer):
    """A composite layer: its own sum is a layer output too."""

    def __init__(self, width: int, **options: object) -> None:
        super().__init__(**options)
        self.inner = layers.Dense(width, activation="relu", name="inner")
        self.outer = layers.Dense(width, name="outer")

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.inner.build(shape)
        self.outer.build(shape)

    def call(self, x):
        return x + self.outer(self.inner(x))


class Subclassed(keras.Model):
    """Layers of equal names, a list of blocks, a dict of outputs."""

    def __init__(self) -> None:
        super().__init__(name="subclassed")
        self.first = layers.Dense(6, name="dense")
        self.blocks = [Residual(6, name="block"), Residual(6, name="block")]
        self.norm = layers.BatchNormalization(name="norm")
        self.drop = layers.Dropout(0.5, name="drop")
        self.last = layers.Dense(2, name="dense")

    def call(self, x, training=None):
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        x = self.drop(self.norm(x, training=training), training=training)
        return {"logits": self.last(x), "features": x}


def subclassed() -> keras.Model:
    """``Subclassed``, built on (N, 4)."""
    model = Subclassed()
    model(np.zeros((1, 4), "float32"))
    return randomised(model)


def with_random_statistics(name: str, **options: object) -> keras.Model:
    """A model of keras.applications without trained weights, every weight drawn anew."""
    return randomised(getattr(keras.applications, name)(weights=None, **options))
