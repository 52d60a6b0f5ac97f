"""A SavedModel: FAULTS row 13, Keras 2's metadata, plain signatures; what it computes stays the same."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from torchgraft.stages import load
from torchgraft.stages.errors import CorruptInputError, RefusedError, UnsupportedError, UsageError
from torchgraft.stages.load import saved_model, saved_model_file

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2, 6, 6, 2)).astype("float32")


def plain(folder):
    """A tf.Module: a function within a function, two outputs, a constant that is no variable."""
    import tensorflow as tf

    module = tf.Module()
    module.kernel = tf.Variable(RNG.normal(size=(3, 3, 2, 5)).astype("float32"), name="conv/kernel")
    module.bias = tf.Variable(RNG.normal(size=5).astype("float32"), name="conv/bias")
    module.head = tf.Variable(RNG.normal(size=(5, 4)).astype("float32"), name="head/kernel")
    scale = tf.constant(RNG.normal(size=5).astype("float32"))
    inner = tf.function(lambda x: tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, module.kernel, 1, "SAME"), module.bias)))

    def call(image):
        features = inner(image) * scale
        return {"logits": tf.matmul(tf.reduce_mean(features, [1, 2]), module.head), "features": features}

    function = tf.function(call, input_signature=[tf.TensorSpec([None, 6, 6, 2], tf.float32, name="image")])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": function, "again": function})
    return function


def exported(folder):
    """What Keras 3's ``model.export`` writes."""
    import keras

    model = keras.Sequential([keras.Input((6, 6, 2)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()])
    model.export(str(folder), verbose=False)
    return model


def of_keras_2(folder):
    tk = pytest.importorskip("tf_keras")
    layers = tk.layers
    model = tk.Sequential(
        [layers.Input((6, 6, 2)), layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization()]
    )
    model.set_weights([RNG.uniform(0.1, 0.5, weight.shape) for weight in model.get_weights()])
    model.save(folder, save_format="tf")
    return model


def trusted(folder, **options):
    return load.load_model(load.ModelSource(path=folder.name, trust=True, **options), folder.parent)


def same(ours, theirs) -> None:
    """The same kernels in another program: zero tolerance where the function is run as it is."""
    ours, theirs = ours(IMAGES), theirs(IMAGES)
    assert type(ours) is type(theirs) or not isinstance(theirs, dict)
    for key in theirs if isinstance(theirs, dict) else [None]:
        a, b = (ours, theirs) if key is None else (ours[key], theirs[key])
        a = next(iter(a.values())) if isinstance(a, dict) else a
        assert np.abs(np.asarray(a) - np.asarray(b)).max() < 1e-6


@pytest.mark.parametrize("write", [plain, exported, of_keras_2])
def test_a_trusted_saved_model_computes_what_it_did(tmp_path, write):
    theirs = write(tmp_path / "model")
    loaded = trusted(tmp_path / "model")
    same(loaded.model, theirs)
    assert loaded.notes[0].startswith("SavedModel")
    if write is of_keras_2:
        names = [layer.name for layer in theirs.layers]
        assert [layer.name for layer in loaded.model.layers if layer.weights] == names


def test_a_signature_is_done_again_on_variables_that_may_change(tmp_path):
    """Its graph reads the Keras variables, not the SavedModel's own: what is exported depends on the weights."""
    import keras
    import tensorflow as tf

    plain(tmp_path / "model")
    model = trusted(tmp_path / "model").model
    names = sorted(weight.path.rpartition("/")[2] for weight in model.weights)
    assert names == ["conv.bias", "conv.kernel", "head.kernel"]

    def symbolically(scale):
        mapping = [(weight, weight.value * scale) for weight in model.weights]

        def run(x):
            with keras.StatelessScope(state_mapping=mapping):
                return model(x)["logits"]

        return tf.function(run)(tf.constant(IMAGES)).numpy()

    original = model(IMAGES)["logits"].numpy()
    assert np.abs(symbolically(1.0) - original).max() < 1e-5 * np.abs(original).max()
    # relu(2a) · 2b is 4 · relu(a) · b
    assert np.abs(symbolically(2.0) - 4 * original).max() < 1e-5 * np.abs(4 * original).max()


def test_another_signature_is_named_in_the_config(tmp_path):
    theirs = plain(tmp_path / "model")
    same(trusted(tmp_path / "model", signature="again").model, theirs)
    with pytest.raises(UsageError, match=r"no signature 'missing'; there are again, serving_default\n"):
        trusted(tmp_path / "model", signature="missing")


def test_a_signature_that_keras_2_has_not_written_is_not_passed_over(tmp_path):
    of_keras_2(tmp_path / "model")
    with pytest.raises(UsageError, match="no signature 'missing'; there are serving_default"):
        trusted(tmp_path / "model", signature="missing")


@pytest.mark.parametrize("write", [exported, of_keras_2])
def test_variables_that_are_cut_off_are_corrupt(tmp_path, write):
    write(tmp_path / "model")
    data = tmp_path / "model/variables/variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(CorruptInputError, match="file of the variables is truncated or damaged"):
        trusted(tmp_path / "model")


def test_row_13_a_saved_model_that_the_job_does_not_trust_is_refused_before_tensorflow_is_imported(tmp_path):
    plain(tmp_path / "model")
    program = (
        "import sys\nfrom torchgraft.stages import load\nfrom torchgraft.stages.errors import RefusedError\n"
        f"try:\n    load.keras_model({str(tmp_path / 'model')!r})\nexcept RefusedError as error:\n    print(error)\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert "trust: true" in done.stdout


@pytest.mark.parametrize("operation", ["WriteFile", "ReadFile"])
@pytest.mark.parametrize("trust", [False, True])
def test_row_13_a_saved_model_that_reaches_out_of_its_graph_is_refused_trusted_or_not(tmp_path, operation, trust):
    import tensorflow as tf

    marker = tmp_path / "marker"
    module = tf.Module()

    def call(x):
        if operation == "WriteFile":
            tf.io.write_file(str(marker), "here")
        else:
            tf.io.read_file(str(tmp_path / "secret"))
        return x + 1.0

    function = tf.function(call, input_signature=[tf.TensorSpec([None, 2], tf.float32)])
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=function)
    assert not marker.exists()
    with pytest.raises(RefusedError, match=operation):
        load.load_model(load.ModelSource(path="model", trust=trust), tmp_path)
    assert not marker.exists()


def test_row_13_an_unknown_operation_is_named(tmp_path):
    plain(tmp_path / "model")
    graph = tmp_path / "model" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes().replace(b"\x12\x04Relu", b"\x12\x04Rexu"))
    with pytest.raises(RefusedError, match="whose graph runs"):
        load.load_model(load.ModelSource(path="model"), tmp_path)
    with pytest.raises(UnsupportedError, match="Rexu"):
        trusted(tmp_path / "model")


