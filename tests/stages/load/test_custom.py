"""FAULTS rows 1 to 6: code comes into the process where the job names it, and from nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from torchgraft.stages import load
from torchgraft.stages.errors import RefusedError, UnsupportedError, UsageError

# Saves one model a kind; run apart, so that what it registers is not known to the tests' own process.
SAVES = """
import keras, sys
from keras import layers
import net

def save(name, layer):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="fc"), layer])
    model.save(f"{name}.keras")
    model.save(f"{name}.h5")

save("plain", net.Twice(name="mine"))
save("registered", net.Thrice(name="mine"))
save("function", layers.Dense(3, activation=net.bent, name="mine"))
save("code", layers.Lambda(lambda x: x * 2.0, name="mine"))
save("symbol", layers.Lambda(keras.config.set_floatx, name="mine", output_shape=(4,)))
save("tfsm", layers.Activation("relu", name="mine"))
"""
NET = """
import keras

class Twice(keras.layers.Layer):
    def call(self, x):
        return x * 2.0

@keras.saving.register_keras_serializable("mine")
class Thrice(keras.layers.Layer):
    def call(self, x):
        return x * 3.0

@keras.saving.register_keras_serializable("mine")
def bent(x):
    return keras.ops.relu(x) - 0.25 * x

NUMBER = 3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("custom")
    (folder / "net.py").write_text(NET)
    # A function of a Lambda is not called while it is saved with Keras' own serialisation: the config is what counts.
    program = SAVES.replace('save("symbol"', '# save("symbol"')
    subprocess.run([sys.executable, "-c", program], check=True, cwd=folder, capture_output=True)
    return folder


CUSTOM = {
    "plain": {"Twice": "net.py:Twice"},
    "registered": {"Thrice": "net.py:Thrice"},
    "function": {"bent": "net.py:bent"},
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", list(CUSTOM))
def test_a_class_or_function_that_the_job_names_is_used(folder, name, suffix):
    source = load.ModelSource(path=f"{name}{suffix}", custom_objects=CUSTOM[name])
    layer = load.load_model(source, folder).model.get_layer("mine")
    used = layer.activation if name == "function" else type(layer)
    assert used.__module__.startswith("torchgraft_user_net")


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", list(CUSTOM))
def test_rows_5_and_6_what_the_job_does_not_name_is_not_used_although_another_job_has_registered_it(
    folder, name, suffix
):
    source = load.ModelSource(path=f"{name}{suffix}", custom_objects=CUSTOM[name])
    load.load_model(source, folder)
    with pytest.raises((RefusedError, UnsupportedError), match=r"custom_objects: \{") as raised:
        load.load_model(load.ModelSource(path=f"{name}{suffix}"), folder)
    if name != "plain" or suffix == ".keras":  # a legacy .h5 says of an unregistered class no more than its name
        assert raised.value.exit_code == 3


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_rows_1_and_4_a_lambda_runs_where_the_job_trusts_it_and_nowhere_after_it(folder, suffix):
    trusted = load.ModelSource(path=f"code{suffix}", trust=True)
    model = load.load_model(trusted, folder).model
    assert float(model.get_layer("mine").function(2.0)) == 4.0
    with pytest.raises(RefusedError, match=r"'mine' \(Lambda\)[\s\S]*trust: true"):
        load.load_model(load.ModelSource(path=f"code{suffix}"), folder)


@pytest.mark.parametrize("symbol", ["keras.config.set_floatx", "keras.layers.TFSMLayer", "keras.utils.get_file"])
def test_rows_2_and_3_a_lambda_of_a_keras_symbol_is_refused_before_tensorflow_is_imported(folder, symbol, tmp_path):
    from .test_model import changed_zip

    module, _, name = symbol.rpartition(".")
    function = {"module": module, "class_name": "function", "config": name, "registered_name": name}

    def change(config):
        config["config"]["layers"].append(
            {
                "module": "keras.layers",
                "class_name": "Lambda",
                "config": {"name": "trick", "trainable": True, "function": function},
            }
        )

    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "model.keras").write_bytes((folder / "plain.keras").read_bytes())
    path = changed_zip(tmp_path / "from", tmp_path, change_config=change)
    program = (
        "import sys\nfrom torchgraft.stages import load\nfrom torchgraft.stages.errors import RefusedError\n"
        f"try:\n    load.keras_model({str(path)!r})\nexcept RefusedError as error:\n    print(error)\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert "'trick' (Lambda)" in done.stdout


@pytest.mark.parametrize("module", ["os", "subprocess", "hostile_package.layers", "keras_evil"])
def test_row_6_a_module_that_the_file_names_is_never_imported(folder, tmp_path, module):
    from .test_model import changed_zip

    def change(config):
        config["config"]["layers"][1].update(module=module, class_name="system", registered_name="system")

    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "model.keras").write_bytes((folder / "plain.keras").read_bytes())
    with pytest.raises(RefusedError, match=module):
        load.keras_model(changed_zip(tmp_path / "from", tmp_path, change_config=change))


@pytest.mark.parametrize(
    ("target", "message"),
    [("net.py:Absent", "no 'Absent'"), ("gone.py:Twice", "no such file"), ("net.py:NUMBER", "is a int")],
)
def test_a_wrong_custom_object_is_a_usage_error(folder, target, message):
    with pytest.raises(UsageError, match=message):
        load.load_model(load.ModelSource(path="plain.keras", custom_objects={"Twice": target}), folder)


def test_inspect_says_what_would_be_refused(folder):
    assert "Lambda" in json.dumps(load.inspect("code.keras", folder).refusals)
    assert "mine>Thrice" in json.dumps(load.inspect("registered.h5", folder).refusals)
