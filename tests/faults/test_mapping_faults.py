"""FAULTS rows 32 to 36 from the command line: keys that do not fit, orders, ties, statistics, half precision, hints.

Rows 37 and 38 stand in test_numeric_faults.py. Good jobs beside the faulty ones: a flatten in another order with square
kernels, a backbone, and a module with a head of its own; ``explain`` reads what they wrote.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
from batches import run_batch
from keras import layers
from keras_models import randomised
from safetensors.torch import load_file

NET = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, eps=1e-3)
        self.square, self.again = nn.Linear(64, 64), nn.Linear(64, 64)
        self.head = nn.Linear(64, 5)
        {init}

    def code(self, x):
        x = torch.relu(self.bn(self.conv(x)))
        x = torch.tanh(self.square({flat}))
        return torch.tanh(self.again(x))

    def forward(self, x):
        return {out}
"""
CHANNELS_FIRST, CHANNELS_LAST = "x.flatten(1)", "x.permute(0, 2, 3, 1).flatten(1)"
HEAD = "self.head(self.code(x))"
# name → (model, init, flatten, what forward gives, more of the config, exit code, words of the message)
JOBS: dict[str, tuple[str, str, str, str, str, int, tuple[str, ...]]] = {
    "row_33_orders": ("good", "pass", CHANNELS_LAST, HEAD, "", 0, ()),
    "row_33_gates": (
        "gates",
        "del self.conv, self.bn, self.square, self.again; self.rnn = nn.GRU(18, 64, batch_first=True)",
        CHANNELS_FIRST,
        "self.head(self.rnn(x.permute(0, 2, 3, 1).flatten(2))[0][:, -1])",
        "",
        0,
        (),
    ),
    "backbone": ("good", "del self.head", CHANNELS_FIRST, "self.code(x)", "", 0, ()),
    "new_head": (
        "good",
        "self.head = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3))",
        CHANNELS_FIRST,
        HEAD,
        'allow_unmatched: ["head.*"]\n',
        0,
        (),
    ),
    "row_32_missing_extra_and_wrong": (
        "good",
        "self.bn, self.head, self.more = nn.Identity(), nn.Linear(64, 7), nn.Linear(7, 5)",
        CHANNELS_FIRST,
        "self.more(self.head(self.code(x)))",
        "",
        6,
        (
            "head.weight (7, 64): nearest head/kernel (64, 5)",
            "more.bias (5,)",
            "bn/gamma (4,): no key takes it; nearest",
            "head/bias",
            'allow_unmatched: ["head.*", "more.*"]',
        ),
    ),
    "row_33_classes_in_another_order": ("good", "pass", CHANNELS_FIRST, f"{HEAD}.flip(1)", "", 7, ("output",)),
    "row_34_one_tie_for_two_values": (
        "good",
        "self.again = self.square",
        CHANNELS_FIRST,
        HEAD,
        "",
        6,
        ("is used twice, as square/kernel", "again/kernel"),
    ),
    "row_35_negative_variance": (
        "negative",
        "pass",
        CHANNELS_FIRST,
        HEAD,
        "",
        7,
        ("bn/moving_variance", "-0.5 at index (2,)"),
    ),
    "row_35_missing_counter": (
        "good",
        "self.bn.num_batches_tracked = None",
        CHANNELS_FIRST,
        HEAD,
        "",
        6,
        ("no key bn.num_batches_tracked", 'module.bn.register_buffer("num_batches_tracked", torch.tensor(0))'),
    ),
    "row_35_statistics_in_no_state_dict": (
        "good",
        'self.bn.register_buffer("running_mean", torch.zeros(4), persistent=False)',
        CHANNELS_FIRST,
        HEAD,
        "",
        6,
        ("bn.running_mean is in no state_dict", "persistent=True", "bn/moving_mean"),
    ),
    "row_35_no_statistics": (
        "good",
        "self.bn = nn.BatchNorm2d(4, eps=1e-3, track_running_stats=False)",
        CHANNELS_FIRST,
        HEAD,
        "",
        6,
        ("bn has no statistics (track_running_stats=False)", "bn/moving_variance"),
    ),
    "row_35_a_constant_in_no_state_dict": (
        "good",
        'self.register_buffer("one", torch.ones(1), persistent=False)',
        CHANNELS_FIRST,
        "self.head(self.code(x) * self.one)",
        "",
        0,
        (),
    ),
    "row_36_half_that_overflows": (
        "large",
        "self.half()",
        CHANNELS_FIRST,
        HEAD,
        "",
        7,
        ("2 values of 1 tensors overflow float16", "head.weight: 2 of 320 values", "65504", "bfloat16"),
    ),
    "row_36_half_that_does_not": ("good", "self.bfloat16()", CHANNELS_FIRST, HEAD, "", 0, ()),
    "hint_that_values_contradict": (
        "good",
        "pass",
        CHANNELS_FIRST,
        HEAD,
        "hints:\n  conv: conv\n  square: again\n",
        6,
        ("config.yaml:6: ", "square is hinted to be again", "square.weight holds square/kernel: values"),
    ),
    "hint_about_nothing": (
        "good",
        "pass",
        CHANNELS_FIRST,
        HEAD,
        "hints:\n  sqare: again\n  head.weight: heads/kernel\n",
        2,
        ("config.yaml:5: the module has no key and no path sqare", "square", "config.yaml:6", "heads/kernel", "head/k"),
    ),
    "nothing_to_leave_unmatched": (
        "good",
        "pass",
        CHANNELS_FIRST,
        HEAD,
        'allow_unmatched: ["haed.*"]\n',
        2,
        ("haed.*", "head.bias"),
    ),
}


