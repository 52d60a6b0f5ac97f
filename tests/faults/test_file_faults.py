"""FAULTS rows 5, 19, 22, 23 and 42 from the command line: each in a worker of its own, a good job after them."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import torchgraft
from batches import run_batch
from keras import layers
from keras_models import inputs_for, randomised
from torch import nn
from torchgraft.pipeline.run_dir import MANIFEST, sha256_of

NET = """
import torch

{first}

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = torch.nn.Linear(6, 5), torch.nn.Linear(5, 3)

    def forward(self, x):
        return self.two(torch.tanh(self.one(x)))
"""
CUSTOM = """
import keras

@keras.saving.register_keras_serializable("faults")
class Own(keras.layers.Dense):
    pass
"""
CRASHES = "import ctypes; ctypes.string_at(0)"
WRITES = "from pathlib import Path; open(Path(__file__).with_name('model.keras'), 'ab').write(b'more')"
# name → (model, what net.py does first, exit code, words of the message)
JOBS: dict[str, tuple[str, str, int, tuple[str, ...]]] = {
    "row_05_registers": ("{path: own.keras, custom_objects: {'faults>Own': 'custom.py:Own'}}", "pass", 0, ()),
    "row_05_names_what_another_job_registered": ("own.keras", "pass", 3, ("Own", "custom_objects")),
    "row_19_flipped_bit_and_a_hash": ("{path: flipped.h5, sha256: HASH}", "pass", 4, ("sha256", "flipped.h5")),
    "row_22_crashes_in_native_code": ("model.keras", CRASHES, 10, ("SIGSEGV",)),
    "row_23_changes_while_it_is_read": ("model.keras", WRITES, 4, ("changed during the run", "model.keras")),
    "row_42_saturated": ("saturated.keras", "pass", 7, ("weak probe", "the same on all", "saturated or dead")),
    "good": ("model.keras", "pass", 0, ()),
}


def model(first: type[layers.Layer] = layers.Dense) -> keras.Model:
    stack = [first(5, activation="tanh", name="one"), layers.Dense(3, name="two")]
    return randomised(keras.Sequential([keras.Input((6,), name="x"), *stack]))


def flipped(source: Path, target: Path) -> None:
    """The highest bit of the exponent of one weight set, which was below 2: 2**128 times what it was, or Inf."""
    target.write_bytes(source.read_bytes())
    found = []

    def look(name: str, value: object) -> None:
        if isinstance(value, h5py.Dataset) and "two" in name and "kernel" in name:
            found.append(value)

    with h5py.File(target, "r+") as file:
        file.visititems(look)
        values = found[0][()]
        values.view("uint32")[1, 2] ^= np.uint32(1 << 30)
        found[0][...] = values


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> tuple[Path, dict[str, dict]]:
    folder = tmp_path_factory.mktemp("batch")
    (folder / "custom.py").write_text(CUSTOM)
    names = {}
    exec(CUSTOM, names)
    for name, (named, first, _, _) in JOBS.items():
        job = folder / name
        job.mkdir()
        model(names["Own"] if "own" in named else layers.Dense).save(
            job / ("own.keras" if "own" in named else "model.keras")
        )
        model().save(job / "whole.h5")
        flipped(job / "whole.h5", job / "flipped.h5")
        saturated = model()
        saturated.get_layer("one").bias.assign(np.full(5, 1e4))
        saturated.save(job / "saturated.keras")
        (job / "custom.py").write_text(CUSTOM)
        (job / "net.py").write_text(NET.format(first=first))
        text = f"model: {named.replace('HASH', sha256_of(job / 'whole.h5'))}\ntarget: net.py:Net\noutput: out\n"
        (job / "config.yaml").write_text(text)
    return folder, run_batch([folder / name / "config.yaml" for name in JOBS])


@pytest.mark.parametrize("name", [name for name, job in JOBS.items() if job[2]])
def test_a_fault_has_its_exit_code_says_why_and_leaves_nothing(batch, name):
    folder, ended = batch
    _, _, status, words = JOBS[name]
    message = ended[name]["error"]
    assert ended[name]["exit_code"] == status, message
    for word in words:
        assert word in message
    assert not list((folder / name).glob("out/*"))


@pytest.mark.parametrize("name", [name for name, job in JOBS.items() if not job[2]])
def test_the_jobs_beside_them_are_verified_and_the_manifest_has_the_hashes_of_what_they_read(batch, name):
    folder, ended = batch
    assert ended[name]["exit_code"] == 0, ended[name]
    manifest = json.loads((folder / name / "out" / MANIFEST).read_text())
    (source,) = (folder / name).glob("own.keras" if "05" in name else "model.keras")
    assert sha256_of(source) in json.dumps(manifest)


def test_row_19_a_value_out_of_all_proportion_is_flagged_where_no_hash_is_given():
    module = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    made = model()
    whole = torchgraft.convert(made, module, inputs=inputs_for(made, 4))
    assert not [finding for finding in whole.findings if "nothing else above" in finding.cause]
    kernel = np.array(made.get_layer("two").kernel)
    kernel.view("uint32")[1, 2] ^= np.uint32(1 << 29)  # 2**64 times as much
    kernel[1, 2] = max(abs(kernel[1, 2]), 1e9)
    made.get_layer("two").kernel.assign(kernel)
    damaged = torchgraft.convert(made, module, inputs=inputs_for(made, 4))
    (finding,) = (finding for finding in damaged.findings if "nothing else above" in finding.cause)
    assert (finding.severity, finding.layer) == ("warning", "two")
    assert "two/kernel" in finding.cause
    assert "(1, 2)" in finding.cause


def test_row_42_what_larger_inputs_would_show_is_said():
    """The outputs stay put on inputs of 1e-6 and move on larger ones: a step function of the input."""
    made = keras.Sequential([keras.Input((6,), name="x"), layers.Dense(3, name="two"), layers.Lambda(keras.ops.round)])
    randomised(made).get_layer("two").bias.assign([0.2, 0.1, 0.3])
    small = {"x": np.random.default_rng(0).normal(size=(5, 6)).astype("float32") * 1e-3}
    with pytest.raises(torchgraft.DifferenceError, match="1000 times as large") as raised:
        torchgraft.convert(made, nn.Linear(6, 3), inputs=small)
    assert raised.value.exit_code == 7
