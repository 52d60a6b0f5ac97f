"""Files of Keras 1 and 2: by Keras 3, their config translated, else by tf_keras; what they compute stays the same."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from torchgraft.stages import load
from torchgraft.stages.errors import CorruptInputError, DifferenceError, RefusedError, UnsupportedError
from torchgraft.stages.load import keras2, legacy_config

tk = pytest.importorskip("tf_keras")
RNG = np.random.default_rng(0)


def functional(shape, build):
    inputs = tk.layers.Input(shape)
    return tk.Model(inputs, build(inputs))


def stack(*layers):
    return tk.Sequential(list(layers))


def convolutions():
    layers = tk.layers
    return stack(
        layers.SeparableConv2D(5, 3, input_shape=(9, 9, 3)),
        layers.DepthwiseConv2D(3),
        layers.BatchNormalization(),
        layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
        layers.SpatialDropout2D(0.1),
        layers.GlobalAveragePooling2D(),
    )


def nested_and_shared():
    layers = tk.layers
    inner = stack(layers.Input((4,)), layers.Dense(4, activation="tanh"))
    return functional((4,), lambda x: layers.Subtract()([inner(x), inner(layers.Dense(4)(x))]))


def nested_twice_and_given_out():
    """The second call of the nested model is an output, only the first is taken further."""
    layers = tk.layers
    inner = stack(layers.Input((4,)), layers.Dense(4, activation="tanh"))
    x = layers.Input((4,))
    first, second = inner(x), inner(layers.Dense(4)(x))
    return tk.Model(x, [layers.Dense(2)(first), second])


def recurrent():
    layers = tk.layers
    return stack(
        layers.Input((5, 3)),
        layers.Bidirectional(layers.LSTM(4, return_sequences=True)),
        layers.GRU(3, reset_after=False, return_sequences=True),
        layers.SimpleRNN(2),
    )


def hard_sigmoid():
    layers = tk.layers
    return stack(
        layers.Input((5, 3)),
        layers.LSTM(4, recurrent_activation="hard_sigmoid"),
        layers.Dense(4, activation="hard_sigmoid"),
        layers.Activation("hard_sigmoid"),
    )


def statistics():
    scale = tk.layers.Normalization(input_shape=(4,))
    scale.adapt(RNG.normal(3.0, 2.0, (20, 4)))
    return stack(scale, tk.layers.Dense(2))


def mixed():
    policy = tk.mixed_precision.Policy("mixed_float16")
    layers = tk.layers
    return stack(layers.Input((4,)), layers.Dense(3, dtype=policy), layers.BatchNormalization(dtype=policy))


def operations():
    import tensorflow as tf

    layers = tk.layers
    return functional((4, 4, 2), lambda x: tf.reduce_mean(tf.nn.relu(layers.Conv2D(3, 1)(x)) * 2.0, axis=[1, 2]) + 1.0)


def slices():
    import tensorflow as tf

    return functional((4,), lambda x: tf.concat([tk.layers.Dense(4)(x), x], axis=-1)[:, 1:5])


def removed_layers():
    layers = tk.layers
    return stack(layers.Input((6, 3)), layers.LocallyConnected1D(2, 3), layers.ThresholdedReLU(0.2), layers.Flatten())


def attention():
    layers = tk.layers
    return functional((5, 8), lambda x: layers.LayerNormalization()(layers.MultiHeadAttention(2, 4)(x, x)))


BY_KERAS_3 = [
    convolutions,
    nested_and_shared,
    nested_twice_and_given_out,
    recurrent,
    hard_sigmoid,
    statistics,
    mixed,
]
BY_TF_KERAS = [operations, slices, removed_layers, attention]


def weighted(model):
    """``model`` with positive random weights, so that no activation is cut to zero everywhere."""
    model.set_weights([RNG.uniform(0.1, 0.6, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def compared(theirs, ours) -> None:
    """The same TensorFlow kernels on both sides: float32 sums in another order, 1e-5 of values near one."""
    x = RNG.normal(size=(3, *theirs.input_shape[1:])).astype("float32")
    wanted, received = theirs(x), ours(x)
    pairs = zip(wanted, received, strict=True) if isinstance(wanted, list) else [(wanted, received)]
    for a, b in pairs:
        limit = 1e-2 if a.dtype == "float16" else 1e-5
        assert np.abs(np.asarray(a, "float64") - np.asarray(b, "float64")).max() < limit


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("build", [*BY_KERAS_3, *BY_TF_KERAS])
def test_a_file_of_keras_2_computes_what_it_did_and_says_who_read_it(tmp_path, build, suffix):
    model = weighted(build())
    model.save(tmp_path / f"model{suffix}")
    loaded = load.load_model(load.ModelSource(path=f"model{suffix}"), tmp_path)
    compared(model, loaded.model)
    told = " ".join(loaded.notes)
    assert ("read by Keras 3; tf_keras computes the same" in told) == (build in BY_KERAS_3)
    assert ("Keras 3 cannot: " in told and "read by tf_keras" in told) == (build in BY_TF_KERAS)


@pytest.mark.parametrize("build", [hard_sigmoid, operations])
def test_a_tf_keras_model_in_memory_and_one_of_a_factory(tmp_path, build):
    model = weighted(build())
    compared(model, load.model_in_memory(model).model)
    (tmp_path / "net.py").write_text(
        "import tf_keras\nmodel = tf_keras.models.load_model('%s')\ndef make():\n    return model\n"
        % (tmp_path / "model.keras")
    )
    model.save(tmp_path / "model.keras")
    compared(model, load.load_model(load.ModelSource(factory="net.py:make"), tmp_path).model)


def test_a_subclassed_tf_keras_model_is_taken_as_the_function_that_it_is():
    class Net(tk.Model):
        def __init__(self):
            super().__init__()
            self.one, self.two = tk.layers.Dense(5, activation="tanh"), tk.layers.Dense(2)

        def call(self, x):
            return self.two(self.one(x)) + x[:, :2]

    model = Net()
    x = RNG.normal(size=(3, 4)).astype("float32")
    wanted = model(x)
    loaded = load.model_in_memory(model)
    assert np.array_equal(loaded.model(x), wanted)
    assert [tuple(weight.shape) for weight in loaded.model.weights] == [(4, 5), (5,), (5, 2), (2,)]
    assert "the whole model" in " ".join(loaded.notes)


@pytest.mark.parametrize("build", [convolutions, operations])
def test_an_architecture_and_weights_of_keras_2(tmp_path, build):
    model = weighted(build())
    (tmp_path / "model.json").write_text(model.to_json())
    model.save_weights(tmp_path / "weights.h5")
    loaded = load.load_model(load.ModelSource(architecture="model.json", weights="weights.h5"), tmp_path)
    compared(model, loaded.model)


def without_tf_keras(monkeypatch):
    monkeypatch.setattr(keras2, "find_spec", lambda name: None)


def test_without_tf_keras_what_keras_3_reads_is_read_and_the_rest_says_what_to_install(tmp_path, monkeypatch):
    weighted(convolutions()).save(tmp_path / "one.h5")
    weighted(operations()).save(tmp_path / "two.h5")
    without_tf_keras(monkeypatch)
    assert "not compared" in load.load_model(load.ModelSource(path="one.h5"), tmp_path).notes[0]
    with pytest.raises(UnsupportedError, match=r"TFOpLambda[\s\S]*pip install 'torchgraft\[keras2\]'"):
        load.load_model(load.ModelSource(path="two.h5"), tmp_path)


def test_a_wrong_translation_is_found_by_comparing_with_keras_2s_own_code(tmp_path, monkeypatch):
    """The negative twin: hard_sigmoid as Keras 3 has it."""
    weighted(hard_sigmoid()).save(tmp_path / "model.h5")
    import keras

    monkeypatch.setitem(legacy_config.FUNCTIONS, legacy_config.HARD_SIGMOID, keras.activations.hard_sigmoid)
    with pytest.raises(DifferenceError, match="other values than in tf_keras"):
        load.load_model(load.ModelSource(path="model.h5"), tmp_path)


@pytest.mark.parametrize("build", [convolutions, operations])
def test_row_20_a_reordered_file_of_keras_2_is_corrupt(tmp_path, build):
    weighted(build()).save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        name = next(
            name for name in file["model_weights"] if len(file["model_weights"][name].attrs["weight_names"]) > 1
        )
        group = file["model_weights"][name]
        group.attrs["weight_names"] = list(group.attrs["weight_names"])[::-1]
    with pytest.raises((CorruptInputError, UnsupportedError)):
        load.load_model(load.ModelSource(path="model.h5"), tmp_path)


@pytest.mark.parametrize("function", ["io.write_file", "io.read_file", "py_function", "raw_ops.WriteFile", "system"])
def test_a_tensorflow_function_that_is_no_arithmetic_is_refused(tmp_path, function):
    weighted(operations()).save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace(
            '"function": "nn.relu"', f'"function": "{function}"'
        )
    with pytest.raises(RefusedError, match=f"tf.{function}"):
        load.load_model(load.ModelSource(path="model.h5"), tmp_path)


def keras1_file(path, layers, weights) -> None:
    """What Keras 1.2 writes, by its own keras/models.py (``save_model``)."""
    config = {"class_name": "Sequential", "config": layers}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps(config).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [layer["config"]["name"].encode() for layer in layers]
        for layer in layers:
            name = layer["config"]["name"]
            own = group.create_group(name)
            arrays = weights.get(name, {})
            own.attrs["weight_names"] = [f"{name}_{short}:0".encode() for short in arrays]
            for short, array in arrays.items():
                own[f"{name}_{short}:0"] = array


def keras1_layers(**changed):
    common = {"trainable": True, "init": "glorot_uniform", "W_regularizer": None, "b_regularizer": None}
    convolution = {
        **common,
        "name": "convolution2d_1",
        "nb_filter": 4,
        "nb_row": 3,
        "nb_col": 2,
        "border_mode": "same",
        "bias": True,
        "subsample": [2, 1],
        "dim_ordering": "tf",
        "activation": "relu",
        "batch_input_shape": [None, 8, 8, 3],
        "input_dtype": "float32",
        "activity_regularizer": None,
    }
    pooling = {"name": "pool", "pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid", "dim_ordering": "tf"}
    norm = {"name": "norm", "mode": 0, "axis": -1, "epsilon": 0.01, "momentum": 0.9, "gamma_regularizer": None}
    dense = {**common, "name": "dense_1", "output_dim": 5, "input_dim": None, "bias": True, "activation": "linear"}
    return [
        {"class_name": "Convolution2D", "config": {**convolution, **changed}},
        {"class_name": "MaxPooling2D", "config": pooling},
        {"class_name": "BatchNormalization", "config": norm},
        {"class_name": "Dropout", "config": {"name": "drop", "p": 0.5, "trainable": True}},
        {"class_name": "Flatten", "config": {"name": "flat", "trainable": True}},
        {"class_name": "Dense", "config": dense},
    ]


def keras1_weights():
    made = {
        "convolution2d_1": {"W": (3, 2, 3, 4), "b": (4,)},
        "norm": {"gamma": (4,), "beta": (4,), "running_mean": (4,), "running_std": (4,)},
        "dense_1": {"W": (2 * 4 * 4, 5), "b": (5,)},
    }
    return {
        layer: {name: RNG.uniform(0.2, 1.0, shape).astype("float32") for name, shape in shapes.items()}
        for layer, shapes in made.items()
    }


def test_a_file_of_keras_1_is_read_by_the_words_that_it_had(tmp_path):
    import keras
    from keras import layers

    weights = keras1_weights()
    keras1_file(tmp_path / "model.h5", keras1_layers(), weights)
    loaded = load.load_model(load.ModelSource(path="model.h5"), tmp_path)
    expected = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, (3, 2), strides=(2, 1), padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.BatchNormalization(epsilon=0.01),
            layers.Flatten(),
            layers.Dense(5),
        ]
    )
    arrays = [array for layer in ("convolution2d_1", "norm", "dense_1") for array in weights[layer].values()]
    expected.set_weights(arrays)
    x = RNG.normal(size=(2, 8, 8, 3)).astype("float32")
    assert np.array_equal(loaded.model(x), expected(x))
    assert loaded.notes[0].startswith("written by Keras 1.2.2, read by Keras 3")


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (keras1_layers(dim_ordering="th"), "channels first"),
        ([{"class_name": "LSTM", "config": {"name": "lstm_1", "output_dim": 3}}], "LSTM of Keras 1"),
        ([{"class_name": "Merge", "config": {"name": "merge_1", "mode": "dot"}}], "Merge with mode 'dot'"),
    ],
)
def test_what_keras_1_had_and_nobody_has_now_is_refused_by_name(tmp_path, layers, message):
    keras1_file(tmp_path / "model.h5", layers, keras1_weights())
    with pytest.raises(UnsupportedError, match=message):
        load.load_model(load.ModelSource(path="model.h5"), tmp_path)
