"""FAULTS rows 1, 6, 19, 20, 21: a loaded model holds what its file holds, or is not loaded."""

from __future__ import annotations

import io
import json
import shutil
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from keras_models import randomised
from torchgraft.stages import load
from torchgraft.stages.errors import CorruptInputError, RefusedError, UnsupportedError, UsageError

from .conftest import SAMPLES


def changed_h5(saved: Path, folder: Path, change) -> Path:
    shutil.copy(saved / "model.h5", folder / "model.h5")
    with h5py.File(folder / "model.h5", "r+") as file:
        change(file)
    return folder / "model.h5"


def changed_zip(saved: Path, folder: Path, change_config=None, change_weights=None) -> Path:
    with zipfile.ZipFile(saved / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if change_config:
        config = json.loads(members["config.json"])
        change_config(config)
        members["config.json"] = json.dumps(config).encode()
    if change_weights:
        content = io.BytesIO(members["model.weights.h5"])
        with h5py.File(content, "r+") as file:
            change_weights(file)
        members["model.weights.h5"] = content.getvalue()
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member)
    return folder / "model.keras"


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_saved_model_computes_what_it_did(saved, name):
    model = load.keras_model(name, saved)
    # Zero tolerance: the same weights, the same program.
    assert np.array_equal(model.predict(SAMPLES, verbose=0), np.load(saved / "expected.npy"))


def frozen_in_part():
    import keras
    from keras import layers

    block = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.BatchNormalization()], name="block")
    block.layers[0].trainable = False
    frozen = layers.BatchNormalization(trainable=False)
    return keras.Sequential([keras.Input((4,)), block, frozen, layers.Dense(3, trainable=False), layers.Dense(2)])


def recurrent():
    import keras
    from keras import layers

    both = layers.Bidirectional(layers.LSTM(4, return_sequences=True))
    return keras.Sequential([keras.Input((5, 3)), both, layers.GRU(3), layers.PReLU()])


def two_inputs_shared_layer():
    import keras
    from keras import layers

    left, right, shared = keras.Input((4,), name="left"), keras.Input((4,), name="right"), layers.Dense(3)
    return keras.Model({"left": left, "right": right}, layers.Dot(1)([shared(left), shared(right)]))


def adapted_statistics():
    import keras
    from keras import layers

    scale = layers.Normalization()
    scale.adapt(SAMPLES)
    return keras.Sequential([keras.Input((4,)), scale, layers.Dropout(0.5), layers.Dense(2, dtype="float16")])


@pytest.mark.parametrize("build", [frozen_in_part, recurrent, two_inputs_shared_layer, adapted_statistics])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_the_proof_raises_no_false_alarm(tmp_path, build, suffix):
    model = randomised(build())
    model.save(tmp_path / f"model{suffix}")
    loaded = load.keras_model(f"model{suffix}", tmp_path)
    assert load.inspect(tmp_path / f"model{suffix}").parameters == loaded.count_params()


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_changed_weight_is_told_from_the_stored_one(saved, name):
    model = load.keras_model(name, saved)
    kernel = model.get_layer("right").kernel
    changed = kernel.numpy().copy()
    changed[1, 2] = np.nextafter(changed[1, 2], np.float32(9))
    kernel.assign(changed)
    with pytest.raises(CorruptInputError, match="right/kernel"):
        load.proof.prove_weights(model, load.stored_model(saved / name))


def test_weights_only_is_corrupt_and_says_what_lacks(saved):
    with pytest.raises(CorruptInputError, match="weights only"):
        load.keras_model("only.weights.h5", saved)


def test_reordered_layer_names_are_not_loaded_into_the_wrong_layers(saved, tmp_path):
    def swap(file):
        names = [str(name) for name in file["model_weights"].attrs["layer_names"]]
        left, right = names.index("left"), names.index("right")
        names[left], names[right] = names[right], names[left]
        file["model_weights"].attrs["layer_names"] = names

    with pytest.raises(CorruptInputError, match="layer_names of the file is reordered: 'right'"):
        load.keras_model(changed_h5(saved, tmp_path, swap))


def test_layer_names_reordered_between_different_shapes_are_corrupt(saved, tmp_path):
    def reverse(file):
        file["model_weights"].attrs["layer_names"] = list(file["model_weights"].attrs["layer_names"])[::-1]

    with pytest.raises(CorruptInputError, match="layer_names of the file is reordered"):
        load.keras_model(changed_h5(saved, tmp_path, reverse))


def test_reordered_weight_names_are_corrupt(saved, tmp_path):
    def swap(file):
        names = list(file["model_weights/norm"].attrs["weight_names"])
        file["model_weights/norm"].attrs["weight_names"] = [names[1], names[0], *names[2:]]

    with pytest.raises(CorruptInputError, match="weight_names of layer 'norm' is reordered: beta, gamma"):
        load.keras_model(changed_h5(saved, tmp_path, swap))


