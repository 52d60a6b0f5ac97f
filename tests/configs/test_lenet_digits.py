"""The example that the README's first command runs: from an empty cache to three equal accuracies."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """A copy of the example after its job ran once."""
    folder = tmp_path_factory.mktemp("configs") / "lenet-digits"
    shutil.copytree(CONFIGS / "lenet-digits", folder, ignore=shutil.ignore_patterns(".cache", "runs", "__pycache__"))
    run(folder)
    return folder


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torchgraft", "run", str(folder / "config.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=folder.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_the_three_runtimes_classify_the_held_out_digits_equally_well(example):
    compared = json.loads((example / "runs/lenet-digits/comparison.json").read_text())
    assert compared["verified"]
    accuracy = compared["accuracy"]
    assert set(accuracy) == {"keras", "onnxruntime", "torch"}
    assert len(set(accuracy.values())) == 1
    # Fifteen epochs reach 0.978; a model that learnt nothing has 0.1.
    assert accuracy["torch"] > 0.95


def test_the_state_dict_fills_the_module_beside_the_config(example):
    import torch
    from torchgraft.stages.errors import UsageError
    from torchgraft.stages.load import torch_module, user_code

    images, labels = (user_code.attribute(f"train.py:{name}", example, UsageError) for name in ("images", "labels"))
    module, untrained = (torch_module("net.py:LeNet5", {}, example).eval() for _ in range(2))
    module.load_state_dict(torch.load(example / "runs/lenet-digits/state_dict.pt", weights_only=True), strict=True)
    digits = torch.from_numpy(images()).permute(0, 3, 1, 2)
    assert (module(digits).argmax(1).numpy() == labels()).mean() > 0.95
    assert (untrained(digits).argmax(1).numpy() == labels()).mean() < 0.5


def test_the_trained_model_is_kept_and_an_unchanged_job_does_no_work(example):
    cached = list((example / ".cache").iterdir())
    assert [path.suffix for path in cached] == [".keras"]
    before = cached[0].stat().st_mtime_ns
    assert "nothing has changed" in run(example).stdout
    assert cached[0].stat().st_mtime_ns == before


@pytest.mark.parametrize("folder", sorted(path.parent for path in CONFIGS.glob("*/config.yaml")), ids=lambda p: p.name)
def test_every_example_is_listed_in_the_readme(folder):
    assert f"`{folder.name}/`" in (CONFIGS / "README.md").read_text()
