"""FAULTS rows 37 to 40 from the command line: untraceable forwards, side effects, NaN; good jobs beside them."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from batches import run_batch
from keras import layers
from keras_models import randomised
from torchgraft.pipeline.run_dir import MANIFEST

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 5), nn.Linear(5, 3)
        self.drop, self.calls = nn.Dropout(0.5), 0
        {init}

    def forward(self, x):
        x = torch.tanh(self.first(x))
        {forward}
        return self.last(x)
"""
BRANCH = "x = x * 2 if float(x.sum().detach()) > 1e9 else x"
GRADIENT = "torch.set_grad_enabled(True); y = x.clone().requires_grad_(); x = torch.autograd.grad(y.sum(), y)[0]"
# name → (model, what the module does besides, exit code, what the message says)
JOBS: dict[str, tuple[str, str, str, int, tuple[str, ...]]] = {
    "row_37_untraceable_is_run_again": ("good", "pass", BRANCH, 0, ()),
    "row_37_cannot_be_read_at_all": ("good", "pass", GRADIENT, 5, ("RuntimeError", "without autograd")),
    "row_38_side_effects_and_dropout": (
        "good",
        "self.train()",
        "self.calls += 1; print('noise'); x = self.drop(x)",
        0,
        (),
    ),
    "row_38_random": ("good", "pass", "x = x + torch.rand(5)", 7, ("not deterministic",)),
    "row_39_nan_in_a_weight": ("nan", "pass", "pass", 7, ("last/kernel", "(2, 1)", "nan")),
    "row_39_inf_in_a_weight": ("inf", "pass", "pass", 7, ("first/bias", "(3", "inf")),
    "row_40_both_sides_nan": ("overflows", "pass", "return torch.softmax(self.last(x), -1)", 7, ("NaN",)),
}


def model(kind: str) -> keras.Model:
    made = randomised(
        keras.Sequential(
            [
                keras.Input((6,), name="x"),
                layers.Dense(5, activation="tanh", name="first"),
                layers.Dense(3, activation="softmax" if kind == "overflows" else None, name="last"),
            ]
        )
    )
    kernel, bias = made.get_layer("last").kernel, made.get_layer("first").bias
    if kind == "nan":
        values = np.array(kernel)
        values[2, 1] = np.nan
        kernel.assign(values)
    if kind == "inf":
        values = np.array(bias)
        values[3] = np.inf
        bias.assign(values)
    if kind == "overflows":  # finite weights whose sums are infinite in any order, of which softmax takes a difference
        kernel.assign(np.full((5, 3), 3e38))
        made.get_layer("first").bias.assign(np.full(5, 9.0))
    return made


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> tuple[Path, dict[str, dict]]:
    folder = tmp_path_factory.mktemp("batch")
    for kind in {kind for kind, *_ in JOBS.values()}:
        model(kind).save(folder / f"{kind}.keras")
    configs = []
    for name, (kind, init, forward, _, _) in JOBS.items():
        job = folder / name
        job.mkdir()
        (job / "net.py").write_text(NET.format(init=init, forward=forward))
        (job / "config.yaml").write_text(f"model: ../{kind}.keras\ntarget: net.py:Net\noutput: out\n")
        configs.append(str(job / "config.yaml"))
    return folder, run_batch(configs)


@pytest.mark.parametrize("name", [name for name, job in JOBS.items() if job[3]])
def test_a_fault_has_its_exit_code_says_why_and_leaves_nothing(batch, name):
    folder, ended = batch
    *_, status, words = JOBS[name]
    message = ended[name]["error"]
    assert ended[name]["exit_code"] == status, message
    for word in (*words, "To fix it"):
        assert word in message
    assert not list((folder / name).glob("out/*"))


@pytest.mark.parametrize("name", [name for name, job in JOBS.items() if not job[3]])
def test_a_module_that_is_only_unusual_is_verified(batch, name):
    folder, ended = batch
    assert ended[name]["exit_code"] == 0, ended[name]
    assert json.loads((folder / name / "out" / MANIFEST).read_text())["verified"] is True