def model(kind: str) -> keras.Model:
    if kind == "gates":  # Keras has them as (z, r, h), torch as (r, z, n)
        rows = [layers.Reshape((6, 18)), layers.GRU(64, name="rnn"), layers.Dense(5, name="head")]
        return randomised(keras.Sequential([keras.Input((6, 6, 3), name="x"), *rows]))
    made = randomised(
        keras.Sequential(
            [
                keras.Input((6, 6, 3), name="x"),
                layers.Conv2D(4, 3, name="conv"),
                layers.BatchNormalization(name="bn"),
                layers.ReLU(name="act"),
                layers.Flatten(name="flat"),
                layers.Dense(64, activation="tanh", name="square"),
                layers.Dense(64, activation="tanh", name="again"),
                layers.Dense(5, name="head"),
            ]
        )
    )
    if kind == "negative":
        variance = np.array(made.get_layer("bn").moving_variance)
        variance[2] = -0.5
        made.get_layer("bn").moving_variance.assign(variance)
    if kind == "large":
        kernel = np.array(made.get_layer("head").kernel)
        kernel[[3, 5], [1, 2]] = 1e5, -2e5
        made.get_layer("head").kernel.assign(kernel)
    return made


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> tuple[Path, dict[str, dict]]:
    folder = tmp_path_factory.mktemp("batch")
    for kind in {job[0] for job in JOBS.values()}:
        model(kind).save(folder / f"{kind}.keras")
    configs = []
    for name, (kind, init, flat, out, more, _, _) in JOBS.items():
        job = folder / name
        job.mkdir()
        (job / "net.py").write_text(NET.format(init=init, flat=flat, out=out))
        (job / "config.yaml").write_text(f"model: ../{kind}.keras\ntarget: net.py:Net\noutput: out\n{more}")
        configs.append(str(job / "config.yaml"))
    return folder, run_batch(configs)


