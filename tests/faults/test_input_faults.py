"""FAULTS rows 1, 4, 13, 17, 20, 21, 30 and 31 from the command line: a batch of broken jobs, good ones beside them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
from keras_models import randomised

NET = """
import torch
from sizes import SIZE

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = torch.nn.Linear(4, SIZE), torch.nn.Linear(SIZE, 4)

    def forward(self, x):
        return self.two(torch.tanh(self.one(x)))
"""
BUILDS = """
import keras
from keras import layers

def make(size=3):
    stack = [layers.Dense(size, activation="tanh", name="one"), layers.Dense(4, name="two")]
    return keras.Sequential([keras.Input((4,)), *stack])

def wider():
    return make(5)
"""
SLEEPS = "import time\ntime.sleep(600)\n"


def save_models(folder: Path, size: int) -> None:
    import keras
    from keras import layers

    one = layers.Dense(size, activation="tanh", name="one")
    model = randomised(keras.Sequential([keras.Input((4,)), one, layers.Dense(4, name="two")]))
    model.save(folder / "model.keras")
    model.save(folder / "model.h5")
    model.save_weights(folder / "only.weights.h5")
    model.export(str(folder / "exported"), verbose=False)
    code = layers.Lambda(lambda x: x * 2.0, output_shape=(4,), name="code")
    randomised(keras.Sequential([keras.Input((4,)), layers.Dense(4, name="one"), code])).save(folder / "code.keras")


def job(folder: Path, name: str, model: str, net: str | None = None, limits: str = "") -> Path:
    target = ""
    if net is not None:
        (folder / f"{name}.py").write_text(net)
        target = f"target: {name}.py:Net\n"
    path = folder / f"{name}.yaml"
    path.write_text(f"name: {name}\nmodel: {model}\n{target}{limits}output: {name}.out\n")
    return path


def broken_jobs(folder: Path) -> dict[str, tuple[Path, int, str]]:
    """Name → (config, exit code, words of the message)."""
    whole = (folder / "model.h5").read_bytes()
    (folder / "empty.keras").write_bytes(b"")
    (folder / "half.h5").write_bytes(whole[: len(whole) // 2])
    (folder / "renamed.h5").write_bytes((folder / "model.keras").read_bytes())
    for name in ("reordered.h5", "lacking.h5"):
        (folder / name).write_bytes(whole)
    with h5py.File(folder / "reordered.h5", "r+") as file:
        file["model_weights"].attrs["layer_names"] = list(file["model_weights"].attrs["layer_names"])[::-1]
    with h5py.File(folder / "lacking.h5", "r+") as file:
        del file["model_weights/two"]
    (folder / "builds.py").write_text(BUILDS)
    return {
        "empty": (job(folder, "empty", "empty.keras"), 4, "empty"),
        "half": (job(folder, "half", "half.h5"), 4, "truncated"),
        "renamed": (job(folder, "renamed", "renamed.h5"), 4, "rename it to .keras"),
        "reordered": (job(folder, "reordered", "reordered.h5"), 4, "reordered"),
        "lacking": (job(folder, "lacking", "lacking.h5"), 4, "'two'"),
        "only": (job(folder, "only", "only.weights.h5"), 4, "weights only"),
        "code": (job(folder, "code", "code.keras"), 3, "'code' (Lambda)"),
        "export": (job(folder, "export", "exported"), 3, "whose graph runs"),
        "filled_wrongly": (
            job(folder, "filled_wrongly", "{factory: builds.py:wider, weights: only.weights.h5}"),
            4,
            "only.weights.h5",
        ),
        "imports": (job(folder, "imports", "model.h5", "import no_such_package\n"), 6, "imports.py:1"),
        "exits": (job(folder, "exits", "model.h5", "\n\nraise SystemExit(0)\n"), 6, "exits.py:3"),
        "sleeps": (job(folder, "sleeps", "model.h5", SLEEPS, "limits: {seconds: 6}\n"), 8, "6 seconds"),
    }


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """The broken jobs; what the command line told: name → last event, and all of it; what is new in their folder."""
    root = tmp_path_factory.mktemp("batch")
    first, second = root / "first", root / "second"
    good = []
    for folder, size in ((first, 3), (second, 5)):
        folder.mkdir()
        save_models(folder, size)
        (folder / "sizes.py").write_text(f"SIZE = {size}\nprint('a print of the user')\n")
        good.append(job(folder, "net", "model.keras", NET).rename(folder / f"good_{size}.yaml"))
        good[-1].write_text(good[-1].read_text().replace("name: net", f"name: good_{size}"))
    broken = broken_jobs(first)
    trusted = [
        job(first, "trusted_code", "{path: code.keras, trust: true}"),
        job(first, "trusted_export", "{path: exported, trust: true}"),
        job(first, "filled", "{factory: builds.py:make, weights: only.weights.h5}"),
    ]
    configs = [good[0], *trusted, *(path for path, _, _ in broken.values()), good[1]]
    before = set(first.iterdir())
    command = [sys.executable, "-m", "torchgraft", "run", "--json", *map(str, configs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root, timeout=900)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    ended = {event["name"]: event for event in events if event["event"] == "job_ended"}
    return broken, ended, done, {path.name for path in set(first.iterdir()) - before}


def test_a_batch_with_broken_jobs_ends_with_one_and_without_a_traceback(batch):
    broken, ended, done, _ = batch
    assert done.returncode == 1
    assert len(ended) == len(broken) + 5
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "name",
    [
        *("empty", "half", "renamed", "reordered", "lacking", "only", "imports", "exits", "sleeps"),
        *("code", "export", "filled_wrongly"),
    ],
)
def test_a_broken_job_has_its_exit_code_and_says_why(batch, name):
    broken, ended, _, _ = batch
    _, code, words = broken[name]
    assert ended[name]["exit_code"] == code
    assert words in json.dumps(ended[name])


def test_broken_jobs_leave_nothing_behind(batch):
    """Not even an empty folder, or a hidden file: of the jobs in that folder only the good one has an output."""
    *_, new = batch
    assert new - {"__pycache__"} == {"net.out", "trusted_code.out", "trusted_export.out", "filled.out"}


@pytest.mark.parametrize("name", ["trusted_code", "trusted_export", "filled"])
def test_rows_4_and_13_what_a_job_trusts_is_verified_and_the_next_job_that_does_not_is_refused(batch, name):
    _, ended, _, _ = batch
    assert ended[name]["exit_code"] == 0, ended[name]
    assert ended["code"]["exit_code"] == ended["export"]["exit_code"] == 3


@pytest.mark.parametrize("size", [3, 5])
def test_row_31_good_jobs_beside_them_each_get_their_own_net(batch, size):
    _, ended, _, _ = batch
    assert ended[f"good_{size}"]["exit_code"] == 0, ended[f"good_{size}"]