def remove_listed_group(file):
    del file["model_weights/right"]


def remove_layer(file):
    remove_listed_group(file)
    names = [name for name in file["model_weights"].attrs["layer_names"] if name != "right"]
    file["model_weights"].attrs["layer_names"] = names


def remove_weight(file):
    del file["model_weights/right/right/kernel"]


def reshape_weight(file):
    remove_weight(file)
    file["model_weights/right/right/kernel"] = np.zeros((4, 3), "float32")


def remove_all(file):
    del file["model_weights"]


@pytest.mark.parametrize("change", [remove_listed_group, remove_layer, remove_weight, reshape_weight, remove_all])
def test_an_h5_that_lacks_what_its_config_describes_is_corrupt(saved, tmp_path, change):
    with pytest.raises(CorruptInputError):
        load.keras_model(changed_h5(saved, tmp_path, change))


@pytest.mark.parametrize("group", ["layers/dense_1", "layers/sequential", "layers/dense/vars/0"])
def test_a_zip_that_lacks_what_its_config_describes_is_corrupt(saved, tmp_path, group):
    def remove(file):
        del file[group]

    with pytest.raises(CorruptInputError):
        load.keras_model(changed_zip(saved, tmp_path, change_weights=remove))


def test_a_container_that_keras_skips_is_corrupt_and_never_random(tmp_path):
    import keras
    from keras import layers

    @keras.saving.register_keras_serializable("torchgraft_tests")
    class Nested(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.blocks = {"first": [layers.Dense(3)], "second": [layers.Dense(3)]}

        def call(self, x):
            return self.blocks["first"][0](x) + self.blocks["second"][0](x)

        def get_config(self):
            return {}

    model = Nested()
    model(SAMPLES)
    model.save(tmp_path / "model.keras")
    stored = load.stored_model(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    load.proof.prove_weights(loaded, stored)
    fresh = Nested()
    fresh(SAMPLES)
    with pytest.raises(CorruptInputError, match="is not the array 'blocks/container"):
        load.proof.prove_weights(fresh, stored)


def test_keras_own_warning_of_a_skipped_container_ends_the_load(saved, monkeypatch):
    import keras

    def load_and_warn(path, **options):
        warnings.warn("Skipping nested container at 'blocks/container': no matching group found", stacklevel=1)
        return load_model(path, **options)

    load_model = keras.saving.load_model
    monkeypatch.setattr(keras.saving, "load_model", load_and_warn)
    with pytest.raises(CorruptInputError, match="blocks/container"):
        load.keras_model("model.keras", saved)


def test_a_lambda_is_refused_with_the_path_of_its_layer(saved, tmp_path):
    def insert(config):
        layer = next(one for one in config["config"]["layers"] if one["config"]["name"] == "encoder")
        layer["config"]["layers"].append(
            {"class_name": "Lambda", "module": "keras.layers", "config": {"name": "trick", "trainable": True}}
        )

    with pytest.raises(RefusedError, match="'encoder/trick'"):
        load.keras_model(changed_zip(saved, tmp_path, change_config=insert))


def test_a_config_never_makes_torchgraft_import_a_module(saved, tmp_path, monkeypatch):
    marker = tmp_path / "imported"
    (tmp_path / "hostile_module.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(tmp_path)

    def rename(config):
        config["config"]["layers"][1].update(module="hostile_module", class_name="Layer", registered_name="Layer")

    with pytest.raises(RefusedError, match="hostile_module"):
        load.keras_model(changed_zip(saved, tmp_path, change_config=rename))
    assert not marker.exists()


def test_an_unknown_class_is_unsupported_and_names_it(saved, tmp_path):
    def rename(file):
        file.attrs["model_config"] = file.attrs["model_config"].replace('"BatchNormalization"', '"MyNorm"')

    with pytest.raises(UnsupportedError, match="MyNorm"):
        load.keras_model(changed_h5(saved, tmp_path, rename))


def test_a_factory_gives_the_model_that_it_builds(saved, tmp_path):
    (tmp_path / "build.py").write_text(
        "import keras\n"
        f"def model():\n    return keras.saving.load_model({str(saved / 'model.keras')!r})\n"
        "def unbuilt():\n    return keras.Sequential([keras.layers.Dense(2)])\n"
        "def nothing():\n    return None\n"
        "def broken():\n    return 1 / 0\n"
    )
    assert load.keras_model("build.py:model", tmp_path).name == "small"
    for function, message in [("unbuilt", "not built"), ("nothing", "not a keras.Model"), ("broken", r"build\.py:9")]:
        with pytest.raises(UsageError, match=message):
            load.keras_model(f"build.py:{function}", tmp_path)
    with pytest.raises(UsageError, match="did you mean 'model'"):
        load.keras_model("build.py:modle", tmp_path)
