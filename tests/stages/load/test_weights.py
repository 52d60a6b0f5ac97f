"""FAULTS row 21: an architecture and its weights from two files; no variable is left random."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from keras_models import randomised
from torchgraft.stages import load
from torchgraft.stages.errors import CorruptInputError, RefusedError, UnsupportedError, UsageError

from .conftest import SAMPLES

NET = """
import keras
from keras import layers

def make(width=4, left="left"):
    features = keras.Input((4,), name="features")
    encoder = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="inner"), layers.Dropout(0.2)], name="encoder")
    x = layers.Dense(4, activation="relu", name=left)(features)
    x = layers.Dense(width, activation="relu", name="right")(encoder(x))
    x = layers.BatchNormalization(name="norm")(x)
    return keras.Model(features, layers.Dense(2, activation="softmax", name="head")(x), name="small")

def deeper():
    inner = make()
    return keras.Sequential([inner, layers.Dense(3, name="more")], name="small")

def wider():
    return make(width=5)

def renamed():
    return make(left="links")
"""


@pytest.fixture
def folder(saved, tmp_path):
    import keras

    for name in ("model.keras", "model.h5", "only.weights.h5"):
        (tmp_path / name).write_bytes((saved / name).read_bytes())
    (tmp_path / "net.py").write_text(NET)
    model = keras.saving.load_model(saved / "model.keras", compile=False)
    (tmp_path / "model.json").write_text(model.to_json())
    # Keras 2's save_weights: the layers' groups at the top, no architecture.
    with h5py.File(saved / "model.h5") as whole, h5py.File(tmp_path / "legacy.h5", "w") as file:
        whole.copy("model_weights", file, name="weights")
        for name, value in whole["model_weights"].attrs.items():
            file.attrs[name] = value
        for name in list(file["weights"]):
            file.move(f"weights/{name}", name)
        del file["weights"]
    return tmp_path


WEIGHTS = ["only.weights.h5", "legacy.h5", "model.h5", "model.keras"]


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("architecture", [{"factory": "net.py:make"}, {"architecture": "model.json"}])
def test_weights_fill_what_is_built(folder, saved, architecture, weights):
    loaded = load.load_model(load.ModelSource(**architecture, weights=weights), folder)
    assert np.array_equal(loaded.model.predict(SAMPLES, verbose=0), np.load(saved / "expected.npy"))
    assert weights in loaded.notes[0]


def test_a_weights_file_may_have_any_hdf5_name(folder, saved):
    (folder / "only.weights.h5").rename(folder / "epoch_3.hdf5")
    source = load.ModelSource(factory="net.py:make", weights="epoch_3.hdf5")
    model = load.load_model(source, folder).model
    assert np.array_equal(model.predict(SAMPLES, verbose=0), np.load(saved / "expected.npy"))


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("factory", ["deeper", "wider"])
def test_row_21_weights_that_do_not_fill_the_model_are_corrupt_and_never_random(folder, weights, factory):
    with pytest.raises(CorruptInputError, match=r"To fix it: (give the weights|build the model|save the model)"):
        load.load_model(load.ModelSource(factory=f"net.py:{factory}", weights=weights), folder)


def test_legacy_weights_of_other_names_are_not_loaded_by_order(folder):
    with pytest.raises(CorruptInputError, match=r"'left'.*'links'"):
        load.load_model(load.ModelSource(factory="net.py:renamed", weights="legacy.h5"), folder)


@pytest.mark.parametrize("group", ["layers/dense_1", "layers/sequential", "layers/dense/vars/0"])
def test_row_21_a_weights_file_that_lacks_a_group_is_corrupt(folder, group):
    with h5py.File(folder / "only.weights.h5", "r+") as file:
        del file[group]
    with pytest.raises(CorruptInputError):
        load.load_model(load.ModelSource(factory="net.py:make", weights="only.weights.h5"), folder)


def test_groups_that_changed_places_in_a_whole_file_are_told_by_their_layers_names(folder):
    with h5py.File(folder / "only.weights.h5", "r+") as file:
        file.move("layers/dense", "layers/other")
        file.move("layers/dense_1", "layers/dense")
        file.move("layers/other", "layers/dense_1")
    with pytest.raises(CorruptInputError, match="'layers/dense' of the file is of layer 'right'"):
        load.load_model(load.ModelSource(factory="net.py:make", weights="only.weights.h5"), folder)


def test_a_swap_after_loading_is_seen_although_both_arrays_are_in_the_file(saved):
    model = load.keras_model("model.keras", saved)
    left, right = model.get_layer("left"), model.get_layer("right")
    kernels = left.kernel.numpy(), right.kernel.numpy()
    right.kernel.assign(kernels[0])
    left.kernel.assign(kernels[1])
    with pytest.raises(CorruptInputError, match="left/kernel"):
        load.proof.prove_weights(model, load.stored_model(saved / "model.keras"))


def test_the_hash_is_that_of_the_weights(folder):
    right = load.gate.sha256_of(folder / "only.weights.h5")
    load.load_model(load.ModelSource(factory="net.py:make", weights="only.weights.h5", sha256=right), folder)
    with pytest.raises(CorruptInputError, match="sha256"):
        load.load_model(load.ModelSource(factory="net.py:make", weights="only.weights.h5", sha256="0" * 64), folder)
    with pytest.raises(UsageError, match="sha256"):
        load.load_model(load.ModelSource(factory="net.py:make", sha256="0" * 64), folder)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"class_name": "Model"}'])
def test_an_architecture_that_is_none_is_corrupt(folder, content):
    (folder / "model.json").write_text(content)
    with pytest.raises(CorruptInputError, match=r"no JSON|describes no Keras model"):
        load.load_model(load.ModelSource(architecture="model.json", weights="model.h5"), folder)


def test_an_architecture_is_held_to_the_same_policy_as_a_file(folder):
    config = json.loads((folder / "model.json").read_text())
    config["config"]["layers"][1].update(class_name="Lambda")
    (folder / "model.json").write_text(json.dumps(config))
    with pytest.raises(RefusedError, match="Lambda"):
        load.load_model(load.ModelSource(architecture="model.json", weights="model.h5"), folder)


def test_an_architecture_without_inputs_asks_for_a_factory(folder):
    import keras

    model = keras.Sequential([keras.layers.Dense(3)])
    (folder / "model.json").write_text(model.to_json())
    with pytest.raises(UnsupportedError, match="does not say what its inputs are"):
        load.load_model(load.ModelSource(architecture="model.json", weights="model.h5"), folder)


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_a_keras_file_is_the_same_whichever_backend_saved_it(saved, tmp_path, backend):
    """What differs is the compile config's module paths and nothing of the layers; torch is run in the test below."""
    from .test_model import changed_zip

    def change(config):
        config["compile_config"] = {"optimizer": {"module": f"keras.src.backend.{backend}.optimizer"}, "loss": "mse"}

    model = load.keras_model(changed_zip(saved, tmp_path, change_config=change))
    assert np.array_equal(model.predict(SAMPLES, verbose=0), np.load(saved / "expected.npy"))


