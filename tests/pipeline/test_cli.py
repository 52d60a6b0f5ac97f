"""The command line, from outside: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from keras_models import conv_bn_pool_dense
from torchgraft.pipeline.batch import exit_code

NET = """
import numpy as np
from torch import nn


def labels():
    return np.arange(16) % 5


class Net(nn.Module):
    def __init__(self, classes=5, activation="ReLU"):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, (3, 4), stride=2)
        self.bn = nn.BatchNorm2d(4, eps=1e-3)
        self.act = getattr(nn, activation)()
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.fc = nn.Linear(36, classes)

    def forward(self, x):
        print("forward is called")
        x = nn.functional.pad(x, (1, 2, 1, 1))
        return self.fc(self.pool(self.act(self.bn(self.conv(x)))).flatten(1))
"""


def torchgraft(*arguments: str | Path, cwd: Path | str = "/") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torchgraft", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def events_of(done: subprocess.CompletedProcess[str]) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder with a model, a module and two configs: one that fits, one that departs."""
    folder = tmp_path_factory.mktemp("project")
    conv_bn_pool_dense().save(folder / "model.keras")
    (folder / "net.py").write_text(NET)
    (folder / "good.yaml").write_text("model: model.keras\ntarget: net.py:Net\nonnx: true\noutput: out\n")
    departed = "{object: net.py:Net, kwargs: {activation: Tanh}}"
    (folder / "bad.yaml").write_text(f"model: model.keras\ntarget: {departed}\nlabels: net.py:labels\noutput: bad\n")
    return folder


@pytest.fixture(scope="module")
def first_run(project) -> subprocess.CompletedProcess[str]:
    return torchgraft("run", "--json", project / "good.yaml")


def test_a_run_tells_its_stages_and_what_it_wrote(first_run, project):
    assert first_run.returncode == 0, first_run.stdout + first_run.stderr
    events = events_of(first_run)
    started = [event["stage"] for event in events if event["event"] == "started"]
    assert started == ["load", "export", "normalize", "verify", "import", "extract", "compare"]
    ended = events[-1]
    assert ended["event"] == "job_ended"
    assert ended["exit_code"] == 0
    assert set(ended["files"]) == set(content(project / "out"))


def test_what_the_module_prints_does_not_disturb_the_events(first_run):
    assert {"event": "printed", "line": "forward is called"} in events_of(first_run)


def test_the_manifest_tells_where_the_files_come_from(first_run, project):
    manifest = json.loads((project / "out" / "manifest.json").read_text())
    assert manifest["verified"] is True
    assert manifest["exit_status"] == 0
    assert {Path(path).name for path in manifest["inputs"]} == {"model.keras", "net.py"}
    assert set(manifest["outputs"]) == set(content(project / "out")) - {"manifest.json"}
    assert {"torch", "keras", "tensorflow", "onnxruntime"} <= set(manifest["versions"])
    assert set(manifest["stages"]) == {"load", "export", "normalize", "verify", "import", "extract", "compare"}
    # Keras and torch together are some hundred MB: a figure in another unit would show.
    assert 1e8 < manifest["peak_memory_bytes"] < 1e10


def test_a_rerun_does_no_work_and_says_so(first_run, project):
    before = content(project / "out")
    done = torchgraft("run", "--json", project / "good.yaml")
    assert done.returncode == 0
    assert [event["event"] for event in events_of(done)] == ["job_started", "job_ended"]
    assert events_of(done)[-1]["unchanged"] is True
    assert content(project / "out") == before
    assert "nothing has changed" in torchgraft("run", project / "good.yaml").stdout


@pytest.mark.parametrize("change", ["module", "model", "config", "output"])
def test_a_change_is_seen(first_run, project, tmp_path, change):
    """Seen without doing the work: only whether the earlier run would still stand is asked."""
    from torchgraft.pipeline import runner
    from torchgraft.pipeline.config_file import read_config
    from torchgraft.pipeline.run_dir import open_run_dir

    copy = tmp_path / "project"
    shutil.copytree(project, copy)
    manifest = json.loads((copy / "out" / "manifest.json").read_text())
    manifest["inputs"] = {path.replace(str(project), str(copy)): found for path, found in manifest["inputs"].items()}
    (copy / "out" / "manifest.json").write_text(json.dumps(manifest))

    def stands() -> bool:
        config = read_config(copy / "good.yaml")
        with open_run_dir(config.folder) as run_dir:
            return runner._earlier_run(run_dir, config) is not None

    assert stands()
    if change == "module":
        (copy / "net.py").write_text(NET + "# changed\n")
    elif change == "model":
        (copy / "model.keras").write_bytes((copy / "model.keras").read_bytes() + b"x")
    elif change == "config":
        (copy / "good.yaml").write_text((copy / "good.yaml").read_text() + "seed: 3\n")
    else:
        (copy / "out" / "plan.json").write_text("{}")
    assert not stands()


