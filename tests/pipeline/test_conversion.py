"""``torchgraft.convert`` and what a Conversion offers."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from keras_models import conv_bn_pool_dense, inputs_for, randomised
from safetensors.torch import load_file
from torch import nn
from torchgraft import (
    Conversion,
    CorruptInputError,
    DifferenceError,
    MappingError,
    Plan,
    Tolerance,
    UsageError,
    convert,
)
from torchgraft.pipeline.chain import IMPORTED, SilentStages
from torchgraft.pipeline.summary import Summary, summary_of, text_of

# Sums of some hundred float32 products: 2**-24 times the root of their number, with room for three runtimes.
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


class Net(nn.Module):
    """Beside ``conv_bn_pool_dense``: 'same' with an even kernel, stride 2 and odd sizes pads as Keras pads (9, 11)."""

    def __init__(self, eps: float = 1e-3, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((1, 2, 1, 1))
        self.conv = nn.Conv2d(3, 4, (3, 4), stride=2)
        self.bn = nn.BatchNorm2d(4, eps=eps)
        self.act = activation()
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.fc = nn.Linear(4 * 3 * 3, 5)

    def forward(self, x):
        x = self.pool(self.act(self.bn(self.conv(self.pad(x)))))
        return self.fc(x.flatten(1))


ZEROS = np.zeros((2, 9, 11, 3), "float32")


@pytest.fixture(scope="module")
def model():
    return conv_bn_pool_dense()


@pytest.fixture(scope="module")
def images(model):
    return inputs_for(model, samples=5)["image"]


@pytest.fixture(scope="module")
def conversion(model, images) -> Conversion:
    return convert(model, Net(), inputs=images, labels=np.arange(5) % 5)


def test_the_state_dict_makes_the_module_compute_what_keras_computes(conversion, model, images):
    module = Net()
    module.load_state_dict(conversion.state_dict, strict=True)
    with torch.no_grad():
        ours = module.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    np.testing.assert_allclose(ours, np.asarray(model(images)), **CLOSE)
    assert conversion.verified, text_of(summary_of(conversion, "net"))


def test_another_weight_would_be_seen(conversion, model, images):
    module = Net()
    state = dict(conversion.state_dict)
    state["conv.weight"] = state["conv.weight"].flip(0)
    module.load_state_dict(state, strict=True)
    with torch.no_grad():
        ours = module.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    assert not np.allclose(ours, np.asarray(model(images)), **CLOSE)


def test_every_tensor_is_bit_equal_to_its_variable(conversion, model):
    kernel = np.asarray(next(v for v in model.weights if v.path == "conv/kernel"))
    np.testing.assert_array_equal(conversion.state_dict["conv.weight"].numpy(), kernel.transpose(3, 2, 0, 1))
    assert str(conversion.plan["conv.weight"]) == "conv/kernel · transpose(3, 2, 0, 1)"


def test_the_state_dict_stands_in_the_modules_order(conversion):
    assert list(conversion.state_dict) == list(Net().state_dict())


def test_the_state_dict_is_no_part_of_the_users_module(model, images):
    module = Net()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    convert(model, module, inputs=images)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert module.training


def test_accuracies_are_those_of_the_labels(conversion, model, images):
    predicted = np.asarray(model(images)).argmax(-1)
    expected = float(np.mean(predicted == np.arange(5)))
    assert len(conversion.comparison.accuracy) == 3
    assert all(share == pytest.approx(expected) for share in conversion.comparison.accuracy.values())


def test_every_stage_is_timed_and_told(model, images):
    told = []

    class Recorder(SilentStages):
        def started(self, stage, number, total):
            told.append((stage, number, total))

    conversion = convert(model, inputs=images, progress=Recorder())
    assert [stage for stage, _, _ in told] == list(conversion.timings)
    assert told[0] == ("export", 1, 6)
    assert told[-1] == ("compare", 6, 6)


def test_without_a_module_the_imported_one_is_the_target(model):
    conversion = convert(model, samples=3, seed=7)
    assert conversion.verified, text_of(summary_of(conversion, "imported"))
    assert conversion.job.module_source == IMPORTED
    assert len(next(iter(conversion.job.inputs.values()))) == 3
    conversion.imported.load_state_dict(conversion.state_dict, strict=True)


def test_a_module_that_departs_is_not_verified_and_is_not_saved(model, images, tmp_path):
    conversion = convert(model, Net(activation=nn.Tanh), inputs=images)
    assert not conversion.verified
    with pytest.raises(DifferenceError) as caught:
        conversion.save(tmp_path / "out")
    assert "NOT verified" in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    conversion.save(tmp_path / "out", allow_unverified=True)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["verified"] is False


def test_what_is_saved_reads_back(conversion, tmp_path):
    conversion.save(tmp_path / "out", onnx=True)
    for state in (
        load_file(tmp_path / "out" / "state_dict.safetensors"),
        torch.load(tmp_path / "out" / "state_dict.pt", weights_only=True),
    ):
        assert state.keys() == conversion.state_dict.keys()
        assert all(torch.equal(tensor, conversion.state_dict[key]) for key, tensor in state.items())
    assert Plan.load(tmp_path / "out" / "plan.json") == conversion.plan
    comparison = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert comparison["verified"] is True
    assert len(comparison["layers"]) == len(conversion.comparison.layers)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*manifest["outputs"], "manifest.json"}


def test_saving_again_gives_the_same_bytes(conversion, tmp_path):
    conversion.save(tmp_path / "a", onnx=True)
    conversion.save(tmp_path / "b", onnx=True)
    outputs = [json.loads((tmp_path / name / "manifest.json").read_text())["outputs"] for name in "ab"]
    names = {name for name in outputs[0] if outputs[0][name] != outputs[1][name]}
    assert names <= {"summary.txt"}, "only the name of the job may differ"


def test_the_onnx_file_computes_what_keras_computes(conversion, model, images, tmp_path):
    import onnxruntime

    conversion.write_onnx(tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (port,) = session.get_inputs()
    value = images.transpose(0, 3, 1, 2) if port.shape[1:] == [3, 9, 11] else images
    (ours,) = session.run(None, {port.name: np.ascontiguousarray(value)})
    np.testing.assert_allclose(ours, np.asarray(model(images)), **CLOSE)
    # The graph that was verified still takes its weights as inputs.
    from torchgraft.stages.base import NormalizedGraph

    graph = conversion.artifacts[NormalizedGraph]
    graph.check()
    assert len(graph.model.graph.inputs) == 1 + len(graph.weights)


def test_the_onnx_file_of_a_large_model_keeps_its_weights_beside_it(conversion, images, tmp_path, monkeypatch):
    import onnxruntime
    from torchgraft.stages import deliver

    monkeypatch.setattr(deliver, "EXTERNAL_DATA_BYTES", 100)
    conversion.write_onnx(tmp_path)
    assert (tmp_path / "model.onnx.data").stat().st_size > 100
    onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])


def test_a_summary_crosses_a_pipe(conversion):
    summary = summary_of(conversion, "net")
    assert Summary.from_json(json.loads(json.dumps(summary.to_json()))) == summary
    text = text_of(summary)
    for word in ("conv.weight", "conv/kernel", "transpose(3, 2, 0, 1)", "Keras", "ONNX Runtime", "PyTorch", "Accuracy"):
        assert word in text


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_row_39_a_weight_that_is_not_finite_is_named_with_its_index(bad):
    model = conv_bn_pool_dense()
    kernel = next(variable for variable in model.weights if variable.path == "dense/kernel")
    values = np.array(kernel)
    values[3, 2] = bad
    kernel.assign(values)
    with pytest.raises(DifferenceError) as caught:
        convert(model)
    assert "dense/kernel" in str(caught.value)
    assert "(3, 2)" in str(caught.value)
    assert "In stage export" in str(caught.value)


def test_a_failure_names_the_stage_and_those_before_it(model, images):
    with pytest.raises(MappingError) as caught:
        convert(model, nn.Linear(3, 4), inputs=images)
    assert "In stage extract" in str(caught.value)
    assert "export" in caught.value.details[-1].split("stages done:")[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"inputs": ZEROS, "labels": np.zeros(3, int)}, "3 labels for 2 samples"),
        ({"inputs": {"picture": ZEROS}}, "picture"),
        ({"inputs": np.zeros((2, 3, 9, 11), "float32")}, "(2, 3, 9, 11)"),
        ({"inputs": ZEROS.astype("float64")}, ".astype('float32')"),
        ({"inputs": ZEROS.tolist()}, "image: float32 (any, 9, 11, 3)"),
        ({"inputs": "images.npz"}, "received str 'images.npz'"),
        ({"inputs": {"image": torch.zeros(2, 9, 11, 3, requires_grad=True)}}, "requires grad"),
        ({"inputs": ZEROS[:0]}, "at least one"),
        ({"inputs": {}}, "received nothing"),
        ({"inputs": ZEROS, "labels": np.zeros(2)}, "received float64 (2,)"),
        ({"inputs": ZEROS, "labels": np.eye(2, dtype=int)}, "argmax"),
        ({"inputs": ZEROS, "labels": [0, 1]}, "received list [0, 1]"),
        ({"samples": 0}, "samples: received 0"),
        ({"samples": 2.0}, "samples: received 2.0"),
        ({"probe_samples": 0}, "probe_samples: received 0"),
        ({"seed": -1}, "seed: received -1"),
        ({"tolerance": 1e-3}, "give torchgraft.Tolerance(atol=…, rtol=…)"),
        ({"tolerance": Tolerance(atol=-1.0)}, "atol is -1.0"),
        ({"tolerance": Tolerance(rtol=float("nan"))}, "rtol is nan"),
        ({"module": "nowhere.py:Net"}, "nowhere.py"),
        ({"module": Net}, "received the class Net\nTo fix it: build it: Net(…)"),
        ({"module": 3}, "module: received int 3"),
    ],
)
def test_wrong_arguments_are_usage_errors(model, arguments, words):
    with pytest.raises(UsageError) as caught:
        convert(model, **arguments)
    assert words in str(caught.value)


def test_what_is_no_keras_model_is_a_usage_error():
    with pytest.raises(UsageError, match="received Linear"):
        convert(nn.Linear(2, 3))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_input_that_is_not_finite_is_named_with_its_index(model, bad):
    images = ZEROS.copy()
    images[1, 2, 3, 0] = bad
    with pytest.raises(DifferenceError, match=r"input 'image': (nan|inf) at index \(1, 2, 3, 0\)"):
        convert(model, inputs=images)


def test_files_are_read_from_paths(tmp_path, model):
    model.save(tmp_path / "model.keras")
    conversion = convert(tmp_path / "model.keras", samples=2)
    assert conversion.verified
    (tmp_path / "empty.keras").write_bytes(b"")
    with pytest.raises(CorruptInputError):
        convert(tmp_path / "empty.keras")


def test_the_tolerance_is_the_users(model, images):
    with pytest.raises(DifferenceError, match="0 is allowed"):
        convert(model, Net(), inputs=images, tolerance=Tolerance(atol=0.0, rtol=0.0))


def test_two_inputs_need_their_names():
    import keras
    from keras import layers

    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    model = randomised(keras.Model([left, right], layers.Dense(2)(layers.Add()([left, right]))))
    with pytest.raises(UsageError, match="left, right"):
        convert(model, inputs=np.zeros((2, 4), "float32"))
    assert convert(model, inputs=inputs_for(model)).verified


def test_a_subclassed_model_that_was_never_called_is_converted(tmp_path):
    import keras
    from keras import layers

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.hidden = layers.Dense(5, activation="tanh")
            self.head = layers.Dense(3)

        def call(self, inputs):
            return self.head(self.hidden(inputs))

    array = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    module = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    conversion = convert(Subclassed(), module, inputs=array)
    assert conversion.verified, text_of(summary_of(conversion, "subclassed"))
    assert conversion.state_dict["2.weight"].shape == (3, 5)


def test_tied_keys_are_one_tensor(tmp_path):
    import keras
    from keras import layers

    shared = layers.Dense(4, name="shared")
    entry = keras.Input((4,), name="x")
    model = randomised(keras.Model(entry, shared(layers.ReLU()(shared(entry)))))

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(4, 4)
            self.second = nn.Linear(4, 4)
            self.second.weight, self.second.bias = self.first.weight, self.first.bias

        def forward(self, x):
            return self.second(self.first(x).relu())

    conversion = convert(model, Tied())
    assert conversion.verified, text_of(summary_of(conversion, "tied"))
    state = conversion.state_dict
    assert state["first.weight"] is state["second.weight"]
    conversion.save(tmp_path / "out")
    module = Tied()
    module.load_state_dict(load_file(tmp_path / "out" / "state_dict.safetensors"), strict=True)
    assert module.first.weight is module.second.weight
