"""Every kind of model file, from a config onto one hand-written module: the same weights, so the same state_dict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from keras_models import randomised
from safetensors.numpy import load_file

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4, eps=1e-3)
        self.head = torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x))).amax((2, 3)))
"""
BUILDS = """
def make(keras=None):
    import keras
    layers = keras.layers
    parts = [layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(name="norm"), layers.ReLU(name="act")]
    parts += [layers.GlobalMaxPooling2D(name="pool"), layers.Dense(2, name="head")]
    return keras.Sequential([keras.Input((7, 5, 3), name="x"), *parts])

class Own:
    pass
"""
OWN = """
import keras

@keras.saving.register_keras_serializable("files")
class Own(keras.layers.Dense):
    pass
"""
TORCH_BACKEND = """
import sys, numpy as np, keras
sys.path.insert(0, ".")
from builds import make
assert keras.backend.backend() == "torch"
model = make()
model.set_weights([np.load(f"{place}.npy") for place in range(len(model.weights))])
model.save("torch_backend.keras")
"""
#: name → what stands under ``model`` in the config
KINDS = {
    "keras": "model.keras",
    "keras_of_the_torch_backend": "torch_backend.keras",
    "keras_3_h5": "model.h5",
    "keras_2_h5": "two.h5",
    "keras_2_hdf5_of_tf_keras_alone": "two_custom.hdf5",
    "weights_and_a_factory": "{factory: builds.py:make, weights: only.weights.h5}",
    "config_json_and_weights": "{architecture: model.json, weights: model.h5}",
    "keras_2_saved_model": "{path: two_saved, trust: true}",
    "plain_saved_model": "{path: exported, trust: true}",
    "keras_3_export": "{path: three, trust: true}",
    "custom_objects": "{path: own.keras, custom_objects: {'files>Own': 'own.py:Own'}}",
}


def write_files(folder: Path) -> None:
    import keras
    import tensorflow as tf
    import tf_keras
    from keras import layers

    names: dict[str, object] = {}
    exec(BUILDS, names)
    exec(OWN, names)
    (folder / "builds.py").write_text(BUILDS)
    (folder / "own.py").write_text(OWN)
    (folder / "net.py").write_text(NET)
    model = randomised(names["make"]())
    weights = model.get_weights()
    for place, array in enumerate(weights):
        np.save(folder / f"{place}.npy", array)
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    model.save_weights(folder / "only.weights.h5")
    model.export(str(folder / "three"), verbose=False)
    (folder / "model.json").write_text(model.to_json())
    own = keras.Sequential([*model.layers[:-1], names["Own"](2, name="head")])
    own.build((None, 7, 5, 3))
    own.set_weights(weights)
    own.save(folder / "own.keras")
    two = tf_keras.Sequential([tf_keras.Input((7, 5, 3), name="x")])
    for layer in model.layers[:-1]:
        if not isinstance(layer, layers.Dense):
            two.add(getattr(tf_keras.layers, type(layer).__name__)(**_options(layer)))
    two.add(tf_keras.layers.Dense(2, name="head"))
    two.set_weights(weights)
    two.save(folder / "two.h5")
    two.save(folder / "two_saved", save_format="tf")
    plain = tf.Module()
    plain.held = list(two.variables)
    function = tf.function(
        lambda x: two(x, training=False), input_signature=[tf.TensorSpec([None, 7, 5, 3], tf.float32)]
    )
    tf.saved_model.save(plain, str(folder / "exported"), signatures=function)
    lone = tf_keras.Sequential([tf_keras.Input((7, 5, 3), name="x")])
    for layer in two.layers:
        lone.add(layer)
        if layer.name == "act":  # what Keras 3 has not; behind a ReLU it changes nothing
            lone.add(tf_keras.layers.ThresholdedReLU(theta=0.0, name="threshold"))
    lone.save(folder / "two_custom.hdf5")
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    subprocess.run([sys.executable, "-c", TORCH_BACKEND], check=True, cwd=folder, env=environment, capture_output=True)


def _options(layer) -> dict[str, object]:
    return {"name": layer.name, **({"filters": 4, "kernel_size": 3} if layer.name == "conv" else {})}


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> tuple[Path, dict[str, dict]]:
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    configs = []
    for name, model in KINDS.items():
        path = folder / f"{name}.yaml"
        path.write_text(f"name: {name}\nmodel: {model}\ntarget: net.py:Net\noutput: {name}.out\n")
        configs.append(str(path))
    command = [sys.executable, "-m", "torchgraft", "run", "--json", *configs]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return folder, {event["name"]: event for event in events if event["event"] == "job_ended"}


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_file_goes_onto_the_module_from_a_config(batch, name):
    folder, ended = batch
    assert ended[name]["exit_code"] == 0, ended[name].get("error")
    state, first = (load_file(next((folder / f"{each}.out").glob("*.safetensors"))) for each in (name, "keras"))
    assert state.keys() == first.keys()
    for key, array in first.items():
        assert np.array_equal(state[key], array), key
