"""FAULTS rows 22 and 32: modules that crash, are none, do not fit or do not run, and a good job in their midst."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from batches import run_batch
from keras_models import conv_bn_pool_dense
from torchgraft.pipeline.run_dir import MANIFEST

NEVER_WORKED = """
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        raise RuntimeError("this forward never worked")
"""
# What is in the job's net.py, the exit code, and what the message says.
FAULTS = {
    "crashes": ("import os, signal\nos.kill(os.getpid(), signal.SIGABRT)\n", 10, ["SIGABRT"]),
    "no_module": ("Net = dict\n", 6, ["nn.Module"]),
    "does_not_fit": ("from torch import nn\n\ndef Net():\n    return nn.Linear(3, 4)\n", 6, ["weight", "(4, 3)"]),
    "raises": (NEVER_WORKED, 6, ["this forward never worked", "net.py", "forward"]),
}


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> tuple[Path, dict[str, dict]]:
    """One batch of all faults, the good job in their midst: the folder, and how each job ended."""
    folder = tmp_path_factory.mktemp("batch")
    conv_bn_pool_dense().save(folder / "model.keras")
    names = list(FAULTS)
    configs = []
    for name in [*names[:1], "good", *names[1:]]:
        job = folder / name
        job.mkdir()
        (job / "net.py").write_text(FAULTS[name][0] if name in FAULTS else "")
        target = "" if name == "good" else "target: net.py:Net\n"
        (job / "config.yaml").write_text(f"model: ../model.keras\n{target}output: out\n")
        configs.append(str(job / "config.yaml"))
    return folder, run_batch(configs)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_exit_code_and_says_what_where_and_what_to_do(batch, name):
    folder, ended = batch
    _, status, words = FAULTS[name]
    message = ended[name]["error"]
    assert ended[name]["exit_code"] == status, message
    for word in [*words, "stage", "To fix it"]:
        assert word in message
    assert not (folder / name / "out").exists()


def test_the_good_job_beside_them_is_verified(batch):
    folder, ended = batch
    assert ended["good"]["exit_code"] == 0
    assert json.loads((folder / "good" / "out" / MANIFEST).read_text())["verified"] is True


def test_every_job_was_done(batch):
    _, ended = batch
    assert set(ended) == {*FAULTS, "good"}