def test_a_keras_file_that_the_torch_backend_saved(tmp_path):
    import os
    import subprocess
    import sys

    program = (
        "import keras\nfrom keras import layers\nassert keras.backend.backend() == 'torch'\n"
        "model = keras.Sequential([keras.Input((9, 9, 2)), layers.Conv2D(3, 3), layers.BatchNormalization(),"
        " layers.LSTM(3) if False else layers.Flatten(), layers.Dense(2)])\n"
        "model.compile('adam', 'mse')\n"
        "import numpy as np\nx = np.linspace(-1, 1, 324).reshape(2, 9, 9, 2).astype('float32')\n"
        "model.fit(x, np.ones((2, 2), 'float32'), verbose=0)\n"
        "model.save('m.keras')\nmodel.save('m.h5')\nnp.save('y.npy', model.predict(x, verbose=0))\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, env=environment, capture_output=True)
    x = np.linspace(-1, 1, 324).reshape(2, 9, 9, 2).astype("float32")
    for name in ("m.keras", "m.h5"):
        # Two programs sum in different orders: 1e-6 of values near one is some units of float32's last place.
        assert np.abs(load.keras_model(name, tmp_path).predict(x, verbose=0) - np.load(tmp_path / "y.npy")).max() < 1e-6


def test_a_bfloat16_model_is_read_without_loss(tmp_path):
    import keras
    from keras import layers

    layer = layers.Dense(3, dtype="bfloat16")
    model = randomised(keras.Sequential([keras.Input((4,), dtype="bfloat16"), layer]))
    model.save(tmp_path / "m.keras")
    loaded = load.keras_model("m.keras", tmp_path)
    assert loaded.layers[0].kernel.numpy().tobytes() == layer.kernel.numpy().tobytes()
    assert load.stored_model(tmp_path / "m.keras").weights[0].dtype == "bfloat16"