def test_a_module_that_departs_fails_alone_and_nothing_of_it_is_written(first_run, project):
    before = content(project / "out")
    done = torchgraft("run", project / "bad.yaml", project / "good.yaml")
    assert done.returncode == 1
    assert "nothing has changed" in done.stdout
    assert content(project / "out") == before
    assert not (project / "bad").exists()
    message = done.stderr[done.stderr.index("torchgraft: error") :]
    for word in ("Mapping", "conv/kernel", "Outputs", "NOT verified", "To fix it"):
        assert word in message
    assert "Traceback" not in done.stderr


def test_an_earlier_output_is_kept_byte_for_byte_when_the_next_run_differs(first_run, project, tmp_path):
    shutil.copytree(project / "out", tmp_path / "out")
    before = content(tmp_path / "out")
    done = torchgraft("run", "--json", project / "bad.yaml", "--output", tmp_path / "out")
    assert done.returncode == 7
    assert content(tmp_path / "out") == before
    ended = events_of(done)[-1]
    assert set(ended["accuracy"]) == {"keras", "onnxruntime", "torch"}
    assert any(finding.startswith("error: act") for finding in ended["findings"])


def test_the_exit_code_of_a_batch():
    assert exit_code([7]) == 7
    assert exit_code([0, 0]) == 0
    assert exit_code([0, 7, 4]) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["run", "nowhere.yaml"], 2, "does not exist"),
        (["run", "unknown.yaml"], 2, "nearest known one is target"),
        (["run", "good.yaml", "good.yaml"], 2, "is also that of"),
        (["run", "good.yaml", "--output", "/proc/torchgraft-test"], 8, "cannot be written"),
        (["inspect", "empty.keras"], 4, "empty"),
        (["inspect", "nowhere.keras"], 2, "cannot be found"),
        (["init", "model.keras", "net.py:Net", "--output", "good.yaml"], 2, "exists"),
        (["init", "model.keras", "net"], 2, "TARGET"),
        (["init", "nowhere.keras", "net.py:Net"], 2, "MODEL file cannot be found"),
        (["nothing"], 2, "nothing"),
    ],
)
def test_a_mistake_is_a_message_and_an_exit_code(project, arguments, status, words):
    (project / "unknown.yaml").write_text("model: model.keras\ntargett: net.py:Net\n")
    (project / "empty.keras").write_bytes(b"")
    done = torchgraft(*arguments, cwd=project)
    assert done.returncode == status
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_inspect_shows_layers_and_parameters_and_runs_nothing(project):
    done = torchgraft("inspect", project / "model.keras")
    assert done.returncode == 0
    for word in ("Functional", "conv", "BatchNormalization", "sha256", "(any, 9, 11, 3)"):
        assert word in done.stdout
    data = json.loads(torchgraft("inspect", project / "model.keras", "--json").stdout)
    assert data["parameters"] == sum(layer["parameters"] for layer in data["layers"])


def test_init_writes_a_config_that_reads(project, tmp_path):
    from torchgraft.pipeline.config_docs import options
    from torchgraft.pipeline.config_file import read_config

    path = tmp_path / "new.yaml"
    done = torchgraft("init", "model.keras", "new.py:Net", "--output", path, cwd=project)
    assert done.returncode == 0
    assert "new.py does not exist yet" in done.stderr
    job = read_config(path)
    assert job.input_files() == [project / "model.keras", project / "new.py"]
    text = path.read_text()
    assert all(option.path.rpartition(".")[2] in text for option in options())


def test_schema_is_json():
    assert "model" in json.loads(torchgraft("schema").stdout)["properties"]


def test_version_is_that_of_the_package():
    from importlib.metadata import version

    assert torchgraft("--version").stdout == f"torchgraft {version('torchgraft')}\n"
