"""``torchgraft init``: what it writes works as it is, and each of its comments is an option."""

from __future__ import annotations

import re

import pytest
from torchgraft.pipeline.config import JobOptions
from torchgraft.pipeline.config_docs import options
from torchgraft.pipeline.config_file import read_config
from torchgraft.pipeline.template import template, write_template
from torchgraft.stages.errors import ResourceError, UsageError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The working directory, with a model and a module: nothing of them is opened."""
    monkeypatch.chdir(tmp_path)
    for name in ("models/lenet 5.keras", 'my nets/"net".py', "a.keras"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"never opened")


def test_it_reads_as_what_was_asked_for(tmp_path):
    path = tmp_path / "job.yaml"
    assert write_template("models/lenet 5.keras", 'my nets/"net".py:LeNet5', path) == ""
    expected = {"model": "models/lenet 5.keras", "target": 'my nets/"net".py:LeNet5'}
    assert read_config(path).options == JobOptions.model_validate(expected)


@pytest.mark.parametrize("group", ["tolerance", "limits", "seed", "onnx", "probe_samples"])
def test_a_group_without_its_comment_signs_says_its_defaults(tmp_path, group):
    lines = template("a.keras", "b.py:C").splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith(f"# {group}:"))
    for index, line in enumerate(lines):
        if index == start or (index > start and line.startswith("#   ")):
            lines[index] = line.removeprefix("# ")
        elif index > start:
            break
    path = tmp_path / "job.yaml"
    path.write_text("\n".join(lines))
    assert getattr(read_config(path).options, group) == JobOptions.model_fields[group].get_default(
        call_default_factory=True
    )


def test_every_option_is_in_it():
    named = re.findall(r"^# *(\w+):", template("a.keras", "b.py:C"), re.MULTILINE)
    assert named == [option.path.rpartition(".")[2] for option in options()]


def test_a_file_that_is_there_is_kept(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        write_template("a.keras", "b.py:C", path)
    assert path.read_text() == "mine"


def test_a_folder_that_is_missing_is_told(tmp_path):
    with pytest.raises(ResourceError, match="cannot be written"):
        write_template("a.keras", "b.py:C", tmp_path / "nowhere" / "job.yaml")


@pytest.mark.parametrize(("model", "target"), [("", "b.py:C"), ("a.keras", "net"), ("a.keras", "b.py:")])
def test_what_no_config_takes_is_refused(tmp_path, model, target):
    with pytest.raises(UsageError):
        write_template(model, target, tmp_path / "job.yaml")
    assert not (tmp_path / "job.yaml").exists()


def test_paths_are_relative_to_the_config(tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "jobs" / "deep")
    (tmp_path / "jobs" / "deep").mkdir()
    for folder in ("jobs", "link"):
        path = tmp_path / folder / "job.yaml"
        write_template("models/lenet 5.keras", './my nets/"net".py:LeNet5', path)
        config = read_config(path)
        assert [file.relative_to(tmp_path.resolve()).as_posix() for file in config.input_files()] == [
            "models/lenet 5.keras",
            'my nets/"net".py',
        ]
        assert all(file.is_file() for file in config.input_files())


def test_absolute_paths_and_installed_modules_stay(tmp_path):
    (tmp_path / "jobs").mkdir()
    path = tmp_path / "jobs" / "job.yaml"
    write_template(str(tmp_path / "a.keras"), "torchvision.models:resnet18", path)
    options = read_config(path).options
    assert options.model.path == str(tmp_path / "a.keras")
    assert options.target.object == "torchvision.models:resnet18"


@pytest.mark.parametrize("model", ["b.keras", "b.py:build"])
def test_a_model_that_is_missing_is_told_and_nothing_is_written(tmp_path, model):
    with pytest.raises(UsageError, match="MODEL file cannot be found") as caught:
        write_template(model, "b.py:C", tmp_path / "job.yaml")
    assert caught.value.where == str(tmp_path / model.removesuffix(":build"))
    assert not (tmp_path / "job.yaml").exists()


def test_a_module_that_is_missing_is_told_and_the_config_written(tmp_path):
    assert "b.py does not exist yet" in write_template("a.keras", "b.py:C", tmp_path / "job.yaml")
    assert read_config(tmp_path / "job.yaml").options.target.object == "b.py:C"