def test_control_flow_is_refused_by_name_before_anything_is_converted(tmp_path):
    import tensorflow as tf

    module = tf.Module()
    signature = [tf.TensorSpec([None, 2], tf.float32)]
    function = tf.function(lambda x: tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 2.0), (0, x))[1])
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=function.get_concrete_function(*signature))
    with pytest.raises(UnsupportedError, match=r"control flow \((Stateless)?While\)"):
        trusted(tmp_path / "model")


@pytest.mark.parametrize("damage", ["truncated", "no_variables", "flipped"])
def test_a_damaged_saved_model_is_corrupt(tmp_path, damage):
    plain(tmp_path / "model")
    graph = tmp_path / "model" / "saved_model.pb"
    if damage == "truncated":
        graph.write_bytes(graph.read_bytes()[:-100])
    elif damage == "no_variables":
        (tmp_path / "model" / "variables" / "variables.index").unlink()
    else:
        data = next((tmp_path / "model" / "variables").glob("variables.data*"))
        content = bytearray(data.read_bytes())
        content[40] ^= 1
        data.write_bytes(content)
    with pytest.raises((CorruptInputError, UnsupportedError)):
        trusted(tmp_path / "model")


def test_a_variable_that_is_not_what_the_checkpoint_holds_is_corrupt(tmp_path):
    import tensorflow as tf

    plain(tmp_path / "model")
    described = saved_model_file.saved_model_file(tmp_path / "model")
    holder = tf.saved_model.load(str(tmp_path / "model"))  # the variables live as long as it does
    variables = holder.signatures["serving_default"].variables
    saved_model._prove_variables(variables, described)
    variables[0].assign(variables[0] + 1e-6)
    with pytest.raises(CorruptInputError, match="is not what the checkpoint holds"):
        saved_model._prove_variables(variables, described)


def test_the_hash_of_a_folder_is_that_of_all_its_files(tmp_path):
    plain(tmp_path / "model")
    right = load.gate.sha256_of(tmp_path / "model")
    trusted(tmp_path / "model", sha256=right)
    (tmp_path / "model" / "assets").mkdir(exist_ok=True)
    (tmp_path / "model" / "assets" / "words.txt").write_text("one")
    with pytest.raises(CorruptInputError, match="sha256"):
        trusted(tmp_path / "model", sha256=right)


def test_a_plain_saved_model_goes_onto_a_hand_written_module(tmp_path):
    """Through all six stages: its one layer has no inner ones to compare, its outputs are compared."""
    import torch
    import torchgraft
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(2, 5, 3, padding=1), nn.Linear(5, 4, bias=False)

        def forward(self, image):
            features = torch.relu(self.conv(image))
            return {"features": features, "logits": self.head(features.mean((2, 3)))}

    import tensorflow as tf

    module = tf.Module()
    module.kernel = tf.Variable(RNG.normal(size=(3, 3, 2, 5)).astype("float32"), name="conv/kernel")
    module.bias = tf.Variable(RNG.normal(size=5).astype("float32"), name="conv/bias")
    module.head = tf.Variable(RNG.normal(size=(5, 4)).astype("float32"), name="head/kernel")

    def call(image):
        features = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(image, module.kernel, 1, "SAME"), module.bias))
        return {"logits": tf.matmul(tf.reduce_mean(features, [1, 2]), module.head), "features": features}

    function = tf.function(call, input_signature=[tf.TensorSpec([None, 6, 6, 2], tf.float32, name="image")])
    tf.saved_model.save(module, str(tmp_path / "model"), signatures=function)
    source = torchgraft.ModelSource(path=str(tmp_path / "model"), trust=True)
    conversion = torchgraft.convert(source, Net())
    assert conversion.verified, conversion.findings
    weight = conversion.state_dict["conv.weight"].numpy()
    assert np.array_equal(weight, module.kernel.numpy().transpose(3, 2, 0, 1))
    assert "conv.kernel" in str(conversion.plan["conv.weight"])