@pytest.mark.parametrize("name", [name for name, job in JOBS.items() if job[5]])
def test_a_fault_has_its_exit_code_says_why_and_leaves_nothing(batch, name):
    folder, ended = batch
    *_, status, words = JOBS[name]
    message = ended[name]["error"]
    assert ended[name]["exit_code"] == status, message
    for word in (*words, "To fix it"):
        assert word in message
    assert not (folder / name / "out").exists()


@pytest.mark.parametrize("name", [name for name, job in JOBS.items() if not job[5]])
def test_a_good_job_beside_them_is_verified(batch, name):
    folder, ended = batch
    assert ended[name]["exit_code"] == 0, ended[name]["error"]
    assert json.loads((folder / name / "out" / "manifest.json").read_text())["verified"] is True


def test_the_order_of_gates_is_found(batch):
    plan, _, _ = files(batch, "row_33_gates")
    recipe = json.dumps(plan["keys"]["rnn.weight_ih_l0"]["expression"])
    assert "gru_cell/kernel" in recipe
    assert "reorder" in recipe or "join" in recipe


def files(batch, name: str) -> tuple[dict, dict, str]:
    folder = batch[0] / name / "out"
    plan, comparison = (json.loads((folder / file).read_text()) for file in ("plan.json", "comparison.json"))
    return plan, comparison, (folder / "summary.txt").read_text()


def test_what_a_backbone_leaves_over_is_in_every_file(batch):
    plan, comparison, summary = files(batch, "backbone")
    behind = {"head/kernel", "head/bias"}
    assert {left["name"] for left in plan["unused"]} == behind
    assert set(comparison["left_over"]["variables"]) == behind
    assert comparison["not_given"] == {"output": "again"}
    assert {row["name"] for row in comparison["outputs"]} == {"again"}
    assert "the module does not give output" in comparison["partial"]
    assert "Not taken: head/kernel: Keras layer head is not needed for what the module gives (again)" in summary
    assert "verified; a partial target: the module does not give output" in " ".join(summary.split())


def test_a_head_of_ones_own_keeps_its_values_and_the_state_dict_loads_strictly(batch):
    folder = batch[0] / "new_head"
    plan, comparison, summary = files(batch, "new_head")
    own = {f"head.{layer}.{name}" for layer in (0, 2) for name in ("weight", "bias")}
    assert {left["name"] for left in plan["unmatched"]} == set(comparison["left_over"]["keys"]) == own
    assert {row["name"] for row in comparison["outputs"]} == {"again"}
    assert "allow_unmatched head.*: it keeps the module's own value" in " ".join(summary.split())
    namespace: dict = {}
    exec((folder / "net.py").read_text(), namespace)
    torch.manual_seed(0)  # the job's seed: what the module keeps of its own is the same in a rerun
    module = namespace["Net"]()
    before = {key: tensor.clone() for key, tensor in module.state_dict().items()}
    module.load_state_dict(load_file(folder / "out" / "state_dict.safetensors"), strict=True)
    after = module.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in own)
    assert not torch.equal(after["conv.weight"], before["conv.weight"])


def explained(folder: Path, key: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torchgraft", "explain", str(folder), key]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def test_explain_tells_a_recipe_step_by_step_with_its_evidence(batch):
    done = explained(batch[0] / "row_33_orders" / "out", "square.weight")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("square.weight (64, 64) float32\nKeras layer square → square\n")
    for words in ("take the Keras variable square/kernel", "put its axes into the order 1, 0", "Evidence: values"):
        assert words in done.stdout
    assert (
        "keeps the module's own value" in explained(batch[0] / "new_head" / "out" / "plan.json", "head.0.bias").stdout
    )


def test_explain_names_the_nearest_key_and_a_run_without_files(batch):
    done = explained(batch[0] / "new_head" / "out", "sqare.weight")
    assert done.returncode == 2
    assert "square.weight" in done.stderr
    done = explained(batch[0] / "row_34_one_tie_for_two_values" / "out", "square.weight")
    assert done.returncode == 2
    assert "--verbose" in done.stderr
