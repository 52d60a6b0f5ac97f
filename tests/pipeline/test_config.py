"""What a config may say, and what is said where it is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torchgraft.pipeline.config import JobOptions
from torchgraft.pipeline.config_docs import option_table, options
from torchgraft.pipeline.config_file import read_config
from torchgraft.stages.base import Tolerance
from torchgraft.stages.errors import UsageError

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path):
    """Writes a config and reads it."""

    def read(text: str):
        path = tmp_path / "job.yaml"
        path.write_text(text, encoding="utf-8")
        return read_config(path)

    return read


def refused(config, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        config(text)
    return str(caught.value)


def test_a_model_alone_is_enough(config, tmp_path):
    job = config("model: lenet.keras\n")
    assert job.options.model.path == "lenet.keras"
    assert job.options.target is None
    assert job.options.inputs.generate is not None
    assert job.name == "job"
    assert job.folder == tmp_path / "runs" / "job"


def test_texts_stand_for_their_groups(config):
    options = config(
        "model: train.py:model\ntarget: net.py:LeNet5\ninputs: x.npz\nlabels: train.py:labels\noutput: out\n"
    ).options
    assert options.model.factory == "train.py:model"
    assert options.target.object == "net.py:LeNet5"
    assert options.inputs.file == "x.npz"
    assert options.labels.factory == "train.py:labels"
    assert options.output.folder == "out"


def test_keyword_arguments_keep_their_types(config):
    text = "{a: 1, b: 1.5, c: true, d: null, e: [1, x], f: {g: 2e-3}}"
    options = config(f"model: a.keras\ntarget: {{object: net.py:Net, kwargs: {text}}}\n").options
    assert options.target.kwargs == {"a": 1, "b": 1.5, "c": True, "d": None, "e": [1, "x"], "f": {"g": 0.002}}
    again = JobOptions.model_validate(json.loads(json.dumps(options.model_dump(mode="json"))))
    assert again == options


def test_paths_are_relative_to_the_config(config, tmp_path):
    job = config("model: a/lenet.keras\ntarget: nets/net.py:Net\ninputs: x.npy\nlabels: train.py:labels\n")
    assert job.input_files() == [tmp_path / name for name in ("a/lenet.keras", "x.npy", "train.py", "nets/net.py")]


def test_the_job_in_config_yaml_is_called_after_its_folder(tmp_path):
    path = tmp_path / "lenet" / "config.yaml"
    path.parent.mkdir()
    path.write_text("model: lenet.keras\n")
    assert read_config(path).name == "lenet"


def test_default_tolerances_are_left_to_the_stages_and_told_for_float32(config):
    tolerance = config("model: a.keras\n").options.tolerance
    assert (tolerance.atol, tolerance.rtol) == (None, None)
    told = {option.path: option.meaning for option in options()}
    assert f"{Tolerance.atol:g} for float32" in told["tolerance.atol"]
    assert f"{Tolerance.rtol:g} for float32" in told["tolerance.rtol"]


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "0.001", "1.0e-3", "+1e-3"])
def test_every_way_to_write_a_number_is_that_number(config, text):
    assert config(f"model: a.keras\ntolerance: {{atol: {text}}}\n").options.tolerance.atol == 0.001


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("model: a.keras\ntolerence: {atol: 1}\n", 2, ["unknown option tolerence", "tolerance"]),
        ("model: a.keras\ninputs:\n  generate:\n    sample: 3\n", 4, ["inputs.generate.sample", "samples"]),
        ("model: a.keras\ntarget:\n  object: net.py:Net\n  kwarg: {}\n", 4, ["target.kwarg", "kwargs"]),
        ("model: a.keras\nprobe_samples: many\n", 2, ["probe_samples", "'many'"]),
        ("model: a.keras\nprobe_samples: 0\n", 2, ["probe_samples", "0"]),
        ("model: a.keras\nonnx: 1\n", 2, ["onnx", "1"]),
        ("model: a.keras\ntolerance:\n  rtol: '1e-3'\n", 3, ["rtol", "without quotes"]),
        ("model: a.keras\ntarget: net\n", 2, ["target.object", "'net'", "file.py:Class"]),
        ("model:\n  path: a.keras\n  factory: b.py:c\n", 1, ["exactly one of path, factory"]),
        ("model: a.keras\ninputs: {}\n", 2, ["exactly one of file, factory, generate"]),
        ("model: a.keras\ninputs:\n  generate: {range: [1, 0]}\n", 3, ["from 1 to 0"]),
        ("model: a.keras\nname: ../other\n", 2, ["name", "../other"]),
        ("model: a.keras\nlimits: {seconds: 0}\n", 2, ["limits.seconds"]),
        ("model: a.keras\ntarget:\n  object: net.py:Net\n  kwargs: {since: 2024-01-01}\n", 4, ["kwargs.since", "JSON"]),
        ("target: net.py:Net\n", 1, ["model is missing"]),
        ("model: 3\n", 1, ["model should be a mapping"]),
    ],
)
def test_a_wrong_option_is_named_with_its_line(config, text, line, words):
    message = refused(config, text)
    assert f"job.yaml:{line}:" in message
    for word in words:
        assert word in message


def test_all_faults_are_told_at_once(config):
    message = refused(config, "model: a.keras\nseed: -1\nonnx: maybe\nsede: 3\n")
    for line in ("job.yaml:2:", "job.yaml:3:", "job.yaml:4:"):
        assert line in message


def test_the_schema_describes_every_option():
    text = json.dumps(JobOptions.model_json_schema())
    for option in options():
        assert option.meaning, option.path
        assert json.dumps(option.path.rpartition(".")[2]) in text


def test_the_readme_has_the_table_of_options():
    """Where it has not: replace the table by what this prints."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert option_table() in readme, "the table in README.md should be:\n" + option_table()
